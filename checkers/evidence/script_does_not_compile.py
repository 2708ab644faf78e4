"""The training script must be Python that some current interpreter accepts."""

from __future__ import annotations

from checkers.evidence._say import found, plural
from checkers.finding import CheckResult, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Place
from harness.lowering import why_not

RULE = "script-does-not-compile"


def check(subject: Subject) -> CheckResult:
    """Every Python layer that runs must parse, in the grammar of Python 3.12 or older."""
    python = [layer for layer in subject.layers if layer.language == "python"]
    if not python:
        return cannot_tell("there is no training script to parse")
    findings = []
    for layer in python:
        reason = why_not(layer.lowered) if layer.problem and layer.lowered else None
        if reason is None:
            continue
        message = f"{layer.name} does not parse: {reason}"
        strength = Strength.CONVICTS if layer.parent is None else Strength.SUSPECT
        findings.append(found(RULE, message, Place(layer.path), strength, 0.8))
    return examined(len(python), plural(len(python), "source layer"), findings)
