"""What the peeling interpreter computes with: plain constants, names of library functions, unknowns.

Nothing of a submission runs. A value is either a Python constant built from the script's own literals
by functions listed in :mod:`harness.unpack_calls`, or it is ``UNKNOWN``.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

MAX_VALUE = 16 * 2**20  # bytes or characters of one computed value
MAX_BITS = 1 << 20  # of one computed number
MAX_ITEMS = 1 << 18  # elements of one computed collection


SOMEWHERE = "somewhere"  # the name that a path with an unknown folder goes by


class Unknown:
    """The value of everything that is not computed from literals."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


class Failed(Exception):  # noqa: N818 - it stands for an exception of the script, not of ours
    """The script's own computation would raise here, or goes over a bound."""


@dataclass(frozen=True, slots=True)
class Dotted:
    """A library object by its full name, such as ``lzma.decompress``; calls may keep arguments."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function or lambda of the script with the scope it was written in."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """A method of a known value, not called yet."""

    owner: Any
    name: str


@dataclass(frozen=True, slots=True)
class Code:
    """The result of ``compile``: its source."""

    source: Any


@dataclass(slots=True, eq=False)
class Stream:
    """An open file, real (of the submission) or written by the script, or a ``BytesIO``."""

    path: str | None
    data: Any = UNKNOWN
    writes: bool = False
    text: bool = False


_NOT_COMPUTED = (Unknown, Dotted, Function, Method, Stream, Code)


class ExhaustedError(Exception):
    """The script asks for more steps than any real one needs."""


@dataclass(slots=True)
class Budget:
    """Steps and bytes that peeling one submission may take, over all its layers."""

    steps: int = 1_000_000
    made: int = 512 * 2**20

    def spend(self, steps: int) -> None:
        """Take steps off the budget.

        Raises:
            ExhaustedError: nothing is left.
        """
        self.steps -= steps
        if self.steps < 0 or self.made < 0:
            raise ExhaustedError("peeling it takes more steps than any real packing does")

    def charge(self, value: Any) -> None:
        """Pay for a value by its size, so that time and memory stay bounded by the budget."""
        if isinstance(value, (str, bytes, bytearray)):
            size = len(value)
            self.steps -= size >> 14
        elif isinstance(value, (list, tuple, dict, set)):
            size = 8 * len(value)
            self.steps -= len(value) >> 4
        elif isinstance(value, int):
            size = value.bit_length() >> 3
            self.steps -= size >> 5
        else:
            return
        if size > 4096:
            self.made -= size


@dataclass(slots=True)
class Origins:
    """Remembers through which codecs a text came, as ``lzma+b85``, outermost first."""

    known: dict[int, tuple[Any, tuple[str, ...]]] = field(default_factory=dict)

    def of(self, *values: Any) -> tuple[str, ...]:
        """Return the codecs behind the first of the values that has any."""
        for value in values:
            if id(value) in self.known:
                return self.known[id(value)][1]
            if isinstance(value, Code):
                return self.of(value.source)
            if isinstance(value, Stream):
                return self.of(value.data)
        return ()

    def note(self, value: Any, codecs: tuple[str, ...]) -> None:
        """Tie codecs to a value; keeps it alive so that its id stays its own."""
        if codecs and isinstance(value, (str, bytes)) and len(value) > 4:
            self.known[id(value)] = (value, codecs)


def weigh(values: tuple[Any, ...]) -> int | None:
    """Count the elements of values, nested ones too; None when one of them is not computed.

    Raises:
        Failed: more elements than any real payload has, or a collection that holds itself.
    """
    stack, count = list(values), 0
    while stack:
        value = stack.pop()
        count += 1
        if isinstance(value, _NOT_COMPUTED):
            return None
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, (list, tuple, set)):
            stack.extend(value)
        if count + len(stack) > MAX_ITEMS:
            raise Failed(f"more than {MAX_ITEMS} elements")
    return count


def opaque(what: str) -> Dotted:
    """A value that is named but never looked into, such as unmarshalled bytecode."""
    return Dotted("opaque", (what,))


def bounded(value: Any) -> Any:
    """Return the value, or raise :class:`Failed` when it is larger than any real payload."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > MAX_VALUE:
        raise Failed(f"a value of more than {MAX_VALUE} bytes")
    if isinstance(value, (list, tuple, dict, set)) and len(value) > MAX_ITEMS:
        raise Failed(f"a collection of more than {MAX_ITEMS} items")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise Failed("an integer too large")
    return value


def somewhere(name: Any) -> Any:
    """A path whose folder is not known but whose end is."""
    if not isinstance(name, (str, PurePosixPath)) or "." not in str(name):
        return UNKNOWN
    return Dotted(SOMEWHERE, (str(name).lstrip("/"),))


def as_path(value: Any) -> str | None:
    """Return the text of a path value, or of its known end, else None."""
    if isinstance(value, Stream):
        return value.path
    if isinstance(value, Dotted) and value.name == SOMEWHERE:
        return str(value.args[0])
    return str(value) if isinstance(value, (str, PurePosixPath)) else None
