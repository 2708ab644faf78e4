"""Instruments in the child: what the submission reads, charges, learns and reports.

The child calls ``install`` after the façade is in place and before the script starts, and
``Probes.finish`` when the script has ended, however it ended. Events go to the parent over a pipe
(``harness.trace.Link``). The probes share their memory with the submission: what they say is
evidence for a counterexample that anyone can rerun, never proof of innocence against an adversary.
"""

from __future__ import annotations

import ast
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.events import AnyEvent, Changed, Charged, Finished, Lost, Scrambled, Started, Stepped, Weights
from harness.probes import changes, mlx_watch, opens, reports, tables, threads, twin, watch
from harness.probes.coverage import Coverage
from harness.probes.positions import Stream
from harness.probes.snapshot import Command, Snapshots
from harness.trace import Sender

HOOKS = ("torch", "numpy", "optim", "audit", "stdout")


@dataclass(frozen=True, slots=True)
class ProbeConfig:
    """What the child's probes need; the two descriptors are ``Link.child_fds``.

    ``validation_files`` are the shards as the child sees them, in stream order; those of one folder
    are one stream, and the folder that is read is the one that counts. ``ours`` are path prefixes of
    code that is not the submission's. Without ``command_fd`` no snapshots are taken. ``twin`` holds
    the keywords of a ``TwinConfig``. Hashed tables are scaled by ``table_scale``. ``since`` is when the run
    began, in nanoseconds, if this is not its first process.
    """

    event_fd: int
    command_fd: int | None
    run_dir: str
    validation_files: tuple[str, ...]
    ours: tuple[str, ...] = ()
    twin: dict[str, Any] | None = None
    table_scale: float = 1.0
    since: int | None = None


def read_stream(paths: tuple[str, ...]) -> NDArray[np.int64]:
    """The validation tokens of official-format shards, one after the other."""
    parts = [np.fromfile(p, "<u2", offset=changes.HEADER) for p in paths]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)


