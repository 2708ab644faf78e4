"""The artifact depends on validation tokens although no optimizer step used them."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._independence import check_cause
from checkers.subject import Subject


def check(subject: Subject) -> CheckResult:
    """Read the run on other validation tokens; selection by validation loss looks the same, so: suspect."""
    return check_cause(subject, "calibration-on-validation", Strength.SUSPECT, 0.7)
