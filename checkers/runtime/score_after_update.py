"""A position is charged by a state that an optimizer had already fitted to it."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._experiments import decide
from checkers.subject import Subject

RULE = "score-after-update"


def check(subject: Subject) -> CheckResult:
    """Read the order of updates and charges; it convicts where charges also depend on later tokens."""
    return decide(subject, "order", RULE, Strength.CONVICTS, 0.95, "the order of updates and charges")
