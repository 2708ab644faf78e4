"""When two modules are the same but for their weights, so that running one tells what the other does.

A model is a stack of blocks built by one constructor. What a call of a block returns depends on its
structure (its class, its known attributes, its parts) and on what it learned; the caller looks the
latter up anew. Blocks of one shape therefore share what is remembered of their calls.
"""

from __future__ import annotations

from typing import Any

from checkers.facts.values import Cell, Entry, Instance, Mapping, Obj, Sequence, Value

_MOST = 240  # objects below one module; whole models are few and keep their identity


class _TooLargeError(Exception):
    """More than ``_MOST`` objects."""


class Shapes:
    """Numbers for structures: equal numbers, equal structure but for learned state."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._known: dict[Obj, Any] = {}
        self._members: set[Obj] = set()  # what the known numbers depend on
        self._above: dict[Obj, int] = {}
        self._left = 0
        self._cycles = 0  # parts met inside themselves: their numbers hold only there
        self._learned = 0

    def changed(self, obj: Obj) -> None:
        """An object changes: numbers that may depend on it are forgotten."""
        if obj in self._members:
            self.forget()

    def forget(self) -> None:
        """Forget which module has which number."""
        self._known.clear()
        self._members.clear()

    def of(self, obj: Instance, learned: int) -> Any:
        """The number of a module's structure, or the module itself when it is too large to compare.

        ``learned`` masks the bits that do not count.
        """
        known = self._known.get(obj)
        if known is None:
            self._left, self._learned, self._above = _MOST, learned, {}
            try:
                known = self._number(obj)
            except _TooLargeError:
                known = obj
            self._known[obj] = known
        return known

    def _number(self, obj: Obj) -> int:
        known = self._known.get(obj)
        if type(known) is int:
            return known
        cycles = self._cycles
        number = self._numbers.setdefault(self._object(obj), len(self._numbers))
        if isinstance(obj, Instance) and cycles == self._cycles:
            self._known[obj] = number
        return number

    def _object(self, obj: Obj) -> Any:
        above = self._above.get(obj)
        if above is not None:
            self._cycles += 1
            return "above", len(self._above) - above
        self._members.add(obj)
        self._left -= 1
        if self._left < 0:
            raise _TooLargeError
        state = obj.state & ~self._learned
        if isinstance(obj, Entry):
            return "entry", state, *map(id, obj.of)
        if isinstance(obj, Cell):
            return "cell", obj.what, state
        if not isinstance(obj, (Instance, Sequence, Mapping)):
            return obj
        self._above[obj] = len(self._above)
        key = (type(obj), state, *self._parts(obj))
        del self._above[obj]
        return key

    def _parts(self, obj: Instance | Sequence | Mapping) -> tuple[Any, ...]:
        if isinstance(obj, Instance):
            values = tuple([(n, self._value(v)) for n, v in obj.attrs.items()])
            return obj.cls, obj.what, values, tuple(obj.hooks)
        if isinstance(obj, Mapping):
            return *[(n, self._value(v)) for n, v in obj.items.items()], self._value(obj.rest)
        return obj.items is None, *[self._value(v) for v in obj.items or ()], self._value(obj.rest)

    def _value(self, value: Value | None) -> Any:
        if value is None:
            return None
        const: Any = value.const
        try:
            hash(const)
        except TypeError:
            const = value  # nothing else equals it
        refs = tuple([self._number(r) for r in value.refs]) if value.refs else ()
        return type(const), const, value.bits & ~self._learned, refs, value.text
