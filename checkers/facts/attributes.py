"""Names and attributes: where a value is looked up, and what it is bound to on the way."""

from __future__ import annotations

import ast
from typing import Any

from checkers.facts.folding import with_bits
from checkers.facts.state import State
from checkers.facts.values import (
    GRAD,
    NOTHING,
    UNKNOWN,
    Class,
    Env,
    Function,
    Instance,
    Library,
    Method,
    ModuleObj,
    Super,
    Value,
    flat,
    merge,
)

# Attributes that say how a tensor is laid out, not what is in it.
_LAYOUT = frozenset(
    [
        "shape",
        "ndim",
        "dtype",
        "device",
        "size",
        "numel",
        "nbytes",
        "itemsize",
        "element_size",
        "is_cuda",
        "training",
        "stride",
        "__len__",
        "nelement",
    ]
)
# Attributes through which the same storage is seen.
_SAME = frozenset(
    ["data", "T", "mT", "H", "module", "_orig_mod", "weight", "bias", "real", "base", "__wrapped__"]
)


class Attributes(State):
    """Looking up names and attributes."""

    def lookup(self, name: str) -> Value:
        """The value of a name in the running frame."""
        own = self.frames[-1].env
        if name in own.names:
            return own.names[name]
        env: Env | None = own.parent
        while env is not None:
            if name in env.names:
                return self.note(env.names[name])
            env = env.parent
        return self.library(f"builtins.{name}")

    def attribute(self, base: Value, name: str) -> Value:
        """``base.name``, whatever the base may be."""
        if name in _LAYOUT:
            return Value(refs=(Method(NOTHING, name),))
        refs = base.refs
        if not refs:
            return self._opaque_attribute(base, name)
        value = self._attribute_of(base, refs[0], name)
        if len(refs) > 1:
            for ref in refs[1:]:
                value = merge(value, self._attribute_of(base, ref, name))
        return value

    def _opaque_attribute(self, base: Value, name: str) -> Value:
        if name == "grad":
            return Value(bits=base.bits | self.pending | GRAD)
        if name in _SAME:
            return base
        if name in ("name", "stem") and isinstance(base.const, str):  # of a path
            last = base.const.rpartition("/")[2]
            return Value(last.rpartition(".")[0] or last if name == "stem" else last, base.bits)
        return Value(bits=base.bits, refs=(Method(base, name),))

    def _attribute_of(self, base: Value, ref: Any, name: str) -> Value:
        kind = type(ref)
        if kind is Instance:
            return self._instance_attribute(base, ref, name)
        if kind is Library:
            return self.library(f"{ref.dotted}.{name}")
        if kind is Class:
            found = ref.find(name)
            return self._of_class(ref, found[0]) if found else Value(refs=(Method(base, name),))
        if kind is Super:
            return self._super_attribute(ref, name)
        if kind is ModuleObj:
            return self.note(ref.env.names.get(name, NOTHING))
        if name == "grad":
            return Value(bits=flat(base) | self.pending | GRAD, refs=())
        if name in _SAME:
            return Value(bits=base.bits, refs=(ref,))
        return Value(bits=flat(base), refs=(Method(Value(UNKNOWN, base.bits, (ref,)), name),))

    def _instance_attribute(self, base: Value, ref: Instance, name: str) -> Value:
        value = ref.attrs.get(name)
        if value is not None:
            if self.loops and ref.cls is not None and name in self.cursors(ref.cls):
                # what its class advances differs in every iteration around its use
                value = Value(value.const, value.bits | self.here(), value.refs, value.text)
            turn = base.bits & self.iterations
            return with_bits(value, turn) if turn and ref.what == "" else value
        found = ref.cls.find(name) if ref.cls else None
        me = Value(UNKNOWN, base.bits, (ref,))
        if found:
            return self._bind(found[0], found[1], me)
        if name in _SAME:
            return me
        if name == "grad":
            return Value(bits=flat(base) | self.pending | GRAD)
        return Value(bits=flat(me), refs=(Method(me, name),))

    def _of_class(self, ref: Class, value: Value) -> Value:
        """An attribute looked up on a class: class methods are bound to it, functions are not."""
        for function in value.refs:
            if isinstance(function, Function) and not isinstance(function.node, ast.Lambda):
                names = {d.id for d in function.node.decorator_list if isinstance(d, ast.Name)}
                if "classmethod" in names:
                    return self._bind(value, ref, Value(refs=(ref,)))
        return self.note(value)

    def _super_attribute(self, ref: Super, name: str) -> Value:
        for base in ref.owner.bases:
            for cls in base.refs:
                if isinstance(cls, Class) and (found := cls.find(name)):
                    return self._bind(found[0], found[1], ref.receiver)
        return Value(refs=(Method(ref.receiver, name),))

    def cursors(self, cls: Class) -> frozenset[str]:
        """The attributes that methods of a class advance from their own previous value."""
        raise NotImplementedError

    def _bind(self, value: Value, owner: Class, me: Value) -> Value:
        bound = []
        for ref in value.refs:
            if not isinstance(ref, Function) or isinstance(ref.node, ast.Lambda):
                return self.note(value)
            if not ref.node.decorator_list:
                bound.append(Function(ref.node, ref.env, ref.defaults, owner, me))
                continue
            names = {d.id for d in ref.node.decorator_list if isinstance(d, ast.Name)}
            if "staticmethod" in names:
                return value
            if "classmethod" in names:
                me = Value(refs=(owner,))
            method = Function(ref.node, ref.env, ref.defaults, owner, me)
            if names & {"property", "cached_property"} or _functools_cached(ref.node):
                return self.enter(method, [], {}, ref.node)
            bound.append(method)
        return Value(value.const, value.bits, tuple(bound)) if bound else value


def _functools_cached(node: Any) -> bool:
    return any(isinstance(d, ast.Attribute) and d.attr == "cached_property" for d in node.decorator_list)
