"""What an instrumented run leaves behind: its outcome, its settings and its experiments."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How the run of the submission's own code ended."""

    COMPLETED = "completed"  # reached its final val_bpb
    BLOCKED = "blocked"  # something named is missing on this machine (kernel, package, binary)
    CRASHED = "crashed"  # the script failed by itself, at full or reduced size
    TIMEOUT = "timeout"
    REFUSED = "refused"  # no sandbox can be built here
    SKIPPED = "skipped"  # --no-run, or there is no training script


class Holds(StrEnum):
    """The result of one experiment."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNDECIDED = "undecided"
    NOT_RUN = "not_run"


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment: its name (``noise``, ``prefix``, ``kraft``, ...), result, and numbers.

    ``data`` is JSON-able. A violated experiment carries a minimized counterexample in it and a
    ``replay`` id that `golf-audit check ... --replay ID` accepts.
    """

    name: str
    result: Holds
    summary: str
    data: dict[str, Any] = field(default_factory=dict)
    replay: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One instrumented run of one submission. Times are wall seconds on this machine."""

    outcome: Outcome
    blocker: str | None = None
    profile: str = "default"  # "default" or "as_claimed"
    settings: dict[str, str] = field(default_factory=dict)  # what was changed to fit, and switched on
    reported: dict[str, float] = field(default_factory=dict)  # val_loss, val_bpb as the script says
    experiments: tuple[Experiment, ...] = ()
    coverage: dict[str, Any] = field(default_factory=dict)  # layer name -> executed line ranges
    sandbox: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
