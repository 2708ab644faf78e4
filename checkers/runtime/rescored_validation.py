"""Positions enter the reported score more than once."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength, cannot_tell, examined
from checkers.runtime._experiments import experiment, finding
from checkers.subject import Subject
from harness.record import Holds

RULE = "rescored-validation"


def check(subject: Subject) -> CheckResult:
    """Read how often each position is charged, the tail of the stream apart."""
    found = experiment(subject, "passes")
    if isinstance(found, CheckResult):
        return found
    if found.result is Holds.VIOLATED and not found.data.get("best"):
        return examined(1, "positions charged", [finding(subject, RULE, found, Strength.SUSPECT, 0.7)])
    if found.result is Holds.UNDECIDED:
        return cannot_tell(found.summary)
    return examined(1, "positions charged")
