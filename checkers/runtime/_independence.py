"""Three rules read the same experiment: weights that differ when the validation tokens differ."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength, cannot_tell, examined
from checkers.runtime._experiments import experiment, finding
from checkers.subject import Subject
from harness.record import Experiment, Holds

LOOKED_AT = "weights and artifact under two validation sets"


def cause(found: Experiment) -> str:
    """Which rule the dependence breaks, by what the trace shows of it."""
    if found.data.get("updates_while_training"):
        return "validation-in-training"
    return "prequant-ttt" if found.data.get("updates_on_validation") else "calibration-on-validation"


def check_cause(subject: Subject, rule: str, strength: Strength, confidence: float) -> CheckResult:
    """A finding if the evaluated weights depend on validation tokens in the way that ``rule`` names."""
    found = experiment(subject, "independence")
    if isinstance(found, CheckResult):
        return found
    if found.result is Holds.VIOLATED and cause(found) == rule:
        return examined(1, LOOKED_AT, [finding(subject, rule, found, strength, confidence)])
    if found.result in (Holds.UNDECIDED, Holds.NOT_RUN):
        return cannot_tell(found.summary)
    return examined(1, LOOKED_AT)
