"""The LogBook: every record a submission's documents give, and the headline configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.logs import commands, metadata, readme, trainlog
from harness.logs.records import Claim, Command, Measure, Place, Score, Setting, TrainLog
from harness.submission import Change, FileEntry, Submission, SubmissionError
from harness.unpack import Layer

_LOG_SUFFIXES = (".log", ".txt", ".out", ".stdout", ".stderr", ".log.txt")
_NOT_LOGS = ("requirements", "license", "notice", "vocab", "readme", "prompt", "cmakelists")
_SHELL_SUFFIXES = (".sh", ".sbatch", ".slurm", ".bash")
_MOST_FILES = 400
_SETTINGS_BYTES = 200_000


@dataclass(frozen=True)
class LogBook:
    """What the documents of a submission say.

    ``logs`` are the runs of the primary record folder, ``elsewhere`` those of other folders of the
    change. ``problems`` name the files that could not be read and why.
    """

    logs: tuple[TrainLog, ...] = ()
    elsewhere: tuple[TrainLog, ...] = ()
    claims: tuple[Claim, ...] = ()
    commands: tuple[Command, ...] = ()
    metadata: dict[str, Any] | None = None
    metadata_path: str | None = None
    readme_path: str | None = None
    log_paths: tuple[str, ...] = ()
    problems: tuple[Place, ...] = ()
    crashes: tuple[Place, ...] = ()  # tracebacks in logs that hold no run at all

    @cached_property
    def finished(self) -> tuple[TrainLog, ...]:
        """The runs that printed a score after training."""
        return tuple(log for log in self.logs if log.finals)

    @cached_property
    def headline(self) -> TrainLog | None:
        """The run whose printed final score is nearest to the claimed one; else the last finished run."""
        claimed = self.claimed_bpb()
        if not self.finished:
            return self.logs[-1] if self.logs else None
        if claimed is None:
            return self.finished[-1]
        return min(self.finished, key=lambda log: _distance(log, claimed.value))

    def by_seed(self) -> dict[str, tuple[TrainLog, Score]]:
        """For each seed the run and the final score nearest to the claim; without a claim the last.

        Folders hold older runs of a seed, too, and runs print scores before and after adaptation. A run
        that prints no seed counts under the name of its file.
        """
        claim = self.claimed_bpb()
        best: dict[str, tuple[float, TrainLog, Score]] = {}
        for log in self.finished:
            name = str(log.seed_value) if log.seed_value is not None else log.path.rsplit("/", 1)[-1]
            for score in log.finals:
                if score.bpb is None:
                    continue
                off = abs(score.bpb - claim.value) if claim else 0.0
                if name not in best or off <= best[name][0]:
                    best[name] = off, log, score
        return {name: (log, score) for name, (_, log, score) in best.items()}

    def hyperparameters(self) -> dict[str, Setting]:
        """The configuration that the headline run printed: lower-case name to value and place.

        Names that only another run of the folder printed are added from there.
        """
        merged: dict[str, Setting] = {}
        headline = self.headline
        order = ([headline] if headline else []) + [log for log in self.logs if log is not headline]
        for log in order:
            for name, setting in log.settings.items():
                merged.setdefault(name, setting)
        return merged

    def claimed_bpb(self) -> Claim | None:
        """The score that the submission claims: ``val_bpb`` of its metadata, else of its README.

        None where the metadata leaves it open, by null or by a number that fills the place of a score:
        no code length is 0 or less.
        """
        whole = [c for c in self.claims if c.measure is Measure.BPB and c.seed is None]
        top = [c for c in whole if "." not in c.key and c.place.path == self.metadata_path]
        order = {"val_bpb": 0, "val_bpb_mean": 1, "mean_val_bpb": 1, "val_bpb_exact": 2}
        if top:
            stated = min(top, key=lambda c: order.get(c.key.lower(), 9))
            return stated if stated.value > 0.0 else None
        if self.metadata is not None and self.metadata.get("val_bpb", 0) is None:
            return None  # left open on purpose: numbers in the prose are somebody else's
        return next((c for c in whole if c.place.path == self.readme_path), None)


def _distance(log: TrainLog, claimed: float) -> float:
    return min((abs(s.bpb - claimed) for s in log.finals if s.bpb is not None), default=float("inf"))


def read(submission: Submission, layers: tuple[Layer, ...] = ()) -> LogBook:
    """Read every document of a submission. Total: what cannot be read becomes a problem, never an error.

    ``layers`` are not read here; they are part of the call so that a log dialect which names its
    script may use them.
    """
    reader = _Reader(submission)
    folder = submission.folder
    inside = [e for e in submission.files() if folder is None or e.path.startswith(f"{folder}/")]
    logs, paths = reader.logs(inside)
    others = [e for e in _others(submission, inside) if not logs or "records/" in e.path]
    elsewhere, _ = reader.logs(others)
    meta_path, meta, claimed = reader.metadata(inside)
    readme_path, said, asked = reader.readme(inside)
    return LogBook(
        logs=logs,
        elsewhere=elsewhere,
        claims=claimed + said,
        commands=commands.completed(asked + reader.scripts(inside), reader.settings(inside)),
        metadata=meta,
        metadata_path=meta_path,
        readme_path=readme_path,
        log_paths=paths,
        problems=tuple(reader.problems),
        crashes=tuple(reader.crashes),
    )


def _others(submission: Submission, inside: list[FileEntry]) -> list[FileEntry]:
    own = {e.path for e in inside}
    return [
        e
        for e in submission.entries
        if e.path not in own and e.problem is None and e.change is not Change.DELETED
    ]


class _Reader:
    """Reads the files of one submission and collects what could not be read."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.problems: list[Place] = []
        self.crashes: list[Place] = []

    def _text(self, entry: FileEntry) -> str:
        try:
            return self.submission.text(entry.path)
        except SubmissionError as error:
            self.problems.append(Place(entry.path, 0, str(error)))
            return ""

    def logs(self, entries: list[FileEntry]) -> tuple[tuple[TrainLog, ...], tuple[str, ...]]:
        found: list[TrainLog] = []
        paths: list[str] = []
        for entry in [e for e in entries if _may_be_log(e.path)][:_MOST_FILES]:
            runs, crashes = trainlog.parse(entry.path, self._text(entry))
            if runs:
                found.extend(runs)
                paths.append(entry.path)
            else:
                self.crashes.extend(crashes[:1])
        return tuple(found), tuple(paths)

    def metadata(
        self, entries: list[FileEntry]
    ) -> tuple[str | None, dict[str, Any] | None, tuple[Claim, ...]]:
        named = sorted(
            (e for e in entries if _name(e.path) == "submission.json"), key=lambda e: e.path.count("/")
        )
        if not named:
            return None, None, ()
        try:
            loaded, claimed = metadata.parse(named[0].path, self._text(named[0]))
        except metadata.MetadataError as error:
            self.problems.append(Place(named[0].path, 0, str(error)))
            return named[0].path, None, ()
        return named[0].path, loaded, claimed

    def readme(self, entries: list[FileEntry]) -> tuple[str | None, tuple[Claim, ...], tuple[Command, ...]]:
        named = sorted(
            (
                e
                for e in entries
                if _name(e.path).startswith("readme") and e.path.lower().endswith((".md", ".txt", "readme"))
            ),
            key=lambda e: (e.path.count("/"), _name(e.path) != "readme.md"),
        )
        if not named:
            return None, (), ()
        path, text = named[0].path, self._text(named[0])
        return path, readme.claims(path, text), commands.commands(path, text, shell=False)

    def scripts(self, entries: list[FileEntry]) -> tuple[Command, ...]:
        shells = [e for e in entries if e.path.lower().endswith(_SHELL_SUFFIXES)][:40]
        return tuple(c for e in shells for c in commands.commands(e.path, self._text(e), shell=True))

    def settings(self, entries: list[FileEntry]) -> list[Command]:
        """Files that list the settings of a run."""
        named = [e for e in entries if e.path.lower().endswith(".json") and e.size <= _SETTINGS_BYTES]
        files = [e for e in named if _name(e.path) != "submission.json"][:_MOST_FILES]
        found = (commands.settings_file(e.path, self._text(e)) for e in files)
        return [command for command in found if command is not None]


def _name(path: str) -> str:
    return path.rpartition("/")[2].lower()


def _may_be_log(path: str) -> bool:
    name = _name(path)
    return name.endswith(_LOG_SUFFIXES) and not name.startswith(_NOT_LOGS)
