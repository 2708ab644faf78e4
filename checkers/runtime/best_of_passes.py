"""The reported score takes every position's smallest loss over several passes."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength, cannot_tell, examined
from checkers.runtime._experiments import experiment, finding
from checkers.subject import Subject
from harness.record import Holds

RULE = "best-of-passes"


def check(subject: Subject) -> CheckResult:
    """Read which charges add up to the score."""
    found = experiment(subject, "passes")
    if isinstance(found, CheckResult):
        return found
    if found.result is Holds.VIOLATED and found.data.get("best"):
        return examined(1, "passes", [finding(subject, RULE, found, Strength.CONVICTS, 0.95)])
    if found.result is Holds.UNDECIDED:
        return cannot_tell(found.summary)
    return examined(1, "passes")
