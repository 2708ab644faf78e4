"""The clocks of a run: when training stopped, what the claimed evaluation took, on how many GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from checkers.evidence._runs import Counted
from checkers.evidence._track import RECORD_SECONDS
from checkers.finding import Strength
from checkers.subject import Subject
from harness.logs import Place, TimingKind, TrainLog

FULL_NODE = 8  # GPUs of the official machine
_GRACE = 1.0  # seconds: the loop looks at its clock once a step, after the device has been synchronized
_OFFICIAL = re.compile(r"\b8\s*(?:[x\u00d7*]|GPUs?\b[ ,(]*)?\s*(?:NVIDIA )?H100", re.IGNORECASE)
_ANOTHER = re.compile(
    r"\b(?:1|2|4|one|two|four|single)\s*[x\u00d7-]?\s*(?:NVIDIA )?(?:GPU|H100)|\b(?:GTX|RTX|Apple M\d|TPU"
    r"|[AV]100|A6000|A40|T4|L4|L40S?|L20Z?|GH200|B200|GB10|MI\d{3}X?|[2345]0[6789]0)\b",
    re.IGNORECASE,
)


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


def official_machine(subject: Subject, log: TrainLog) -> bool:
    """The run is known to have used the official node: by the GPUs it printed, else by the documents.

    Documents that speak of another machine leave a run open that prints no number of GPUs.
    """
    paths = [p for p in (subject.logs.readme_path, subject.logs.metadata_path) if p]
    said = "\n".join(subject.submission.text(path) for path in paths)
    named = _OFFICIAL.search(said) is not None
    other = _ANOTHER.search(said) is not None
    if log.world_size is not None:
        return log.world_size == FULL_NODE and (named or not other)
    launched = any(command.processes == FULL_NODE for command in subject.logs.commands)
    return (named or launched) and not other


def binding(subject: Subject, log: TrainLog) -> tuple[Strength, str]:
    """How far the limits of the official node bind a run, and what to add to a message about its seconds."""
    if smaller_machine(log):
        return (
            Strength.REMARK,
            f"; it ran on {log.world_size} GPUs, so the limit of the full node does not measure it",
        )
    if openly_longer(log):
        return (
            Strength.SUSPECT,
            "; the run was configured outside the limits: it belongs in the non-record track",
        )
    if not official_machine(subject, log):
        return Strength.SUSPECT, "; nothing shows that it ran on the official machine"
    return Strength.CONVICTS, ""


def openly_longer(log: TrainLog) -> bool:
    """The run was configured for more than ten minutes: it does not pretend to meet the limit."""
    given = limit(log)
    return given is not None and given > RECORD_SECONDS + 1
