"""The append-only trace: child to parent over a pipe, parent to a file, file to a value.

The child and all its forks share one pipe. They write packets no longer than ``PIPE_BUF``, which the
kernel keeps whole, each naming its stream; so no lock is needed and a killed fork cannot corrupt its
neighbours. The parent puts messages together, numbers and times them, and appends them to the file.
A message cut short, an unknown tag or a missing end is recorded as such and never repaired.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

import msgspec

from harness.events import AnyEvent, Event, Finished, Lost, Stamped, StateWritten, Stepped

_PACKET = struct.Struct("<IHH")  # stream, payload length, 1 if the message ends here
_PAYLOAD = select.PIPE_BUF - _PACKET.size
_FRAME = struct.Struct("<I")
MESSAGE_LIMIT = 64 << 20  # bytes: a child that sends more is lying or broken
TRACE_LIMIT = 2 << 30

_encode = msgspec.msgpack.Encoder().encode
_decode_event = msgspec.msgpack.Decoder(AnyEvent).decode
_decode_stamped = msgspec.msgpack.Decoder(Stamped).decode

E = TypeVar("E", bound=Event)


class Sender:
    """The child's end. ``stream`` tells forks apart; every fork opens its own (``fork_stream``)."""

    def __init__(self, fd: int, stream: int = 0) -> None:
        self.fd, self.stream = fd, stream

    def send(self, event: Event) -> None:
        """Write one event; blocks while the parent is behind.

        Raises:
            OSError: the parent has gone.
        """
        message = _encode(event)
        for start in range(0, len(message), _PAYLOAD):
            piece = message[start : start + _PAYLOAD]
            last = int(start + _PAYLOAD >= len(message))
            os.write(self.fd, _PACKET.pack(self.stream, len(piece), last) + piece)


@dataclass(frozen=True)
class Trace:
    """All events of one run in the parent's order. ``cut`` is why the record is not whole, if so."""

    events: tuple[Stamped, ...]
    cut: str | None = None

    def of(self, kind: type[E], stream: int | None = None) -> list[tuple[int, E]]:
        """Numbered events of one kind, of one stream or of all."""
        return [
            (s.number, s.event)
            for s in self.events
            if isinstance(s.event, kind) and (stream is None or s.stream == stream)
        ]

    def updates(self) -> list[tuple[int, Stepped | StateWritten]]:
        """Numbered steps of optimizers, and updates that the submission wrote by hand, in order."""
        return sorted([*self.of(Stepped), *self.of(StateWritten)], key=lambda numbered: numbered[0])

    def stream(self, number: int) -> Trace:
        """The part of the trace that one process wrote."""
        part = tuple(s for s in self.events if s.stream == number)
        return Trace(part, self.cut or (None if _ended(part) else f"stream {number} has no end"))

    def after(self, number: int) -> Trace:
        """The events numbered above ``number``."""
        return Trace(tuple(s for s in self.events if s.number > number), self.cut)


def _ended(events: tuple[Stamped, ...]) -> bool:
    return any(isinstance(s.event, Finished) for s in events)


class Writer:
    """Appends stamped events to a file and keeps them. Numbers start at 0 and have no gaps."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("ab")
        self._began = time.monotonic()
        self.events: list[Stamped] = []

    def append(self, event: AnyEvent, stream: int = 0) -> Stamped:
        """Stamp, keep and write one event."""
        stamped = Stamped(len(self.events), time.monotonic() - self._began, stream, event)
        raw = _encode(stamped)
        self._file.write(_FRAME.pack(len(raw)) + raw)
        self.events.append(stamped)
        return stamped

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()


def read(path: Path) -> Trace:
    """Read a trace file; a torn last frame or an unreadable event shows as ``cut``."""
    events: list[Stamped] = []
    cut = None
    for raw in _frames(path.read_bytes()):
        if raw is None:
            cut = f"the file ends inside event {len(events)}"
            break
        try:
            events.append(_decode_stamped(raw))
        except msgspec.DecodeError as error:
            cut = f"event {len(events)} cannot be read: {error}"
            break
    return Trace(tuple(events), cut)


def _frames(data: bytes) -> Iterator[bytes | None]:
    at = 0
    while at < len(data):
        if at + _FRAME.size > len(data):
            yield None
            return
        (size,) = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        yield data[at : at + size] if at + size <= len(data) else None
        at += size


@dataclass
class _Assembly:
    """Pieces of unfinished messages, per stream."""

    parts: dict[int, bytearray] = field(default_factory=dict)
    rest: bytes = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take what came from the pipe; give the messages it completes.

        Raises:
            ValueError: the bytes are no packets, or a message exceeds ``MESSAGE_LIMIT``.
        """
        data, at = self.rest + data, 0
        while len(data) - at >= _PACKET.size:
            stream, size, last = _PACKET.unpack_from(data, at)
            if size > _PAYLOAD or last > 1:
                raise ValueError("the child wrote something that is not a packet")
            if len(data) - at - _PACKET.size < size:
                break
            part = self.parts.setdefault(stream, bytearray())
            part += data[at + _PACKET.size : at + _PACKET.size + size]
            at += _PACKET.size + size
            if len(part) > MESSAGE_LIMIT:
                raise ValueError("a message is too long")
            if last:
                yield stream, bytes(self.parts.pop(stream))
        self.rest = data[at:]


