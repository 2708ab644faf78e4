"""Training shards are opened after the artifact is read back."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._experiments import decide
from checkers.subject import Subject

RULE = "training-data-at-evaluation"


def check(subject: Subject) -> CheckResult:
    """Read which files are opened during evaluation; what becomes of them the trace does not tell."""
    return decide(subject, "budget", RULE, Strength.SUSPECT, 0.6, "files opened during evaluation")
