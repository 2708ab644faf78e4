"""``validation-in-artifact``: validation tokens are stored in what is shipped ("paid prefix")."""

from __future__ import annotations

from checkers.facts import Did, Event
from checkers.facts.values import RAW, SHIPPED, TOKENS, VAL
from checkers.finding import CheckResult, Finding, Strength, examined, plural
from checkers.static._events_report import event_finding
from checkers.static._learning import learning
from checkers.static._pairs_report import place
from checkers.static._report import numbered, unreadable
from checkers.subject import Subject

RULE = "validation-in-artifact"
STORED = "Tokens to be scored are compared with what a shipped file holds, and the charge depends on it."
SAVED = "Validation tokens themselves are serialized here."


def check(subject: Subject) -> CheckResult:
    """Look at every serialization and at every comparison of validation tokens with a shipped file."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    saves, matches = facts.of(Did.SAVE), facts.of(Did.MATCH)
    findings = [_saved(subject, e) for e in saves if e.bits & VAL and e.bits & (RAW | TOKENS)]
    findings += [f for e in matches if (f := _stored(subject, e)) is not None]
    reads = facts.of(Did.READ)
    count = len(saves) + len(matches) + len(reads)
    compared = plural(len(matches), "comparison")
    looked = f"{plural(len(saves), 'serialization')} and {compared} of targets with files"
    return examined(max(1, count), looked, numbered(findings))


def _saved(subject: Subject, event: Event) -> Finding:
    return event_finding(subject.facts, RULE, event, SAVED, "saved here", Strength.SUSPECT, confidence=0.6)


def _stored(subject: Subject, event: Event) -> Finding | None:
    found = learning(subject)
    scores = found.headline.scores
    if event.bits & TOKENS:  # packed by the run: losses that chose what to pack were charged before
        scores = tuple(s for r in found.headline.reports for s in found.order.scores(r.bits))
    charges = [s for s in scores if s.bits & SHIPPED]
    if not charges:
        return None
    related = (place(charges[-1], "the charge that depends on it"),)
    return event_finding(
        subject.facts,
        RULE,
        event,
        STORED,
        "compared here",
        Strength.CONVICTS,
        confidence=0.9,
        related=related,
    )