class Link:
    """The parent's end: two pipes, and a thread that receives, numbers and times.

    Use: ``with Link(path) as link``; start the child with ``pass_fds=link.child_fds`` (events out,
    commands in; tell it the two numbers), call ``link.started()``, let it run. ``command`` sends one
    line to the waiting snapshot. ``hang_up`` ends the snapshot's wait; leaving the block waits for
    the end of the event pipe.
    """

    def __init__(self, path: Path) -> None:
        self._writer = Writer(path)
        self._events, self._child_events = os.pipe()
        self._child_commands, self._commands = os.pipe()
        self._thread = threading.Thread(target=self._receive, name="trace", daemon=True)
        self._changed = threading.Condition(threading.RLock())
        self._open, self._hung_up, self._released = True, False, False
        self.problem: str | None = None

    @property
    def child_fds(self) -> tuple[int, int]:
        """(event pipe, command pipe) as the child must inherit them."""
        return self._child_events, self._child_commands

    def started(self) -> None:
        """The child has its copies: close ours and begin to receive."""
        self._release()
        self._thread.start()

    def _release(self) -> None:
        if not self._released:
            os.close(self._child_events)
            os.close(self._child_commands)
            self._released = True

    def command(self, line: str) -> bool:
        """Send one line to the snapshot; False when nobody is there to read it."""
        try:
            os.write(self._commands, line.encode() + b"\n")
        except (BrokenPipeError, OSError):
            return False
        return True

    def hang_up(self) -> None:
        """Tell the snapshot that no more probes come."""
        if not self._hung_up:
            os.close(self._commands)
            self._hung_up = True

    def trace(self) -> Trace:
        """What has arrived so far."""
        with self._changed:
            return Trace(tuple(self._writer.events), self.problem)

    def wait_until(self, met: Callable[[Trace], bool], timeout: float) -> bool:
        """Wait until what has arrived meets a condition; False on timeout or a closed pipe."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not met(self.trace()):
                left = deadline - time.monotonic()
                if left <= 0 or not self._open:
                    return False
                self._changed.wait(left)
        return True

    def _receive(self) -> None:
        assembly, total = _Assembly(), 0
        try:
            while data := os.read(self._events, 1 << 16):
                total += len(data)
                if total > TRACE_LIMIT:
                    raise ValueError("the child wrote too much")
                self._take(assembly.feed(data))
            if assembly.rest or assembly.parts:
                self.problem = "the child stopped inside a message"
        except (ValueError, msgspec.DecodeError) as error:
            self.problem = str(error)
        finally:
            with self._changed:
                self._open = False
                self._changed.notify_all()
            os.close(self._events)

    def _take(self, messages: Iterator[tuple[int, bytes]]) -> None:
        """Keep messages one by one: what came ahead of rubbish stays."""
        for stream, raw in messages:
            with self._changed:
                self._writer.append(_decode_event(raw), stream)
                self._changed.notify_all()

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.hang_up()
        self._release()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)
        else:
            os.close(self._events)
        with self._changed:
            if self.problem:
                self._writer.append(Lost("trace", self.problem))
            self._writer.close()
