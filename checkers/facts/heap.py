"""Writing into objects: attributes, items, tensors in place, parameters, tables, whole models."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from checkers.facts.conditions import asks_what_was_kept
from checkers.facts.events import Did, Event
from checkers.facts.folding import store, with_bits
from checkers.facts.replaying import Write, attributes_read, numeric
from checkers.facts.statements import Statements
from checkers.facts.values import (
    GRAD,
    HOOKED,
    NULL,
    RANK,
    RAW,
    TOKENS,
    VAL,
    Cell,
    Class,
    Entry,
    Function,
    Instance,
    Library,
    Mapping,
    Obj,
    Sequence,
    Value,
    children,
    closure,
    flat,
    merge,
)
from harness.nodes import walk

_DEPTH = 3


class Heap(Statements):
    """The store."""

    def content(self, value: Value, depth: int = 0) -> int:
        """The sources of a value, looking into lists and dictionaries but not into models."""
        bits = value.bits
        for ref in value.refs:
            bits |= ref.state
            if depth < _DEPTH and isinstance(ref, (Sequence, Mapping)):
                for item in children(ref):
                    bits |= self.content(item, depth + 1) if item.refs else item.bits
        return bits

    def set_attribute(self, base: Value, target: ast.Attribute, value: Value) -> None:
        """Assign ``base.attr``; storage that is assigned whole is written in place."""
        name = target.attr
        self.named.add(name)
        if name == "grad":
            self._set_gradient(flat(value))
            return
        if (
            name in ("data", "weight", "bias")
            and self._is_storage(base)
            and self.in_place(base, flat(value), target, strong=name == "data")
        ):
            return
        for ref in base.refs:
            old = getattr(ref, "attrs", {}).get(name)
            quiet = numeric(old, value)
            if not _same(old, value, self.learned):
                if quiet and type(ref) is Instance and self._left_to_others(target):
                    self.writes.append(Write(ref, name, value))
                else:
                    self.touch(ref, quiet)
            if isinstance(ref, (Instance, Class)):
                keep = self.uncertain and old is not None and not quiet
                ref.attrs[name] = merge(old, value) if keep else value
            elif isinstance(ref, Cell) and name == "requires_grad":
                self.differentiate(base, value)
            elif isinstance(ref, Cell):
                ref.state |= flat(value)

    def _left_to_others(self, target: ast.Attribute) -> bool:
        """Whether an attribute is assigned by a class that does not read it: a call only leaves it there."""
        cls = self.module.class_of(target)
        if cls is None:
            return False
        read = self._read_by.get(cls)
        if read is None:
            read = self._read_by[cls] = attributes_read(cls)
        return target.attr not in read

    @staticmethod
    def differentiate(target: Value, wanted: Value) -> None:
        """``requires_grad``: storage made here that is moved along gradients by hand is learned by them."""
        for ref in target.refs if wanted.const is True else ():
            if type(ref) is Cell and ref.what != "param":
                ref.what = "leaf"

    def _set_gradient(self, bits: int) -> None:
        """``p.grad = value``: the next step goes along it; the parameter itself has not moved."""
        if not bits & GRAD:
            return
        if self.stepped:
            self.pending, self.stepped = 0, False
        self.pending |= bits & ~(RAW | GRAD)
        self.cleared = set()

    def _is_storage(self, base: Value) -> bool:
        return any(
            isinstance(r, Cell) or (isinstance(r, Instance) and "data" not in r.attrs) for r in base.refs
        )

    def set_item(self, target: ast.Subscript, value: Value) -> None:
        """Assign ``base[index]``, recording scores that are stored."""
        base, index = self.eval(target.value), self.eval(target.slice)
        charge = self.charge(target, value)
        if charge:
            value = Value(value.const, value.bits & ~self.iterations | charge, value.refs)
        bits = flat(value) | (self.content(index) & ~RAW) | self._span(target.slice)
        for ref in base.refs:
            old = ref.items.get(index.const) or ref.rest if isinstance(ref, Mapping) and index.known else None
            self.touch(ref, numeric(old, value))
            if isinstance(ref, Mapping):
                store(ref, index, value, bool(self.uncertain))
            elif isinstance(ref, Sequence):
                _set_sequence(ref, index, value)
            elif isinstance(ref, Library):
                if ref.dotted == "os.environ" and isinstance(index.const, str):
                    self.environment[index.const] = value
            elif ref is not NULL and not isinstance(ref, (Function, Class)):
                self.in_place(Value(refs=(ref,)), bits, target)
        if not base.refs and isinstance(target.value, ast.Name):
            self.bind(target.value.id, with_bits(base, bits))

    def in_place(self, target: Value, bits: int, node: ast.AST, strong: bool = False) -> bool:
        """Write into the storage a value refers to; True when it had any.

        ``strong`` replaces what was there (``copy_``, ``zero_``, ``.data =``) instead of adding to it.
        """
        wrote = False
        for ref in target.refs:
            if isinstance(ref, Entry):
                wrote |= self.in_place(Value(refs=ref.of), bits, node, strong)
            learned = isinstance(ref, Cell) and (ref.what == "param" or (ref.what == "leaf" and bits & GRAD))
            if isinstance(ref, Cell) and not learned:
                self.touch(ref)
                self.reached += bool(bits & VAL & ~ref.state)
                ref.state = bits if strong and not self.uncertain else ref.state | bits
                wrote = True
            elif isinstance(ref, Cell) or (isinstance(ref, Instance) and self.is_model(ref)):
                self.write_parameters(ref, bits, node, strong)
                wrote = True
        return wrote

    @staticmethod
    def is_model(ref: Obj) -> bool:
        """Whether an object is a module with parameters."""
        return isinstance(ref, Instance) and (ref.what == "module" or ref.what.startswith("torch.nn"))

    def write_parameters(self, ref: Obj, bits: int, node: ast.AST, strong: bool) -> None:
        """Put a value into parameters: an update when it is a gradient, a write when it is data."""
        self.touch_weights()
        kept = self.weights_only(bits)
        objects = parameters_below(Value(refs=(ref,)))
        if bits & GRAD:
            if bits & VAL:
                kept |= self.event_bit(self._happened(Did.UPDATE, node, bits, objects))
        elif bits & VAL and not bits & self.scores:
            kept |= self.event_bit(self._happened(Did.WRITE, node, bits, objects))
        for obj in objects:
            obj.state = kept | (self.surviving(obj.state) if strong else obj.state)

    def surviving(self, state: int) -> int:
        """What is left of a state when it is overwritten in a branch that may not be taken.

        Learning that happened under the same undecided tests is undone with them.
        """
        if not self.tests:
            return 0
        tests = {t for t in self.tests if not asks_what_was_kept(t)}
        left = state
        for key in self.bits.names(state & self.learned):
            if tests <= set(self.events[key[1]].data["tests"]):
                left &= ~self.bits.bit(key)
        return left

    def _happened(self, kind: Did, node: ast.AST, bits: int, objects: list[Obj]) -> Event:
        self.held += objects  # an id names an object only while it lives
        return self.emit(
            kind,
            node,
            bits,
            objects=frozenset(id(o) for o in objects),
            births=frozenset(o.birth for o in objects),
            models=any(self.is_model(o) for o in objects),
            ranked=bool(self.ranked),
            tests=self.tests,
        )

    def update(self, node: ast.AST, parameters: Value) -> None:
        """An optimizer step on what was differentiated last."""
        bits = self.pending
        if not bits:
            return
        self.touch_weights()
        objects = parameters_below(parameters)
        if not objects:
            objects = parameters_below(Value(refs=tuple(self.forwarded.values())))
        event = self._happened(Did.UPDATE, node, bits, objects)
        if bits & VAL:
            bit = self.event_bit(event)
            for obj in objects:
                obj.state |= bit
        self.stepped = True

    def load(self, model: Value, bits: int, node: ast.AST) -> None:
        """Replace the state of models by a loaded one."""
        self.touch_weights()
        kept = self.weights_only(bits)
        objects = parameters_below(model)
        beside = bits & TOKENS  # tokens stored in one file with the weights are none of these
        if bits & VAL and (bits & HOOKED or not bits & self.scores) and not beside:
            kept |= self.event_bit(self._happened(Did.WRITE, node, bits, objects))
        event = self._happened(Did.LOAD, node, bits, objects)
        if self.ranked:
            kept |= RANK
        for obj in objects:
            obj.state = kept | (0 if event.data["ranked"] else self.surviving(obj.state))

    def count(self, node: ast.AST, target: ast.Subscript, before: Value, added: Value) -> None:
        """Record a table increment at a key made of validation data."""
        index = self.values.get(target.slice)
        key = self.content(index) if index is not None else 0
        if key & VAL and not flat(added) & (self.scores | VAL) and not flat(before) & self.scores:
            base = self.values.get(target.value)
            self.counted(node, base or before, key)

    def counted(self, node: ast.AST, table: Value, key: int) -> None:
        """A table was incremented at keys with the given sources."""
        objects = [r for r in table.refs if isinstance(r, (Cell, Mapping, Sequence, Instance))]
        self.touch_weights()
        event = self._happened(Did.COUNT, node, key, list(objects))
        bit = self.event_bit(event)
        for obj in objects:
            obj.state |= bit

    def cursors(self, cls: Class) -> frozenset[str]:
        """The attributes that methods of a class advance from their own previous value, remembered."""
        known = self._cursors.get(cls.node)
        if known is None:
            known = self._cursors[cls.node] = _advanced_attributes(cls.node)
        return known

    def learned_in(self, value: Value) -> int:
        """The learned state of all tensors and modules below a value; activations kept there do not count."""
        bits = 0
        for obj in closure(value)[1]:
            if isinstance(obj, Instance) or (isinstance(obj, Cell) and obj.what):
                bits |= obj.state
        return self.weights_only(bits)

    def clone(self, value: Value) -> Value:
        """``copy.deepcopy``: the same graph in new objects."""
        memo: dict[int, Obj] = {}
        return _cloned(value, memo, self.loops)


def parameters_below(value: Value) -> list[Obj]:
    """The objects below a value that hold numbers: tensors and modules."""
    return [
        o
        for o in closure(value)[1]
        if isinstance(o, Cell) or (isinstance(o, Instance) and o.what != "optimizer")
    ]


def _same(old: Value | None, new: Value, learned: int) -> bool:
    """Whether storing a value changes nothing but, at most, what it has learned."""
    if old is None or (flat(old) ^ flat(new)) & ~learned or old.known is not new.known:
        return False
    if old.known:
        return type(old.const) is type(new.const) and bool(old.const == new.const)
    return all((type(r) is Cell and r.what != "param") or r is NULL for r in (*old.refs, *new.refs))


def _set_sequence(ref: Sequence, index: Value, value: Value) -> None:
    if (
        ref.items is not None
        and isinstance(index.const, int)
        and -len(ref.items) <= index.const < len(ref.items)
    ):
        ref.items[index.const] = value
    else:
        ref.rest = merge(ref.rest, with_bits(value, index.bits & ~RAW)) if ref.rest else value


def _advanced_attributes(node: ast.ClassDef) -> frozenset[str]:
    names: set[str] = set()
    for method in node.body:
        if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name != "__init__":
            names |= {t for inner in walk(method) for t in _advanced_here(inner)}
    return frozenset(names)


def _advanced_here(node: ast.AST) -> Iterable[str]:
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
        yield node.target.attr
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Attribute) and any(
                isinstance(n, ast.Attribute) and n.attr == target.attr for n in walk(node.value)
            ):
                yield target.attr


def _cloned(value: Value, memo: dict[int, Obj], birth: tuple[Any, ...]) -> Value:
    if not value.refs or len(memo) > 3000:
        return value
    return Value(value.const, value.bits, tuple(_clone(r, memo, birth) for r in value.refs), value.text)


def _clone(obj: Obj, memo: dict[int, Obj], birth: tuple[Any, ...]) -> Obj:
    known = memo.get(id(obj))
    if known is not None:
        return known
    if isinstance(obj, Cell):
        copy: Obj = Cell(birth, obj.state, obj.what)
        memo[id(obj)] = copy
    elif isinstance(obj, Instance):
        copy = new = Instance(obj.cls, birth, obj.what)
        memo[id(obj)] = new
        new.state = obj.state
        new.attrs = {k: _cloned(v, memo, birth) for k, v in obj.attrs.items()}
    elif isinstance(obj, Sequence):
        copy = seq = Sequence(None, None, birth)
        memo[id(obj)] = seq
        seq.state = obj.state
        seq.items = None if obj.items is None else [_cloned(v, memo, birth) for v in obj.items]
        seq.rest = _cloned(obj.rest, memo, birth) if obj.rest else None
    elif isinstance(obj, Mapping):
        copy = mapping = Mapping(birth)
        memo[id(obj)] = mapping
        mapping.state = obj.state
        mapping.items = {k: _cloned(v, memo, birth) for k, v in obj.items.items()}
        mapping.rest = _cloned(obj.rest, memo, birth) if obj.rest else None
    else:
        return obj
    return copy
