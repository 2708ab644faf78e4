"""The clocks of a run: when training stopped, what the claimed evaluation took, on how many GPUs."""

from __future__ import annotations

from dataclasses import dataclass

from checkers.evidence._runs import Counted
from checkers.evidence._track import RECORD_SECONDS
from harness.logs import Place, TimingKind, TrainLog

FULL_NODE = 8  # GPUs of the official machine
_GRACE = 1.0  # seconds: the loop looks at its clock once a step, after the device has been synchronized


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, and the line that gives them."""

    seconds: float
    place: Place


def training(log: TrainLog) -> Duration | None:
    """The training clock when the loop stopped."""
    if log.stop and log.stop.seconds:
        return Duration(log.stop.seconds, log.stop.place)
    timed = [t for t in log.timings if t.kind is TimingKind.TRAIN]
    if timed:
        return Duration(timed[-1].seconds, timed[-1].place)
    if log.last_step and log.last_step.seconds:
        return Duration(log.last_step.seconds, log.last_step.place)
    return None


def grace(log: TrainLog) -> float:
    """How far the clock may overshoot without fault: two steps, at least a second."""
    clock = training(log)
    steps = log.stop.step if log.stop and log.stop.step > 0 else log.last_step.step if log.last_step else 0
    return max(_GRACE, 2.0 * clock.seconds / steps) if clock and steps > 0 else _GRACE


def evaluation(run: Counted) -> Duration | None:
    """What the evaluation that printed the claimed score took.

    The line with all digits often lacks the time; then it stands on the rounded line of the same score.
    """
    own = run.score
    if own.eval_seconds is not None:
        return Duration(own.eval_seconds, own.place)
    for other in run.log.finals:
        near = own.bpb is not None and other.bpb is not None and abs(other.bpb - own.bpb) < 6e-5
        if near and other.eval_seconds is not None:
            return Duration(other.eval_seconds, other.place)
    return None


def limit(log: TrainLog) -> float | None:
    """The training limit that the run itself was given, in seconds."""
    setting = log.settings.get("max_wallclock_seconds")
    try:
        return float(setting.value) if setting else None
    except ValueError:
        return None


def of_seed(log: TrainLog) -> str:
    """Which run a message is about, nothing where the log prints no seed."""
    return f" (seed {log.seed_value})" if log.seed_value is not None else ""


def smaller_machine(log: TrainLog) -> bool:
    """The run used fewer GPUs than the official node, so its seconds are not those of the rule."""
    world = log.world_size
    return world is not None and world < FULL_NODE


def openly_longer(log: TrainLog) -> bool:
    """The run was configured for more than ten minutes: it does not pretend to meet the limit."""
    given = limit(log)
    return given is not None and given > RECORD_SECONDS + 1
