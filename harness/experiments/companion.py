"""Instruments that accompany a run: a twin on noise beside it, probes after it.

``Instruments`` is a ``harness.runner.Companion``. While the script runs, its twin runs the same
script on noise; when the script has ended, ``conduct`` starts probes from the snapshot that its
evaluation left behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

from harness import trace
from harness.events import FileRead, FileWritten, Finished
from harness.experiments import ground as grounds
from harness.experiments.bench import Ground, Session
from harness.experiments.conduct import conduct
from harness.experiments.noise import noise_tokens
from harness.probes.changes import HEADER
from harness.probes.opens import NO_ARTIFACT
from harness.probes.twin import STREAM
from harness.record import Experiment

FULL_TOKENS = 40_000_000
"""Validation tokens of a full run: 62,021,632 at 1,024 symbols, 40.5 million and more at 8,192."""


class Place(Protocol):
    """What the experiments use of a prepared run (``harness.workspace.Workspace``)."""

    @property
    def root(self) -> Path: ...  # noqa: D102
    @property
    def repo(self) -> Path: ...  # noqa: D102
    @property
    def worlds(self) -> tuple[Path, ...]: ...  # noqa: D102
    @property
    def validation_files(self) -> dict[str, tuple[str, ...]]: ...  # noqa: D102


class Instruments:
    """One attempt at a time. ``seconds`` is what run and experiments together may take.

    ``traces`` is the folder that keeps the trace file of every attempt. Without ``experiments`` the trace is
    all there is: no twin, no snapshot, tables of their own size.
    """

    def __init__(
        self, traces: Path, seconds: float = 150.0, twin: bool = True, experiments: bool = True
    ) -> None:
        self._traces, self._seconds = traces, seconds
        self._twin, self._experimenting = twin and experiments, experiments
        self._attempts = 0
        self._link: trace.Link | None = None
        self._grounds: dict[str, Ground] = {}
        self._experiments: tuple[Experiment, ...] = ()
        self._planned: dict[Path, int] = {}  # when the first process of a run began, in nanoseconds
        self._twin_ended = False  # in the attempt before
        self.problem = ""

    def begin(self) -> tuple[int, ...]:
        """Open the pipes of a new attempt."""
        self._traces.mkdir(parents=True, exist_ok=True)
        self._attempts += 1
        path = self._traces / f"attempt_{self._attempts}.trace"
        path.unlink(missing_ok=True)
        self._link = trace.Link(path)
        self._grounds, self._experiments, self.problem = {}, (), ""
        return self._link.child_fds

    def plan(self, place: Place) -> dict[str, Any]:
        """Keywords of the child's ``ProbeConfig``; writes the twin's world.

        A second process in the same place goes on with what the first has written, and its twin with what
        the first one's twin has; without a whole twin nothing that was written before is told from our files.
        """
        assert self._link is not None
        now = time.time_ns()
        since = self._planned.setdefault(place.root, now)
        if self._twin and since != now and not self._twin_ended:
            shutil.rmtree(_twin_folder(place), ignore_errors=True)
            since = now
        events, commands = self._link.child_fds
        files = place.validation_files
        self._grounds = {os.path.dirname(paths[0]): _ground(place, paths) for paths in files.values()}
        every = tuple(path for paths in files.values() for path in paths)
        return {
            "event_fd": events,
            "command_fd": commands if self._experimenting else None,
            "run_dir": str(place.repo),
            "validation_files": list(every),
            "table_scale": self._table_scale(),
            "twin": self._twin_plan(place, files) if self._twin else None,
            "since": since,
        }

    def _table_scale(self) -> float:
        if not self._experimenting:
            return 1.0
        return max(len(g.tokens) for g in self._grounds.values()) / FULL_TOKENS

    def _twin_plan(self, place: Place, files: dict[str, tuple[str, ...]]) -> dict[str, Any]:
        folder = _twin_folder(place)
        if not folder.exists():
            shutil.copytree(place.repo, folder, symlinks=True)
        varied: dict[str, str] = {}
        for name, paths in files.items():
            tokens, at = noise_tokens(self._grounds[os.path.dirname(paths[0])]), 0
            (place.root / "noise" / name).mkdir(parents=True, exist_ok=True)
            for path in paths:
                raw = Path(path).read_bytes()
                count = (len(raw) - HEADER) // 2
                target = place.root / "noise" / name / os.path.basename(path)
                target.write_bytes(raw[:HEADER] + tokens[at : at + count].astype("<u2").tobytes())
                varied[os.path.realpath(path)] = str(target)
                at += count
        status = str(place.root / "status.json")
        return {
            "folders": {str(place.repo): str(folder), status: status + ".noise"},
            "files": varied,
            "output": str(place.root / "output.noise.txt"),
        }

    def attend(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        """Receive the trace; when the script has ended, run the experiments; then hang up."""
        assert self._link is not None
        began, self._twin_ended = time.monotonic(), False
        with self._link as link:
            link.started()
            while not link.wait_until(lambda t: bool(t.of(Finished, 0)), 0.5):
                if process.poll() is not None or time.monotonic() > deadline - 2:
                    self.problem = "the script did not reach its end under the probes"
                    return
            error = link.trace().of(Finished, 0)[0][1].error
            if error:
                self.problem = f"the script died: {error}"
                self._twin_ended = self._twin and self._await_twin(link, began, deadline)
                return
            if not self._experimenting:
                return
            limit = min(deadline - 3, max(began + self._seconds, time.monotonic() + 10))
            ground = self._active(link.trace())
            if ground is None:
                self.problem = "no validation shard was opened"
                return
            self._experiments = conduct(Session(link), ground, limit, twin=STREAM if self._twin else None)

    def _await_twin(self, link: trace.Link, began: float, deadline: float) -> bool:
        """Let the twin of a script that died write all that the script has written, if it can."""
        most = min(deadline - 15, time.monotonic() + 0.5 * (time.monotonic() - began))
        link.wait_until(lambda t: bool(t.of(Finished, STREAM)), max(most - time.monotonic(), 0.5))
        seen = link.trace()
        ours, theirs = _models(seen, 0), _models(seen, STREAM)
        return bool(seen.of(Finished, STREAM)) and ours <= theirs

    def _active(self, seen: trace.Trace) -> Ground | None:
        """The ground of the stream that was read last."""
        read = [event.path for _, event in seen.of(FileRead, 0) if event.role == "validation"]
        folders = [os.path.dirname(path) for path in read]
        known = [self._grounds[f] for f in folders if f in self._grounds]
        return known[-1] if known else None

    def results(self) -> tuple[tuple[Experiment, ...], dict[str, Any]]:
        """The experiments, and the executed lines by file."""
        for experiment in self._experiments:
            if experiment.name == "coverage":
                return self._experiments, dict(experiment.data.get("layers", {}))
        return self._experiments, {}


def _models(seen: trace.Trace, stream: int) -> set[str]:
    """Files written that may hold weights; logs have names of their own in every process."""
    written = (e.path for _, e in seen.of(FileWritten, stream))
    return {path for path in written if not path.endswith(NO_ARTIFACT)}


def _twin_folder(place: Place) -> Path:
    return Path(f"{place.repo}.noise")


def _ground(place: Place, paths: tuple[str, ...]) -> Ground:
    """Match a stream with the tokenizer of its world."""
    folder = Path(paths[0]).parent
    world = folder.parent.parent
    models = sorted(p for p in (world / "tokenizers").iterdir() if p.suffix in (".model", ".json"))
    sidecar = (folder / "fineweb_val_bytes_000000.bin").is_file()
    return grounds.of_world(paths, models[0], sidecar)
