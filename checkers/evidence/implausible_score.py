"""A claimed score that no model within the limits of the challenge can have."""

from __future__ import annotations

from checkers.evidence._runs import counted
from checkers.evidence._say import found, plural
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Place

RULE = "implausible-score"
_FLOOR = 0.95  # bpb: the last accepted records have 1.06, and all below this that was ruled upon was void


def check(subject: Subject) -> CheckResult:
    """Hold the claimed score, and those of the runs behind it, against what was ever measured."""
    scores = list(_scores(subject))
    if not scores:
        return cannot_tell("no score is claimed")
    lowest, place = min(scores, key=lambda s: s[0])
    findings = [] if lowest >= _FLOOR else [_finding(lowest, place)]
    return examined(len(scores), plural(len(scores), "score"), findings)


def _scores(subject: Subject) -> list[tuple[float, Place]]:
    """The claimed bits per byte; without a claim those of the finished runs."""
    claim = subject.logs.claimed_bpb()
    if claim is not None:
        return [(claim.value, claim.place)]
    return [(r.score.bpb, r.score.place) for r in counted(subject) if r.score.bpb is not None]


def _finding(bpb: float, place: Place) -> Finding:
    message = (
        f"{bpb:g} bits per byte: accepted records end at 1.06, and no code length has come "
        f"near {_FLOOR} within the limits"
    )
    return found(RULE, message, place, Strength.SUSPECT, 0.9, data={"bpb": bpb, "floor": _FLOOR})
