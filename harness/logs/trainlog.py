"""Read one train log into runs: one pass over its lines, each line looked at by few cheap patterns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from harness.logs import embedded, measures
from harness.logs.records import Place, Score, Setting, Size, Stage, Step, Timing, TrainLog
from harness.logs.settings import settings_of

MAX_CHARACTERS = 32_000_000  # more than any log of the archive; the rest of a longer one is not read
_LINE = 2_000  # characters of a line that are looked at
_MOST = 4_000  # records of one kind that are kept for one run


@dataclass
class _Run:
    """A run while it is being read."""

    path: str
    first: int
    scores: list[Score] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    settings: dict[str, Setting] = field(default_factory=dict)
    inherited: dict[str, Setting] = field(default_factory=dict)  # printed by an earlier run of the file
    crashes: list[Place] = field(default_factory=list)
    stop: Step | None = None
    last_step: Step | None = None
    finished: bool = False  # a final score was printed
    silent: set[str] = field(default_factory=set)  # lines that tell nothing more when they are said again
    idle: set[bytes] = field(default_factory=set)  # the same with 0 for every digit: so do all that look so

    def close(self, last: int) -> TrainLog:
        settings = {**self.inherited, **self.settings}
        seed = settings.get("seed") or _seed_by_name(self.path)
        return TrainLog(
            path=self.path,
            first=self.first,
            last=last,
            seed=seed,
            scores=tuple(self.scores),
            sizes=tuple(self.sizes),
            timings=tuple(self.timings),
            settings=settings,
            stop=self.stop,
            last_step=self.last_step,
            crashes=tuple(self.crashes),
        )


def parse(path: str, text: str) -> tuple[tuple[TrainLog, ...], tuple[Place, ...]]:
    """Read every run of a log, and where it crashes. A file without a step, score or size gives no run."""
    lines = text[:MAX_CHARACTERS].replace("\r", "\n").split("\n")
    script = embedded.find(lines)
    skip = range(script.start, script.stop) if script else range(0)
    runs: list[TrainLog] = []
    run = _Run(path, 1)
    for index, line in enumerate(lines):
        if index in skip or not line.strip() or _quotes_a_log(line):
            continue
        number = index + 1
        if _restarts(run, line):
            runs.append(run.close(number - 1))
            run = _Run(path, number, inherited={**run.inherited, **run.settings})
        _take(run, line[:_LINE], number)
    runs.append(run.close(len(lines)))
    crashes = tuple(c for r in runs for c in r.crashes)
    kept = tuple(r for r in runs if r.scores or r.sizes or r.last_step or r.stop)
    if script and kept:
        kept = tuple(replace(r, source=script.text, source_line=script.start + 1) for r in kept)
    return kept, crashes


def _quotes_a_log(line: str) -> bool:
    """Whether a line of a JSON report holds lines of another log: their order and stage are lost in it."""
    return line.lstrip().startswith('"') and "\\n" in line


def _seed_by_name(path: str) -> Setting | None:
    """A log that does not print its seed may be named for it."""
    found = re.search(r"(?:seed|_s)[_-]?(\d{1,10})(?!\d)", path.rpartition("/")[2], re.IGNORECASE)
    return Setting("seed", found[1], Place(path)) if found else None


def _restarts(run: _Run, line: str) -> bool:
    """A run that has printed a final score ends where step 0 or the banner of another run appears."""
    if not run.finished:
        return False
    return bool(_BEGINS.match(measures.strip_prefix(line)))


_BEGINS = re.compile(
    r"(?:step:)?0/\d+ val_loss|Running Python \d|Hyperparameters:|logs/\S+\.txt\s*$|seed[:=]\s*\d+\s*$"
    r"|[=#-]+ *seed[ :=]*\d+ *[=#-]+\s*$",
    re.IGNORECASE,
)


def _take(run: _Run, raw: str, number: int) -> None:
    """File what one line says under the run.

    Warnings of every rank and every compilation can be nine lines of ten, a few of them again and again,
    the same or with other numbers.
    """
    line = measures.strip_prefix(raw)
    look = line.encode("utf-8", "surrogatepass").translate(_ZEROS)
    if line in run.silent or look in run.idle:
        return
    place = Place(run.path, number, line.strip()[:300])
    step = measures.train_step(line, place) if "loss" in line else None
    if step:
        run.last_step = step
    elif not _taken(run, line, place):
        if _numbers_tell(line):
            run.silent.add(line)
        else:
            run.idle.add(look)


_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_NUMBERED = re.compile(r"(?<!\w)[A-Za-z_]\w*?\d\w*\s*[:=]")


def _numbers_tell(line: str) -> bool:
    """Whether a line that says nothing new might say something with other numbers in their places.

    The patterns take one digit as another, but for those of scores ("pass 1") and sizes ("/16"); and the
    names of settings may be told apart by a number.
    """
    lower = line.lower()
    return "bpb" in lower or "size" in lower or "bytes" in lower or bool(_NUMBERED.search(line))


def _taken(run: _Run, line: str, place: Place) -> bool:
    """File what a line other than a training step says; whether it counts again when it is repeated."""
    before = len(run.scores), len(run.sizes), len(run.timings), len(run.crashes), run.stop
    if "bpb" in line or "BPB" in line:
        _take_scores(run, line, place)
    if "stopping_early" in line:
        run.stop = measures.stop(line, place) or run.stop
    elif measures.crash(line):
        run.crashes.append(place)
    size = measures.size(line, place)
    if size and len(run.sizes) < _MOST:
        run.sizes.append(size)
    if len(run.timings) < _MOST:
        run.timings.extend(measures.timings(line, place))
    if len(run.settings) < _MOST:
        for setting in settings_of(line, place):  # the first value of a name stays
            run.settings.setdefault(setting.name, setting)
    return before != (len(run.scores), len(run.sizes), len(run.timings), len(run.crashes), run.stop)


def _take_scores(run: _Run, line: str, place: Place) -> None:
    for score in measures.scores(line, place):
        if len(run.scores) < _MOST:
            run.scores.append(score)
        run.finished = run.finished or score.stage is Stage.FINAL
