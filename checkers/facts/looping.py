"""Loops and comprehensions: which items are seen, and how often the body is simulated.

A body that scores or learns from validation data, or brings them into storage that had none, is run for
two iterations, so that what the second reads of the first shows; every other body is run once.
"""

from __future__ import annotations

import ast
from typing import Any

from checkers.facts.events import Did
from checkers.facts.expressions import HANDLERS, Expressions
from checkers.facts.folding import all_items, truthy, with_bits
from checkers.facts.values import (
    NOTHING,
    NULL,
    RAW,
    UNKNOWN,
    VAL,
    Instance,
    Library,
    Mapping,
    Method,
    Sequence,
    Value,
    flat,
)
from harness.nodes import walk

_TELLING = frozenset({Did.SCORE, Did.UPDATE, Did.COUNT, Did.CHARGE, Did.WRITE})
_ALL_OF = 12  # a literal list of at most so many is run item by item


class Looping(Expressions):
    """Iteration."""

    def iterate(self, value: Value) -> tuple[list[Value], bool]:
        """The items a loop over a value sees, and whether these are all of them, in order."""
        items: list[Value] = []
        exact = len([r for r in value.refs if r is not NULL]) == 1
        for ref in value.refs:
            found, complete = self._items_of(value, ref)
            items += found
            exact = exact and complete
        if not value.refs:
            if isinstance(value.const, (tuple, str, list)):
                return [Value(c, value.bits) for c in list(value.const)[:64]], len(value.const) <= 64
            return [Value(bits=value.bits)], False
        return items, exact

    def _items_of(self, value: Value, ref: Any) -> tuple[list[Value], bool]:
        if isinstance(ref, Sequence):
            if ref.items is not None and ref.rest is None:
                return [with_bits(i, ref.state | value.bits & ~RAW) for i in ref.items], True
            return [with_bits(all_items(ref), value.bits)], False
        if isinstance(ref, Mapping):
            keys = [Value(k, ref.state) for k in ref.items]
            return (
                (keys, True) if ref.rest is None else ([*keys, Value(bits=value.bits | ref.rest.bits)], False)
            )
        if isinstance(ref, Library) or ref is NULL:
            return [], False
        if isinstance(ref, Instance) and ref.cls and (found := ref.cls.find("__iter__")):
            produced = self.call(self._bound(found, ref), [], {}, found[0].refs[0].node)  # type: ignore[attr-defined]
            if ref not in produced.refs:
                return self.iterate(produced)
            if following := ref.cls.find("__next__"):
                node = following[0].refs[0].node  # type: ignore[attr-defined]
                return [self.call(self._bound(following, ref), [], {}, node)], False
        if isinstance(ref, Method):
            return [Value(bits=flat(value))], False
        return [Value(UNKNOWN, value.bits, (ref,))], False

    def _bound(self, found: Any, ref: Instance) -> Value:
        raise NotImplementedError

    def _for(self, node: ast.For) -> bool:
        items, exact = self.iterate(self.eval(node.iter))
        for number, item in self._chosen(items, exact):
            start = len(self.events), self.reached
            self._iteration(node, number, item)
            if not exact and (number >= 2 or not self._worth_repeating(*start)):
                break
        if not exact or items:
            return False
        return self.run_block(node.orelse) if node.orelse else False

    def _chosen(self, items: list[Value], exact: bool) -> list[tuple[int, Value]]:
        """The iterations to simulate as (number, item); numbers count from 1."""
        numbered = list(enumerate(items, 1))
        if exact:
            if len(items) > 2 and _alike(items):
                return [numbered[0], numbered[-1]]
            constants = all(i.known and not isinstance(i.const, str) for i in items)
            if constants or len(items) > _ALL_OF:
                return numbered if len(numbered) < 3 else [numbered[0], numbered[-1]]
            return numbered
        whole = items[0] if items else NOTHING
        for item in items[1:]:
            whole = _either(whole, item)
        if whole.known:
            whole = Value(UNKNOWN, whole.bits, whole.refs)
        return [(1, whole), (2, whole)]

    def _worth_repeating(self, start: int, reached: int) -> bool:
        if any(number > 1 for _, number in self.loops):
            return False  # the first iteration of the outer loop has shown what repeats
        if self.reached > reached:
            return True  # what was read before the data got there is read once more
        return any(e.kind in _TELLING and e.bits & VAL for e in self.events[start:])

    def _iteration(self, node: ast.For, number: int, item: Value) -> None:
        bit = self.iteration_bit(node, number)
        loops = self.loops
        self.loops = (*loops, (node, number))
        try:
            self._carry(node, bit)
            self.assign(node.target, spread(item, bit))
            self.run_iteration(node.body)
        finally:
            self.loops = loops

    def _carry(self, node: ast.AST, bit: int) -> None:
        """Mark the names that the loop advances as differing between iterations."""
        names = self.frames[-1].env.names
        for name in self.advanced(node):
            value = names.get(name)
            if value is not None:
                names[name] = Value(value.const, value.bits | bit, value.refs, value.text)

    def advanced(self, node: ast.AST) -> frozenset[str]:
        """The names whose next value a loop's body computes from the previous one."""
        known = self._advanced.get(node)
        if known is None:
            known = self._advanced[node] = _advanced_names(node)
        return known

    def _while(self, node: ast.While) -> bool:
        for number in (1, 2):
            test = self.eval(node.test)
            truth = truthy(test)
            if number == 1:
                self.note_way(node.test, truth, flat(test))
            if truth is False:
                break
            start, loops = (len(self.events), self.reached), self.loops
            self.loops = (*loops, (node, number))
            try:
                self._forget(node)
                self._carry(node, self.iteration_bit(node, number))
                self.run_iteration(node.body)
            finally:
                self.loops = loops
            if not self._worth_repeating(*start):
                break
        return False

    def _forget(self, node: ast.AST) -> None:
        """Names a ``while`` advances have no constant value inside it."""
        names = self.frames[-1].env.names
        for name in self.advanced(node):
            value = names.get(name)
            if value is not None and value.known and value.const is not None:
                names[name] = Value(UNKNOWN, value.bits, value.refs)

    def _comprehension(self, node: Any) -> Value:
        env = self.frames[-1].env
        saved = dict(env.names)
        try:
            produced, exact = self._produce(node, node.generators)
        finally:
            env.names = saved
        if isinstance(node, ast.DictComp):
            return _mapping_of(produced)
        values = [v for _, v in produced]
        return Value(refs=(Sequence(values, birth=self.loops) if exact else _bag(values, self.loops),))

    def _produce(
        self, node: Any, generators: list[ast.comprehension]
    ) -> tuple[list[tuple[Value, Value]], bool]:
        if not generators:
            key = self.eval(node.key) if isinstance(node, ast.DictComp) else NOTHING
            return [(key, self.eval(node.value if isinstance(node, ast.DictComp) else node.elt))], True
        first, rest = generators[0], generators[1:]
        items, exact = self.iterate(self.eval(first.iter))
        if len(items) > _ALL_OF and all(i.known for i in items):
            exact, items = False, [Value(UNKNOWN, items[0].bits)]
        produced: list[tuple[Value, Value]] = []
        for item in items:
            self.assign(first.target, item)
            keep = self._kept(first.ifs)
            if keep is not False:
                found, complete = self._produce(node, rest)
                produced += found
                exact = exact and complete and keep is True
        return produced, exact

    def _kept(self, tests: list[ast.expr]) -> bool | None:
        answer: bool | None = True
        for test in tests:
            truth = truthy(self.eval(test))
            if truth is False:
                return False
            answer = answer if truth else None
        return answer


