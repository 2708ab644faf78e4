"""What runs where, by structure: training data touched after training, or during evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.events import Charged, FileRead, Reached, Stepped
from harness.experiments.passive import entry
from harness.experiments.stages import Stage
from harness.record import Experiment, Holds
from harness.trace import Trace


@dataclass(frozen=True)
class _Reads:
    """Training shards opened after the last training step: before evaluation begins for sure, and since."""

    before: list[str]
    since: list[str]


def budget(main: Trace, base: Stage) -> Experiment:
    """Training shards may be opened until the artifact is read back.

    Where none is, evaluation begins for sure with the first charge of the score, and training ends for sure
    with its last step: what is opened between the two may calibrate what a script goes on to quantize.
    """
    steps = [n for n, s in main.of(Stepped) if not s.positions]
    began, trained = entry(main), max(steps, default=-1)
    artifact = max((n for n, e in main.of(FileRead) if e.role == "artifact"), default=None)
    found = (
        _reads(main, trained, _start(base)) if artifact is None else _reads(main, max(trained, artifact), 0)
    )
    reads = [n for n, e in main.of(FileRead) if e.role == "training"]
    data: dict[str, Any] = {
        "training_steps": len(steps),
        "training_reads_after_training": sum(1 for n in reads if trained < n < began),
        "training_reads_in_evaluation": found.since,
        "artifact_read_back": artifact is not None,
        "validation_charges_before_artifact": sum(1 for n, _ in main.of(Charged) if n < began),
        "updates_in_evaluation": sum(1 for n, s in main.updates() if n > began and s.positions),
        "connections": [e.target for _, e in main.of(Reached) if e.kind == "socket.connect"],
    }
    if found.since and not found.before:
        return Experiment("budget", Holds.VIOLATED, "training shards are opened during evaluation", data)
    if artifact is not None:
        told = "no training shard is opened after the artifact is read back"
        return Experiment("budget", Holds.HOLDS if began >= 0 else Holds.UNDECIDED, told, data)
    if not steps or not len(base.order):
        told = "no artifact was seen to be read back, and where training ends and scoring begins was not seen"
        return Experiment("budget", Holds.UNDECIDED, told, data)
    if found.before:
        told = "no artifact was seen to be read back, and training shards are opened after the last step"
        return Experiment("budget", Holds.UNDECIDED, told, data)
    told = "no training shard is opened after the last step of training"
    return Experiment("budget", Holds.HOLDS, told, data)


def _start(base: Stage) -> int | None:
    """Number of the event in which the first loss behind the score was computed."""
    return int(base.order.min()) if len(base.order) else None


def _reads(main: Trace, trained: int, start: int | None) -> _Reads:
    later = [(n, e.path) for n, e in main.of(FileRead) if e.role == "training" and n > trained]
    since = [path for n, path in later if start is not None and n > start]
    return _Reads([path for n, path in later if start is None or n <= start], since)
