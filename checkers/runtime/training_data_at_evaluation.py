"""Training shards are opened after the artifact is read back, and what they hold moves the charges."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._experiments import decide, experiment
from checkers.subject import Subject
from harness.record import Experiment

RULE = "training-data-at-evaluation"


def check(subject: Subject) -> CheckResult:
    """Read which files are opened during evaluation; it convicts where other tokens in them move charges."""
    found = experiment(subject, "budget")
    proven = isinstance(found, Experiment) and bool(found.data.get("charges_moved"))
    strength, confidence = (Strength.CONVICTS, 0.97) if proven else (Strength.SUSPECT, 0.6)
    return decide(subject, "budget", RULE, strength, confidence, "files opened during evaluation")
