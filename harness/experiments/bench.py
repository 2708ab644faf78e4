"""The world of a run as the experiments know it, and the handle on its waiting snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.events import Changed, Finished, Lost
from harness.probes.snapshot import Command
from harness.probes.twin import STREAM
from harness.trace import Link, Trace

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Ground:
    """The facts of the world of a run that experiments rely on.

    ``tokens`` is the validation stream; ``ordinary`` the ids that noise is drawn from (no control,
    unknown or boundary token). ``byte_counts`` gives the bytes each place of the stream decodes to
    (shape of ``tokens``; None where the tokenizer cannot be read); ``word_starts`` tells of every id
    whether its piece begins with a space.
    """

    tokens: Tokens
    ordinary: Tokens
    byte_counts: NDArray[np.int64] | None = None
    word_starts: NDArray[np.bool_] | None = None


@dataclass
class Session:
    """A run that has reached its end and whose snapshot still waits for probes."""

    link: Link
    limit: float = 60.0
    _next: int = STREAM + 1
    clock: Callable[[], float] = time.monotonic
    seconds: dict[int, float] = field(default_factory=dict)

    def start(
        self,
        tokens: Tokens | None = None,
        *,
        scramble: bool = False,
        coverage: bool = False,
        training: bool = False,
    ) -> int:
        """Start a probe; returns its stream number, or -1 when no snapshot is waiting."""
        stream, self._next = self._next, self._next + 1
        command = Command(stream, tokens, scramble=scramble, coverage=coverage, training=training)
        return stream if self.link.command(command.line()) else -1

    def result(self, stream: int, timeout: float | None = None) -> Trace | None:
        """Wait for a probe and give its part of the trace; None if it failed or took too long."""
        if stream < 0:
            return None
        began = self.clock()
        ended = self.link.wait_until(lambda trace: _ended(trace, stream), timeout or self.limit)
        self.seconds[stream] = self.clock() - began
        if not ended:
            self.link.command(f'{{"kill": {stream}}}')
            return None
        part = self.link.trace().stream(stream)
        return None if part.cut else part


def _ended(trace: Trace, stream: int) -> bool:
    if trace.of(Finished, stream):
        return True
    return any(event.what == f"stream {stream}" for _, event in trace.of(Lost))


def reached(trace: Trace) -> bool:
    """Whether a probe's change touched the process: arrays in memory were rewritten."""
    return any(event.arrays > 0 for _, event in trace.of(Changed))
