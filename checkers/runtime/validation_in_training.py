"""Validation tokens are among what the weights were trained on."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._independence import check_cause
from checkers.subject import Subject


def check(subject: Subject) -> CheckResult:
    """Read the run on other validation tokens and the steps seen among the training steps."""
    return check_cause(subject, "validation-in-training", Strength.CONVICTS, 0.97)
