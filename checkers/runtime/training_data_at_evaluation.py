"""Training shards are opened after the artifact is read back, and what they hold changes what is scored."""

from __future__ import annotations

from checkers.finding import CheckResult, Strength
from checkers.runtime._experiments import decide, experiment
from checkers.subject import Subject
from harness.record import Experiment

RULE = "training-data-at-evaluation"


def check(subject: Subject) -> CheckResult:
    """Read which files are opened during evaluation.

    It convicts where other tokens in them make other weights. Charges that move with the weights as they
    were are a fitted temperature or the like, which organizers have accepted: a person judges it.
    """
    found = experiment(subject, "budget")
    proven = isinstance(found, Experiment) and _of_weights(found)
    strength, confidence = (Strength.CONVICTS, 0.97) if proven else (Strength.SUSPECT, 0.6)
    return decide(subject, "budget", RULE, strength, confidence, "files opened during evaluation")


def _of_weights(found: Experiment) -> bool:
    return bool(found.data.get("charges_moved")) and bool(found.data.get("weights_moved"))
