"""What was remembered of a call, and whether it still holds.

A call that changed nothing need not be simulated again while nothing that it read has changed. It can
only have read what its arguments, the names of the scopes around it and the attributes of classes lead
to: its roots. Every change of an object stamps it, so a memory holds as long as no object below its
roots bears a later stamp than the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from checkers.facts.values import (
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
_MOST = 4000  # objects looked at; a larger graph counts as changed


@dataclass(slots=True)
class Remembered:
    """The result of a call.

    ``inputs`` are the sources of its arguments, ``roots`` the objects it may have read, ``stamp`` the
    number of the last change before it ended. ``weights`` is the number of changes of learned state
    if it read such state other than through its arguments, else None.
    """

    inputs: int
    result: Value
    roots: frozenset[Obj]
    stamp: int
    weights: int | None

    def holds(self, stamp: int, weights: int) -> bool:
        """Whether nothing it read has changed up to the change number ``stamp``."""
        if self.weights is not None and self.weights != weights:
            return False
        if self.stamp != stamp:
            if newer(self.roots, self.stamp):
                return False
            self.stamp = stamp
        return True


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