HANDLERS.update(
    dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), Looping._comprehension)
)


def spread(item: Value, bit: int) -> Value:
    """An item of an iteration: it and its parts depend on which iteration it is."""
    refs = tuple(
        Sequence([spread(i, bit) for i in r.items], r.rest) if isinstance(r, Sequence) and r.items else r
        for r in item.refs
    )
    return Value(item.const, item.bits | bit, refs, item.text)


def _alike(items: list[Value]) -> bool:
    """Whether all items are instances of one class: the layers of a model."""
    kinds = {(type(r), getattr(r, "cls", None), getattr(r, "what", "")) for i in items for r in i.refs}
    return len(kinds) == 1 and next(iter(kinds))[0] is Instance and all(len(i.refs) == 1 for i in items)


def _either(a: Value, b: Value) -> Value:
    return Value(UNKNOWN, a.bits | b.bits, tuple(dict.fromkeys((*a.refs, *b.refs)))[:8])


def _bag(values: list[Value], birth: tuple[Any, ...]) -> Sequence:
    if not values:
        return Sequence(None, None, birth)
    whole = values[0]
    for value in values[1:]:
        whole = _either(whole, value)
    return Sequence(None, whole, birth)


def _mapping_of(produced: list[tuple[Value, Value]]) -> Value:
    mapping = Mapping()
    for key, value in produced:
        if key.known and isinstance(key.const, (str, int, tuple)):
            mapping.items[key.const] = value
        else:
            mapping.rest = _either(mapping.rest, value) if mapping.rest else value
            mapping.state |= key.bits & VAL
    return Value(refs=(mapping,))


def _advanced_names(node: ast.AST) -> frozenset[str]:
    names: set[str] = set()
    for inner in walk(node):
        if isinstance(inner, ast.AugAssign) and isinstance(inner.target, ast.Name):
            names.add(inner.target.id)
        elif isinstance(inner, ast.Assign) and isinstance(node, ast.While):
            names |= {t.id for t in inner.targets if isinstance(t, ast.Name) and _mentions(node, t.id)}
    return frozenset(names)


def _mentions(node: ast.AST, name: str) -> bool:
    """Whether the loop's test or the start of its body reads a name that its body assigns."""
    test = getattr(node, "test", None)
    places = [test, *getattr(node, "body", [])[:1]]
    return any(isinstance(n, ast.Name) and n.id == name for p in places if p is not None for n in walk(p))
