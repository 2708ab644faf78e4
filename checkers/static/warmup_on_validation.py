"""``warmup-on-validation``: gradient steps on validation tokens whose result is thrown away."""

from __future__ import annotations

from checkers.facts import Did, Event, Facts
from checkers.facts.values import VAL
from checkers.finding import CheckResult, Evidence, Finding, Kind, Strength, cannot_tell, examined, plural
from checkers.static._learning import learning
from checkers.static._pairs_report import place
from checkers.static._report import numbered, unreadable
from checkers.subject import Subject

RULE = "warmup-on-validation"
MESSAGE = "Gradient steps on validation tokens are taken here and what they change reaches no score."


def check(subject: Subject) -> CheckResult:
    """Look at every update on validation tokens and whether any printed score depends on it."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    if not facts.complete:
        return cannot_tell("the simulation was cut off before the end of the program")
    updates = [e for e in facts.of(Did.UPDATE) if e.bits & VAL]
    lost = _without_effect(facts, subject, updates)
    findings = [_finding(facts, event) for event in lost]
    steps = len(facts.of(Did.UPDATE))
    return examined(max(1, steps), plural(steps, "optimizer step"), numbered(findings))


def _without_effect(facts: Facts, subject: Subject, updates: list[Event]) -> list[Event]:
    """The updates of places none of whose updates any score depends on."""
    order = learning(subject).order
    used = {e.node for s in facts.of(Did.SCORE, Did.CHARGE) for e in order.learned(s) if _counts(facts, s)}
    return [e for e in updates if e.node not in used]


def _counts(facts: Facts, score: Event) -> bool:
    """Whether a score goes into something printed: a charge, or a score that is reported as it is."""
    return score.kind is Did.CHARGE


def _finding(facts: Facts, event: Event) -> Finding:
    return Finding(
        rule=RULE,
        message=MESSAGE,
        where=place(event, "a step on validation tokens"),
        evidence=Evidence(Kind.STATIC, MESSAGE),
        strength=Strength.REMARK,
        confidence=0.8,
        reach=facts.reaches(event.node).why,
    )
