"""The denominator is not the number of bytes that the charged tokens decode to."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._experiments import decide
from checkers.subject import Subject


def check(subject: Subject) -> CheckResult:
    """Read the bytes recomputed by us against those that loss and bits per byte imply."""
    return decide(subject, "bytes", "wrong-byte-count", Strength.CONVICTS, 0.95, "the bytes of the world")
