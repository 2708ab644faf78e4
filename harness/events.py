"""Trace events: a closed union, told apart by a tag.

A child process says what happened; the parent numbers and times it (``Stamped``). The child shares
its memory with the submission and is not believed about order or time. Arrays travel as
little-endian bytes: positions are ``<i4``, nats are ``<f8``.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

SCHEMA = 1

Positions = NDArray[np.int32]
Nats = NDArray[np.float64]


class Event(msgspec.Struct, frozen=True, tag=True):
    """Base of all events. The tag is the class name."""


class Started(Event, frozen=True):
    """The probes are in place. ``process`` is ``main`` or the name of a probe's fork."""

    process: str
    schema: int = SCHEMA
    hooks: tuple[str, ...] = ()


class FileRead(Event, frozen=True):
    """A file was opened for reading. ``role``: validation, training, artifact, tokenizer, code, other."""

    path: str
    role: str


class FileWritten(Event, frozen=True):
    """A file that was open for writing is closed: its size and content hash (SHA-256)."""

    path: str
    size: int
    sha256: str


class Charged(Event, frozen=True):
    """Losses of located targets, in nats.

    ``via`` says what made them visible: ``cross_entropy`` and ``gather`` are computed losses,
    ``sum``, ``numpy_sum``, ``item`` and ``added`` are losses that entered a total; ``bytes`` are no losses
    but the bytes that the script takes the targets for, as they enter its total. ``positions`` index
    the validation stream (the target's place; -1 where unknown); ``nats`` is parallel to it. ``total``
    is the value the script itself got. ``site`` is ``file:line`` of the innermost frame of the submission.
    """

    via: str
    site: str
    positions: bytes
    nats: bytes
    total: float

    def where(self) -> Positions:
        """Positions charged, int32."""
        return np.frombuffer(self.positions, "<i4")

    def losses(self) -> Nats:
        """Nats charged, float64."""
        return np.frombuffer(self.nats, "<f8")


class Stepped(Event, frozen=True):
    """An optimizer step; ``positions`` are the validation targets whose losses it descended.

    ``tensors`` is how many tensors the optimizer holds: a handful for a SLOT delta, many for weights.
    """

    optimizer: str
    positions: bytes
    site: str = ""
    tensors: int = 0

    def where(self) -> Positions:
        """Validation positions that fed the step, int32, sorted; empty for a step on training data."""
        return np.frombuffer(self.positions, "<i4")


class StateWritten(Event, frozen=True):
    """Tensors that learn were written outside an optimizer, after a backward pass over validation losses.

    ``by`` is the function that wrote first, ``tensors`` how many were written before the next loss.
    """

    by: str
    positions: bytes
    site: str = ""
    tensors: int = 0

    def where(self) -> Positions:
        """Validation positions whose losses were differentiated before, int32, sorted."""
        return np.frombuffer(self.positions, "<i4")


class Reported(Event, frozen=True):
    """A printed line that states a validation loss (nats per token) or bits per byte."""

    line: str
    val_loss: float | None
    val_bpb: float | None


class Snapshot(Event, frozen=True):
    """The process was copied here; probes start from this state. ``reason`` names the trigger."""

    reason: str


class Changed(Event, frozen=True):
    """A probe replaced validation tokens: how many, and in how many arrays of the process."""

    first: int
    count: int
    arrays: int


class Scrambled(Event, frozen=True):
    """A probe overwrote the parameters held in memory with noise."""

    parameters: int


class TableScaled(Event, frozen=True):
    """A hashed table was made smaller with the data: its name, entries (or bits) before and after."""

    name: str
    was: int
    now: int


class Weights(Event, frozen=True):
    """Content hash of all parameters of all modules at the first charge after a snapshot."""

    digest: str
    tensors: int


class Executed(Event, frozen=True):
    """Lines of one source file that ran: inclusive ``[start, end]`` ranges."""

    path: str
    ranges: list[tuple[int, int]]


class Reached(Event, frozen=True):
    """The submission tried to use a socket or start a program."""

    kind: str
    target: str


class Clocked(Event, frozen=True):
    """The virtual clock (seconds since the start of the run) when ``what`` happened."""

    what: str
    seconds: float


class Lost(Event, frozen=True):
    """A probe failed: what it saw is missing from the trace."""

    what: str
    detail: str


class Finished(Event, frozen=True):
    """The process ended by itself; ``error`` is the last line of a traceback."""

    process: str
    error: str = ""


AnyEvent = (
    Started
    | FileRead
    | FileWritten
    | Charged
    | Stepped
    | StateWritten
    | Reported
    | Snapshot
    | Changed
    | Scrambled
    | TableScaled
    | Weights
    | Executed
    | Reached
    | Clocked
    | Lost
    | Finished
)


class Stamped(msgspec.Struct, frozen=True):
    """An event as the parent received it: its number, wall seconds, and the stream it came from."""

    number: int
    seconds: float
    stream: int
    event: AnyEvent


def pack_positions(positions: Any) -> bytes:
    """Positions as ``<i4`` bytes."""
    return np.ascontiguousarray(positions, "<i4").tobytes()


def pack_nats(nats: Any) -> bytes:
    """Nats as ``<f8`` bytes."""
    return np.ascontiguousarray(nats, "<f8").tobytes()
