"""``best-of-passes``: the smallest of several scores of the same positions is the one that counts."""

from __future__ import annotations

from checkers.facts import Did, Event, Runs
from checkers.facts.order import Order
from checkers.facts.values import VAL
from checkers.finding import CheckResult, Evidence, Finding, Kind, Strength, examined, plural
from checkers.static._learning import learning
from checkers.static._pairs_report import place
from checkers.static._report import numbered, unreadable
from checkers.subject import Subject

RULE = "best-of-passes"
MESSAGE = "The smaller of several scores of the same validation positions is kept."


def check(subject: Subject) -> CheckResult:
    """Look at every minimum over scores and whether its parts come from different passes."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    found = learning(subject)
    minima = facts.of(Did.BEST)
    reported = {key for r in found.headline.reports for key in facts.keys(r.bits)}
    kept = [e for e in minima if e.bits & VAL and (str(Did.BEST), e.order) in reported]
    bad = [e for e in kept if _of_passes(e, found.order)]
    scores = [e for e in facts.of(Did.CHARGE, Did.SCORE) if e.bits & VAL]
    sure = facts.complete
    findings = [_finding(subject, e, sure) for e in bad]
    looked = f"{plural(len(minima), 'minimum', 'minima')} over {plural(len(scores), 'score')}"
    return examined(max(1, len(scores)), looked, numbered(findings))


def _of_passes(event: Event, order: Order) -> bool:
    """Whether what is compared was learned from the very positions: passes of one adapting model.

    Entries of one table of counts, a hashed one say, are no passes: the smaller one caps the other.
    """
    learned = [e for score in order.scores(event.bits) for e in order.learned(score)]
    capped = all(any(e.kind is Did.COUNT for e in order.parts(part).events) for part in event.data["parts"])
    return any(e.kind is not Did.COUNT for e in learned) and not capped


def _finding(subject: Subject, event: Event, sure: bool) -> Finding:
    reach = subject.facts.reaches(event.node)
    sure = sure and event.sure and reach.runs is Runs.YES
    return Finding(
        rule=RULE,
        message=MESSAGE,
        where=place(event, "the smaller one is kept"),
        evidence=Evidence(Kind.STATIC, MESSAGE),
        strength=Strength.CONVICTS if sure else Strength.SUSPECT,
        confidence=0.8,
        reach=reach.why,
    )
