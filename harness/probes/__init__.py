"""Instruments in the child: what the submission reads, charges, learns and reports.

The child calls ``install`` after the façade is in place and before the script starts, and
``Probes.finish`` when the script has ended, however it ended. Events go to the parent over a pipe
(``harness.trace.Link``). The probes share their memory with the submission: what they say is
evidence for a counterexample that anyone can rerun, never proof of innocence against an adversary.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.events import AnyEvent, Changed, Charged, Finished, Lost, Scrambled, Started, Stepped
from harness.probes import changes, opens, reports, watch
from harness.probes.coverage import Coverage
from harness.probes.positions import Stream
from harness.probes.snapshot import Command, Snapshots
from harness.trace import Sender

HOOKS = ("torch", "numpy", "optim", "audit", "stdout")


@dataclass(frozen=True, slots=True)
class ProbeConfig:
    """What the child's probes need; the two descriptors are ``Link.child_fds``.

    ``validation_files`` are the shards as the child sees them, in stream order. ``ours`` are path
    prefixes of code that is not the submission's. Without ``command_fd`` no snapshots are taken.
    """

    event_fd: int
    command_fd: int | None
    run_dir: str
    validation_files: tuple[str, ...]
    ours: tuple[str, ...] = ()


def read_stream(paths: tuple[str, ...]) -> NDArray[np.int64]:
    """The validation tokens of official-format shards, one after the other."""
    parts = [np.fromfile(p, "<u2", offset=changes.HEADER) for p in paths]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)


class Probes:
    """All probes of one process. ``finish`` must be called last; in a worker it does not return."""

    def __init__(self, config: ProbeConfig) -> None:
        self.config = config
        self.sender = Sender(config.event_fd)
        ours = (os.path.dirname(os.path.dirname(os.path.abspath(__file__))), *config.ours)
        self.theirs = watch.is_theirs(ours)
        self.watch = watch.Watch(Stream(read_stream(config.validation_files)), self.emit, self.theirs)
        self.snapshots = Snapshots(self.sender, config.command_fd, self._begin)
        files = frozenset(os.path.realpath(p) for p in config.validation_files)
        self.opens = opens.Opens(self.emit, os.path.realpath(config.run_dir), files, self._read_back)
        self.coverage: Coverage | None = None
        self._trained = True  # a training step since the last snapshot
        self._snapped_at_artifact = False

    def emit(self, event: AnyEvent) -> None:
        """Send an event; take a snapshot first if it begins an evaluation."""
        if isinstance(event, Stepped) and not event.positions:
            self._trained = True
        if isinstance(event, Charged) and self._trained:
            self._trained = False
            self.snapshots.take("first charge after training")
        self.sender.send(event)

    def _read_back(self, path: str) -> None:
        if self._trained or not self._snapped_at_artifact:
            self._trained, self._snapped_at_artifact = False, True
            self.snapshots.take(f"artifact {os.path.basename(path)} is read back")

    def _begin(self, command: Command) -> None:
        """In a new worker: make the changes."""
        self.emit(Started(f"probe {command.stream}"))
        try:
            if command.tokens is not None:
                self._change(command.tokens)
            if command.scramble:
                self.emit(Scrambled(changes.scramble()))
        except Exception as error:  # the probe is lost, and must say so rather than look clean
            self.emit(Lost("change", repr(error)))
            os._exit(1)
        if command.coverage:
            self.coverage = Coverage(self.theirs)
            self.coverage.start()

    def _change(self, new: NDArray[np.int64]) -> None:
        old = self.watch.stream
        if len(new) != len(old):
            raise ValueError("a change must keep the length of the stream")
        arrays = changes.apply(old, new)
        changes.redirect_files(list(self.config.validation_files), new, Path(tempfile.gettempdir()))
        self.watch.stream = Stream(new)
        places = np.flatnonzero(new != old.tokens)
        first = int(places[0]) if len(places) else -1
        self.emit(Changed(first, len(places), arrays))

    def heard(self, line: str) -> None:
        """A line of the submission's output."""
        report = reports.parse(line)
        if report is not None:
            self.sender.send(report)

    def finish(self, error: str = "") -> None:
        """Send what is left; in the main run, keep the snapshot alive until the parent hangs up."""
        if self.coverage is not None:
            for event in self.coverage.stop():
                self.sender.send(event)
        self.opens.active = False
        worker = self.snapshots.worker
        if not worker:
            self.opens.emit_written()
        name = f"probe {self.sender.stream}" if worker else "main"
        self.sender.send(Finished(name, error[:500]))
        if worker:
            os._exit(0)
        self.snapshots.serve()


def install(config: ProbeConfig) -> Probes:
    """Put all probes in place in this process; there is no way back."""
    probes = Probes(config)
    watch.install(probes.watch)
    opens.install(probes.opens)
    sys.stdout = reports.Listening(sys.stdout, probes.heard)
    probes.sender.send(Started("main", hooks=HOOKS))
    return probes