class Probes:
    """All probes of one process. ``finish`` must be called last; in a fork it does not return."""

    def __init__(self, config: ProbeConfig) -> None:
        self.sender = Sender(config.event_fd)
        self.twin = twin.TwinConfig(**config.twin) if config.twin else None
        self._table_scale = config.table_scale
        self.twin_pid = twin.fork(self.twin) if self.twin else -1
        self.is_twin = self.twin_pid == 0
        self.files: tuple[str, ...] = ()
        self._shards = self._group(config)
        self.theirs = watch.is_theirs((os.path.dirname(os.path.dirname(__file__)), *config.ours))
        self.watch = watch.Watch(Stream(read_stream(())), self.emit, self.theirs)
        self.snapshots = Snapshots(self.sender, None if self.is_twin else config.command_fd, self._begin)
        run_dir = self._moved(os.path.realpath(config.run_dir))
        self.watch.root = f"{run_dir}/"
        files = frozenset(path for paths in self._shards.values() for path in paths)
        self.opens = opens.Opens(
            self.emit, run_dir, files, self._read_back, self._validation_read, config.since
        )
        self.coverage: Coverage | None = None
        self._trained = True  # a training step since the last snapshot
        self._artifacts: set[str] = set()  # read back so far
        self._unweighed = False
        self._threads: list[threading.Thread] = []  # that ran when the last snapshot was taken

    def _group(self, config: ProbeConfig) -> dict[str, tuple[str, ...]]:
        """Validation shards by folder, as this process reads them."""
        if self.is_twin:
            self.sender.stream = twin.STREAM
        varied = self.twin.files if self.twin and self.is_twin else {}
        groups: dict[str, tuple[str, ...]] = {}
        for path in config.validation_files:
            real = os.path.realpath(varied.get(os.path.realpath(path), path))
            groups[os.path.dirname(real)] = (*groups.get(os.path.dirname(real), ()), real)
        return groups

    def _moved(self, path: str) -> str:
        return self.twin.moved(path) if self.twin and self.is_twin else path

    def relocate(self, plan: dict[str, Any]) -> None:
        """In the twin, rewrite the plan's paths; in the first run, leave it."""
        if self.twin and self.is_twin:
            self.twin.relocate(plan)

    def scale_tables(self, tree: ast.Module) -> ast.Module:
        """Shrink the hashed tables of a module with the data."""
        if self._table_scale >= 1.0:
            return tree
        result: ast.Module = tables.ScaleTables(self._table_scale, self.sender.send).visit(tree)
        return result

    def emit(self, event: AnyEvent) -> None:
        """Send an event; take a snapshot first if it begins an evaluation."""
        if isinstance(event, Stepped) and not event.positions:
            self._trained = True
        if isinstance(event, Charged) and self._trained and not self._artifacts:
            self._trained = False
            self._snapshot("first charge after training")
        if isinstance(event, Charged) and self._unweighed:
            self._unweighed = False
            self.sender.send(Weights(*changes.weigh()))
        self.sender.send(event)

    def _validation_read(self, path: str) -> None:
        """The first shard of a folder is opened: that folder's stream is the one to watch."""
        files = self._shards.get(os.path.dirname(path), ())
        if files and files != self.files:
            self.files = files
            self.watch.stream = Stream(read_stream(files))

    def _read_back(self, path: str) -> None:
        """An artifact is about to be read. The first reading begins evaluation, unless training went on
        and another file is read; steps of a warm-up on made-up tokens are no training."""
        again = path in self._artifacts or bool(self._artifacts and not self._trained)
        self._artifacts.add(path)
        if not again:
            self._trained, self._unweighed = False, True
            self._snapshot(f"artifact {os.path.basename(path)} is read back")

    def _snapshot(self, reason: str) -> None:
        mlx_watch.settle()
        self._threads = threads.others()
        self.snapshots.take(reason)

    def _begin(self, command: Command) -> None:
        """In a new worker: make the changes."""
        mlx_watch.revive()
        self.sender.send(Started(f"probe {command.stream}"))
        if not self.files:  # validation was not read yet: the first data set is the likeliest
            self._validation_read(next(iter(self._shards.values()), ("",))[0])
        try:
            if command.tokens is not None:
                self._change(command.tokens)
            if command.scramble:
                self.sender.send(Scrambled(changes.scramble()))
            if command.training:
                changes.vary_training(self.files, Path(tempfile.gettempdir()))
        except Exception as error:  # the probe is lost, and must say so rather than look clean
            self.sender.send(Lost("change", repr(error)))
            os._exit(1)
        threads.revive(self._threads)
        if command.coverage:
            self.coverage = Coverage(self.theirs, self.watch.root)
            self.coverage.start()

    def _change(self, new: NDArray[np.int64]) -> None:
        old = self.watch.stream
        if len(new) != len(old):
            raise ValueError("a change must keep the length of the stream")
        arrays = changes.apply(old, new)
        changes.redirect_files(self.files, new, Path(tempfile.gettempdir()))
        self._shards, self.watch.stream = {}, Stream(new)
        places = np.flatnonzero(new != old.tokens)
        first = int(places[0]) if len(places) else -1
        self.sender.send(Changed(first, len(places), arrays))

    def heard(self, line: str) -> None:
        """A line of the submission's output."""
        report = reports.parse(line)
        if report is not None:
            self.sender.send(report)

    @property
    def forked(self) -> bool:
        """Whether this is a worker or the twin, which must leave the first run's records alone."""
        return self.is_twin or self.snapshots.worker

    def finish(self, error: str = "") -> None:
        """Send what is left; in the first run, stay until the parent hangs up."""
        threads.drain()
        if self.coverage is not None:
            for event in self.coverage.stop():
                self.sender.send(event)
        self.opens.active = False
        if not self.snapshots.worker:
            self.opens.emit_written()
        self.sender.send(Finished(f"stream {self.sender.stream}", error[:500]))
        if self.forked:
            os._exit(0)
        self.snapshots.serve()
        if self.twin_pid > 0:
            twin.end(self.twin_pid)


def install(config: ProbeConfig) -> Probes:
    """Put all probes in place in this process; there is no way back. With a twin, returns twice."""
    probes = Probes(config)
    watch.install(probes.watch)
    mlx_watch.install(probes.watch)
    opens.install(probes.opens)
    reports.listen(probes.heard)
    if config.table_scale < 1.0:
        tables.scale_environment(os.environ, config.table_scale, probes.sender.send)
    probes.sender.send(Started("twin" if probes.is_twin else "main", hooks=HOOKS))
    return probes
