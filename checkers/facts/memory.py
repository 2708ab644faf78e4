"""What was remembered of a call, and whether it still holds.

A call that changed nothing need not be simulated again while nothing that it read has changed. It can
only have read what its arguments, the names of the scopes around it and the attributes of classes lead
to: its roots. Every change of an object stamps it, so a memory holds as long as no object below its
roots bears a later stamp than the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from checkers.facts.values import (
    LOGP,
    VAL,
    Cell,
    Function,
    Instance,
    Mapping,
    Method,
    Obj,
    Partial,
    Sequence,
    Value,
    children,
)

_HOLDERS = frozenset({Cell, Instance, Mapping, Sequence})
_TELLING = VAL | LOGP  # what a logarithm or a pick becomes a score by
_MOST = 4000  # objects looked at; a larger graph counts as changed


@dataclass(slots=True)
class Remembered:
    """The result of a call.

    ``inputs`` are the sources of each of its arguments, ``roots`` the objects it may have read, ``stamp`` the
    number of the last change before it ended. ``weights`` is the number of changes of learned state
    if it read such state other than through its arguments, else None. ``stored`` are the numbers it stored.
    """

    inputs: list[int]
    result: Value
    roots: frozenset[Obj]
    stamp: int
    weights: int | None
    stored: tuple[Any, ...] = ()

    def holds(self, stamp: int, weights: int) -> bool:
        """Whether nothing it read has changed up to the change number ``stamp``."""
        if self.weights is not None and self.weights != weights:
            return False
        if self.stamp != stamp:
            if newer(self.roots, self.stamp):
                return False
            self.stamp = stamp
        return True

    def covers(self, inputs: list[int], scores: int) -> bool:
        """Whether inputs have nothing by which an operation becomes a score beyond what the call's own had.

        ``scores`` is the mask of scores. The call emitted none; with other inputs it might.
        """
        return all(
            not (now & ~old & _TELLING or (now & scores and not old & scores))
            for now, old in zip(inputs, self.inputs, strict=True)
        )


def newer(roots: Iterable[Obj], stamp: int) -> bool:
    """Whether an object below the roots was changed after the change number ``stamp``."""
    seen: set[Obj] = set()
    stack = list(roots)
    while stack:
        obj = stack.pop()
        if obj in seen:
            continue
        seen.add(obj)
        if obj.stamp > stamp or len(seen) > _MOST:
            return True
        for child in children(obj):
            if child.refs:
                stack += child.refs
    return False


def holders(value: Value) -> Iterator[Obj]:
    """The objects with changing content that a value is, or that what it calls is bound to."""
    for ref in value.refs:
        kind = type(ref)
        if kind in _HOLDERS:
            yield ref
        elif isinstance(ref, Function):
            yield from holders(ref.bound) if ref.bound is not None else ()
        elif isinstance(ref, Method):
            yield from holders(ref.receiver)
        elif isinstance(ref, Partial):
            for part in (ref.function, *ref.args, *ref.keywords.values()):
                yield from holders(part)


class Made(Cell):
    """In a remembered result: storage that the call made, as it was when the call ended."""

    __slots__ = ()


class Given(Obj):
    """In a remembered result: the reference that an argument of the call held at a place."""

    __slots__ = ("argument", "place")

    def __init__(self, argument: int, place: int) -> None:
        super().__init__()
        self.argument = argument
        self.place = place


def kept(result: Value, given: tuple[Value, ...], start: int) -> Value:
    """A result to remember. What the call made, since the number ``start``, will change: it is copied."""
    if not result.refs:
        return result
    places: dict[int, tuple[int, int]] = {}
    for argument, value in enumerate(given):
        places.update({id(ref): (argument, place) for place, ref in enumerate(value.refs)})
    return _kept_value(result, places, start)


def _kept_value(value: Value, places: dict[int, tuple[int, int]], start: int) -> Value:
    if not value.refs:
        return value
    refs = tuple([_kept_part(ref, places, start) for ref in value.refs])
    return Value(value.const, value.bits, refs, value.text)


def _kept_part(ref: Obj, places: dict[int, tuple[int, int]], start: int) -> Obj:
    if id(ref) in places and isinstance(ref, (Cell, Sequence)):
        return Given(*places[id(ref)])
    if isinstance(ref, Sequence):
        items = [_kept_value(item, places, start) for item in ref.items or ()]
        return Sequence(items, birth=ref.birth)
    if type(ref) is Cell and ref.serial > start:
        return Made(ref.birth, ref.state, ref.what)
    return ref


class HandingOut:
    """Makes of a remembered result what the call would return for other arguments.

    What came from the old arguments comes from the new ones, where the result had anything of an
    argument's sources at all. What the call made, it would make anew; what it returned of its arguments
    is theirs. ``learned`` is the mask of learned state, ``loops`` the running iterations.
    """

    def __init__(
        self,
        known: Remembered,
        given: tuple[Value, ...],
        inputs: list[int],
        learned: int,
        loops: tuple[Any, ...],
    ) -> None:
        self.given = given
        self.pairs = list(zip(known.inputs, inputs, strict=True))
        self.before = learned
        for old in known.inputs:
            self.before |= old
        self.loops = loops

    def value(self, value: Value) -> Value:
        """A part of the result."""
        bits = value.bits
        for ref in value.refs:
            if type(ref) is Cell:
                bits |= ref.state
        if not value.refs or bits:
            bits = bits if value.known and not bits & self.before else self._supplied(bits)
        return Value(value.const, bits, tuple(self._part(r) for r in value.refs if type(r) is not Cell))

    def _supplied(self, bits: int) -> int:
        new = bits & ~self.before
        for old, now in self.pairs:
            if bits & old or not old:
                new |= now
        return new

    def _part(self, ref: Obj) -> Obj:
        if isinstance(ref, Given):
            return self.given[ref.argument].refs[ref.place]
        if isinstance(ref, Sequence):
            return Sequence([self.value(item) for item in ref.items or ()], birth=self.loops)
        if isinstance(ref, Made):
            return Cell(self.loops, self._supplied(ref.state), ref.what)
        return ref
