"""The typed records that reading logs, metadata and READMEs gives: frozen values, each with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was said. Lines count from 1; 0 means the whole file."""

    path: str
    line: int = 0
    excerpt: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


class Stage(StrEnum):
    """Which moment of a run a score belongs to."""

    PROGRESS = "progress"  # printed during training, at a step
    FINAL = "final"  # printed after training, whatever it is called


class SizeKind(StrEnum):
    """What a printed size counts."""

    TOTAL = "total"  # code and compressed model together
    ARTIFACT = "artifact"  # "artifact": whether the code is in it is not said
    MODEL = "model"  # the compressed model
    CODE = "code"  # the code as counted
    CODE_RAW = "code_raw"  # the code before minifying or packing, where a log prints both
    RAW = "raw"  # the uncompressed checkpoint and sums with it: no artifact


class TimingKind(StrEnum):
    """What a printed duration measures."""

    TRAIN = "train"  # the clock of the training loop when it stopped
    EVAL = "eval"  # one evaluation
    EVAL_TOTAL = "eval_total"  # all evaluation, as the log itself sums it
    ADAPTATION = "adaptation"  # test-time training that ends before a score is printed
    CALIBRATION = "calibration"  # GPTQ Hessians or activation statistics
    RESERVE = "reserve"  # training time given up for calibration
    LIMIT = "limit"  # when the training loop meant to stop


@dataclass(frozen=True, slots=True)
class Score:
    """One printed val_loss (nats per token) and val_bpb. ``label`` is the text before the numbers."""

    label: str
    loss: float | None
    bpb: float | None
    stage: Stage
    place: Place
    exact: bool = False
    step: int | None = None
    eval_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """One printed size in bytes. ``label`` is the text that names it."""

    kind: SizeKind
    label: str
    bytes: int
    place: Place


@dataclass(frozen=True, slots=True)
class Timing:
    """One printed duration in seconds."""

    kind: TimingKind
    label: str
    seconds: float
    place: Place


@dataclass(frozen=True, slots=True)
class Setting:
    """One printed hyperparameter. ``name`` is lower case, ``value`` the text as printed."""

    name: str
    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Step:
    """One training step line. ``iterations`` is the planned number, ``seconds`` the training clock."""

    step: int
    iterations: int | None
    seconds: float | None
    place: Place


@dataclass(frozen=True)
class TrainLog:
    """One run as its log tells it. A file that holds several runs gives one TrainLog for each.

    ``source`` is the script that the log prints before it starts, None where it prints none.
    ``crashes`` are the places of tracebacks; ``first`` and ``last`` are the lines the run spans.
    """

    path: str
    first: int
    last: int
    seed: Setting | None = None
    scores: tuple[Score, ...] = ()
    sizes: tuple[Size, ...] = ()
    timings: tuple[Timing, ...] = ()
    settings: dict[str, Setting] = field(default_factory=dict)
    stop: Step | None = None  # "stopping_early: wallclock_cap"
    last_step: Step | None = None
    source: str | None = None
    source_line: int = 0
    crashes: tuple[Place, ...] = ()

    @property
    def finals(self) -> tuple[Score, ...]:
        """The scores printed after training, in order."""
        return tuple(s for s in self.scores if s.stage is Stage.FINAL)

    @property
    def seed_value(self) -> int | None:
        """The seed as a number, None where the log does not print one."""
        return _integer(self.seed.value) if self.seed else None

    @property
    def world_size(self) -> int | None:
        """The number of GPUs that the run printed."""
        return self.number("world_size")

    @property
    def train_shards(self) -> int | None:
        """The number of training shards that the run found."""
        return self.number("train_shards")

    @property
    def val_tokens(self) -> int | None:
        """The number of validation tokens that the run loaded."""
        return self.number("val_tokens")

    def number(self, name: str) -> int | None:
        """A setting as an integer, None when it was not printed or is none."""
        setting = self.settings.get(name)
        return _integer(setting.value) if setting else None


class Measure(StrEnum):
    """What a claim states."""

    BPB = "val_bpb"
    LOSS = "val_loss"
    BPB_STD = "val_bpb_std"
    TOTAL_BYTES = "bytes_total"
    MODEL_BYTES = "bytes_model"
    CODE_BYTES = "bytes_code"
    TRAIN_SECONDS = "train_seconds"
    EVAL_SECONDS = "eval_seconds"
    SEED = "seed"
    TRACK = "track"


@dataclass(frozen=True, slots=True)
class Claim:
    """One number that ``submission.json`` or the README states.

    ``key`` is the JSON path or the heading of the column. ``seed`` is None for a claim about the
    whole submission. ``digits`` is how many decimals were written, so that rounding can be allowed.
    """

    measure: Measure
    value: float
    key: str
    place: Place
    seed: int | None = None
    digits: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One command line that runs a script: the settings it exports, the script and its arguments."""

    env: dict[str, str]
    script: str | None
    processes: int | None
    place: Place
    arguments: tuple[str, ...] = ()


def _integer(text: str) -> int | None:
    try:
        return int(text.replace(",", "").replace("_", ""))
    except ValueError:
        return None
