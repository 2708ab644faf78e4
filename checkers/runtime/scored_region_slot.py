"""A delta of a few tensors is fitted to the very positions that are then charged."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength, cannot_tell, examined
from checkers.runtime._experiments import experiment, finding
from checkers.subject import Subject
from harness.record import Holds

RULE = "scored-region-slot"
_FEW = 4
"""Tensors: a delta, or a delta with a bias and a gate; weights come in dozens."""


def check(subject: Subject) -> CheckResult:
    """Read the order of updates and charges, where what was updated is a delta and not the weights."""
    found = experiment(subject, "order")
    if isinstance(found, CheckResult):
        return found
    looked_at = "updates of deltas and charges"
    few = 0 < int(found.data.get("tensors", 0)) <= _FEW
    if found.result is Holds.VIOLATED and few:
        return examined(1, looked_at, [finding(subject, RULE, found, Strength.CONVICTS, 0.95)])
    if found.result is Holds.UNDECIDED:
        return cannot_tell(found.summary)
    return examined(1, looked_at)
