"""The probabilities behind the charges sum to more than one over the alphabet."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._experiments import decide
from checkers.subject import Subject

RULE = "kraft-sum-above-one"


def check(subject: Subject) -> CheckResult:
    """Read the estimate of the Kraft sum from charges of uniformly drawn tokens."""
    return decide(subject, "kraft", RULE, Strength.CONVICTS, 0.99, "the Kraft sum of the charges")
