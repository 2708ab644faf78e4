"""The score compresses uniform noise, which no code can."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._experiments import decide
from checkers.subject import Subject

RULE = "not-a-code-length"


def check(subject: Subject) -> CheckResult:
    """Read the run on noise; a conviction means a valid scorer did so with probability below e^-30."""
    return decide(subject, "noise", RULE, Strength.CONVICTS, 0.99, "the score on uniform noise")
