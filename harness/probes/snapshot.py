"""Copies of the process from which probes start: ``os.fork`` as a time machine.

``Snapshots.take`` leaves a copy of the process waiting and goes on. The waiting copy forks a worker
for every command of the parent; a worker changes what the command says, then returns from ``take``
as if nothing had happened and runs the submission to its end under another stream number. The main
run is never disturbed. One copy is kept, the latest that was asked for.

A command is one line of JSON (``Command``); ``{"kill": n}`` ends the worker of stream ``n``.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.events import Lost, Snapshot
from harness.probes import forking
from harness.trace import Sender

KEEPER = 1
"""The stream of the waiting copy. The main run is 0, the twin 2, workers get numbers from 3 on."""
_IDLE = 0.2  # seconds between looks for ended workers


@dataclass(frozen=True, slots=True)
class Command:
    """What a worker is to change before it goes on.

    ``tokens`` replaces the whole validation stream (same length, or None). ``scramble`` wipes the
    weights in memory; ``coverage`` traces the lines that run; ``training`` has training shards that are
    opened from here on hold other tokens.
    """

    stream: int
    tokens: NDArray[np.int64] | None = None
    scramble: bool = False
    coverage: bool = False
    training: bool = False

    def line(self) -> str:
        """The command as one line of JSON."""
        packed = None if self.tokens is None else zlib.compress(self.tokens.astype("<u2").tobytes())
        return json.dumps(
            {
                "stream": self.stream,
                "tokens": None if packed is None else base64.b64encode(packed).decode(),
                "scramble": self.scramble,
                "coverage": self.coverage,
                "training": self.training,
            }
        )


def parse(line: bytes) -> Command:
    """Read a command.

    Raises:
        ValueError, KeyError: it is not one.
    """
    raw: dict[str, Any] = json.loads(line)
    tokens = None
    if raw.get("tokens"):
        data = zlib.decompress(base64.b64decode(raw["tokens"]))
        tokens = np.frombuffer(data, "<u2").astype(np.int64)
    flags = {k: bool(raw.get(k)) for k in ("scramble", "coverage", "training")}
    return Command(int(raw["stream"]), tokens, **flags)


@dataclass
class Snapshots:
    """Takes and keeps the copy. ``begin`` is run in a new worker, with its command."""

    sender: Sender
    command_fd: int | None
    begin: Callable[[Command], None]
    keeper: int = 0
    worker: bool = False
    _workers: dict[int, int] = field(default_factory=dict)
    _input: bytes = b""

    def take(self, reason: str) -> None:
        """Leave a copy of the process here. Returns in the main run at once, and in each worker."""
        if self.worker:
            return
        if self.command_fd is None:
            self.sender.send(Snapshot(reason))
            return
        self.drop()
        _flush()
        pid = forking.fork()
        if pid:
            self.keeper = pid
            self.sender.send(Snapshot(reason))
            return
        self.sender.stream = KEEPER
        command = self._wait()
        self.worker = True
        self.sender.stream = command.stream
        _silence()
        self.begin(command)

    def drop(self) -> None:
        """End the waiting copy, if there is one."""
        if self.keeper:
            os.kill(self.keeper, signal.SIGKILL)
            os.waitpid(self.keeper, 0)
            self.keeper = 0

    def serve(self) -> None:
        """In the main run, after the script's end: wait until the parent needs no more probes."""
        if self.keeper and not self.worker:
            os.waitpid(self.keeper, 0)
            self.keeper = 0
        elif self.command_fd is not None:
            while os.read(self.command_fd, 1 << 16):  # nobody is there to obey: read on to the end
                pass

    def _wait(self) -> Command:
        """In the copy: fork a worker a command. Returns only in workers."""
        while True:
            line = self._next_line()
            self._reap()
            if line is None:
                continue
            if not line:
                self._leave()
            command = self._obey(line)
            if command is None:
                continue
            pid = forking.fork()
            if not pid:
                return command
            self._workers[pid] = command.stream

    def _obey(self, line: bytes) -> Command | None:
        try:
            raw = json.loads(line)
            if "kill" in raw:
                for pid, stream in self._workers.items():
                    if stream == raw["kill"]:
                        os.kill(pid, signal.SIGKILL)
                return None
            return parse(line)
        except (ValueError, KeyError, zlib.error) as error:
            self.sender.send(Lost("command", repr(error)))
            return None

    def _next_line(self) -> bytes | None:
        """A line, b"" at the end of the pipe, or None when nothing came for a while."""
        assert self.command_fd is not None
        if b"\n" not in self._input:
            ready, _, _ = select.select([self.command_fd], [], [], _IDLE)
            if not ready:
                return None
            data = os.read(self.command_fd, 1 << 16)
            if not data:
                return b""
            self._input += data
        if b"\n" not in self._input:
            return None
        line, _, self._input = self._input.partition(b"\n")
        return line or None

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            stream = self._workers.pop(pid, -1)
            if status:
                code = os.waitstatus_to_exitcode(status)
                self.sender.send(Lost(f"stream {stream}", f"the probe ended with status {code}"))

    def _leave(self) -> None:
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _silence() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
