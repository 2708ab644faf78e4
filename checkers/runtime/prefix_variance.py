"""A charge depends on a token that is charged later."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._experiments import decide
from checkers.subject import Subject

RULE = "prefix-variance"


def check(subject: Subject) -> CheckResult:
    """Read the forks in which later tokens were changed."""
    return decide(subject, "prefix", RULE, Strength.CONVICTS, 0.98, "charges ahead of changed tokens")
