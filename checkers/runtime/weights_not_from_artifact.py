"""The score changes when the weights in memory are wiped as the artifact is read back."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._experiments import decide
from checkers.subject import Subject


def check(subject: Subject) -> CheckResult:
    """Read the fork with wiped weights."""
    return decide(subject, "roundtrip", "weights-not-from-artifact", Strength.SUSPECT, 0.8, "the round trip")
