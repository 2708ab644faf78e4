"""Training shards that hold documents of the validation set, known by their number."""

from __future__ import annotations

from checkers.evidence._runs import counted
from checkers.evidence._say import found, plural
from checkers.finding import CheckResult, Strength, cannot_tell, examined
from checkers.subject import Subject

RULE = "train-validation-overlap"
FINGERPRINTS = {1499: "the export whose training part begins inside the official validation documents"}


def check(subject: Subject) -> CheckResult:
    """Compare the number of training shards of every counted run with the known overlapping export."""
    runs = [run for run in counted(subject) if run.log.train_shards is not None]
    if not runs:
        return cannot_tell("no log says how many training shards were found")
    findings = [
        found(
            RULE,
            f"{shards} training shards: {FINGERPRINTS[shards]}",
            run.log.settings["train_shards"].place,
            Strength.SUSPECT,
            0.7,
            data={"train_shards": shards},
        )
        for run in runs
        if (shards := run.log.train_shards) in FINGERPRINTS
    ]
    return examined(len(runs), plural(len(runs), "shard count"), findings)
