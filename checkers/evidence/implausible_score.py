"""A claimed score that no model within the limits of the challenge can have."""

from __future__ import annotations

from datetime import timedelta

from checkers.evidence._runs import counted
from checkers.evidence._say import found, plural
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Place
from rules.records import incumbent

RULE = "implausible-score"
_LEAP = 0.06  # bpb; the largest step from one record to the next is 0.018
_FLOOR = 0.95  # bpb: the last accepted records have 1.06, and all below this that was ruled upon was void


def check(subject: Subject) -> CheckResult:
    """Hold the claimed score, and those of the runs behind it, against what was ever measured."""
    scores = list(_scores(subject))
    if not scores:
        return cannot_tell("no score is claimed")
    lowest, place = min(scores, key=lambda s: s[0])
    finding = _finding(lowest, place) if lowest < _FLOOR else _leap(subject, lowest, place)
    return examined(len(scores), plural(len(scores), "score"), [finding] if finding else [])


def _scores(subject: Subject) -> list[tuple[float, Place]]:
    """The claimed bits per byte; without a claim those of the finished runs."""
    claim = subject.logs.claimed_bpb()
    if claim is not None:
        return [(claim.value, claim.place)]
    return [(r.score.bpb, r.score.place) for r in counted(subject) if r.score.bpb is not None]


def _leap(subject: Subject, bpb: float, place: Place) -> Finding | None:
    """A record far below the best one of its day: the frontier never moved so far at once.

    The day is that of the head, not the one that the metadata states: of the two it knows more records.
    """
    best = incumbent(subject.as_of + timedelta(days=1)) if track(subject) is Track.RECORD else None
    if best is None or bpb >= best.bpb - _LEAP:
        return None
    message = (
        f"{bpb:g} bits per byte: {best.bpb - bpb:.3f} below the best record of that day ({best.bpb:g}), and "
        "no record was ever more than 0.02 better than the one before"
    )
    return found(RULE, message, place, Strength.SUSPECT, 0.8, data={"bpb": bpb, "record": best.bpb})


def _finding(bpb: float, place: Place) -> Finding:
    message = (
        f"{bpb:g} bits per byte: accepted records end at 1.06, and no code length has come "
        f"near {_FLOOR} within the limits"
    )
    return found(RULE, message, place, Strength.SUSPECT, 0.9, data={"bpb": bpb, "floor": _FLOOR})
