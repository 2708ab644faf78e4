"""Optimizer steps on validation tokens changed the weights that the artifact holds."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._independence import check_cause
from checkers.subject import Subject


def check(subject: Subject) -> CheckResult:
    """Read the run on other validation tokens and the steps seen before the artifact."""
    return check_cause(subject, "prequant-ttt", Strength.CONVICTS, 0.97)
