"""Expressions of the sample evaluator: values of its own, nothing executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable
from typing import Any

from checkers.static._sample_library import (
    OPAQUE,
    CannotError,
    Opaque,
    Table,
    call_builtin,
    call_library,
    call_method,
    item,
)
from checkers.static._sample_tokens import COUNT
from harness.operators import BINARY, COMPARE, IDENTITY

STEPS = 60_000
_BINARY = BINARY | {ast.Mult: operator.mul, ast.Mod: operator.mod, ast.RShift: operator.rshift}
_COMPARE = COMPARE | IDENTITY


class Expressions:
    """Evaluates expressions. ``globals_`` gives the values of names from outside."""

    def __init__(self, globals_: Callable[[str], Any]) -> None:
        self.globals_ = globals_
        self.frames: list[dict[str, Any]] = [{}]
        self.steps = 0
        self.last: dict[str, Any] = {}  # the names of the outermost call when it returned

    def call(self, function: ast.FunctionDef, args: list[Any], keywords: dict[str, Any]) -> Any:
        """Call a function (``_sample_run``)."""
        raise NotImplementedError

    def store(self, target: ast.AST, value: Any) -> None:
        """Bind a target (``_sample_run``)."""
        raise NotImplementedError

    def iterate(self, value: Any) -> Iterable[Any]:
        """The items a loop sees; of what is not known, none."""
        if isinstance(value, Table):
            return value.row()
        if isinstance(value, (list, tuple, set, dict, range, str, bytes)):
            return list(value)[: 4 * COUNT]
        return []

    def eval(self, node: ast.AST) -> Any:
        """The value of an expression; ``OPAQUE`` when it is not understood."""
        self.steps += 1
        if self.steps > STEPS:
            raise CannotError("too much work")
        handler = _EXPRESSIONS.get(type(node))
        return handler(self, node) if handler is not None else OPAQUE

    def _name(self, node: ast.Name) -> Any:
        for frame in reversed(self.frames[-2:]):
            if node.id in frame:
                return frame[node.id]
        return self.globals_(node.id)

    def _attribute(self, node: ast.Attribute) -> Any:
        path = ast.unparse(node)
        if path in self.frames[0]:
            return self.frames[0][path]
        base = self.eval(node.value)
        if isinstance(base, Table) and node.attr == "shape":
            return (COUNT,)
        return Opaque(f"{base.path}.{node.attr}") if isinstance(base, Opaque) and base.path else OPAQUE

    def _subscript(self, node: ast.Subscript) -> Any:
        return item(self.eval(node.value), self.eval(node.slice))

    def _slice(self, node: ast.Slice) -> Any:
        ends = [self.eval(p) if p is not None else None for p in (node.lower, node.upper, node.step)]
        return OPAQUE if any(isinstance(e, Opaque) for e in ends) else slice(*ends)

    def _binary(self, node: ast.BinOp) -> Any:
        return self.operate(type(node.op), self.eval(node.left), self.eval(node.right))

    def operate(self, kind: type, left: Any, right: Any) -> Any:
        """``left op right`` of known plain values."""
        if isinstance(left, Opaque) or isinstance(right, Opaque) or kind not in _BINARY:
            return OPAQUE
        if isinstance(left, list) and kind is ast.Mult:
            return left * min(right, COUNT) if isinstance(right, int) and len(left) == 1 else OPAQUE
        if isinstance(left, Table) or isinstance(right, Table):
            return OPAQUE
        if kind is ast.Mult and (isinstance(left, (str, bytes)) or isinstance(right, (str, bytes))):
            return OPAQUE
        return _BINARY[kind](left, right)

    def _unary(self, node: ast.UnaryOp) -> Any:
        value = self.eval(node.operand)
        if isinstance(value, (Opaque, Table)):
            return OPAQUE
        if isinstance(node.op, ast.Not):
            return not value
        if isinstance(node.op, ast.USub):
            return -value
        return ~value if isinstance(node.op, ast.Invert) else value

    def _compare(self, node: ast.Compare) -> Any:
        left = self.eval(node.left)
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.eval(comparator)
            if isinstance(left, (Opaque, Table)) or isinstance(right, (Opaque, Table)):
                return OPAQUE
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True

    def _boolean(self, node: ast.BoolOp) -> Any:
        stop_at = isinstance(node.op, ast.Or)
        value: Any = OPAQUE
        unknown = False
        for operand in node.values:
            value = self.eval(operand)
            if isinstance(value, (Opaque, Table)):
                unknown = True
            elif bool(value) is stop_at:
                return value
        return OPAQUE if unknown else value

    def _conditional(self, node: ast.IfExp) -> Any:
        test = self.eval(node.test)
        if isinstance(test, Opaque):
            self.eval(node.body)
            return self.eval(node.orelse)
        return self.eval(node.body if test else node.orelse)

    def _listed(self, node: ast.List | ast.Tuple | ast.Set) -> Any:
        values = [self.eval(e) for e in node.elts]
        if isinstance(node, ast.Tuple):
            return tuple(values)
        return set(values) if isinstance(node, ast.Set) and _hashable(values) else values

    def _dict(self, node: ast.Dict) -> Any:
        pairs = [
            (self.eval(k) if k else OPAQUE, self.eval(v)) for k, v in zip(node.keys, node.values, strict=True)
        ]
        return {k: v for k, v in pairs if _hashable([k])}

    def _joined(self, node: ast.JoinedStr) -> Any:
        parts = [
            self.eval(v.value) if isinstance(v, ast.FormattedValue) else self.eval(v) for v in node.values
        ]
        return (
            OPAQUE if any(isinstance(p, (Opaque, Table)) for p in parts) else "".join(str(p) for p in parts)
        )

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> Any:
        out: list[Any] = []
        self._generate(node.generators, lambda: out.append(self.eval(node.elt)))
        return out

    def _dict_comprehension(self, node: ast.DictComp) -> Any:
        out: dict[Any, Any] = {}

        def add() -> None:
            key = self.eval(node.key)
            if _hashable([key]):
                out[key] = self.eval(node.value)

        self._generate(node.generators, add)
        return out

    def _generate(self, generators: list[ast.comprehension], emit: Callable[[], None]) -> None:
        if not generators:
            emit()
            return
        first = generators[0]
        for value in self.iterate(self.eval(first.iter)):
            self.store(first.target, value)
            tests = [self.eval(t) for t in first.ifs]
            if all(not isinstance(t, Opaque) and t for t in tests):
                self._generate(generators[1:], emit)

    def _call(self, node: ast.Call) -> Any:
        args = [self.eval(a) for a in node.args if not isinstance(a, ast.Starred)]
        keywords = {k.arg: self.eval(k.value) for k in node.keywords if k.arg}
        if isinstance(node.func, ast.Attribute):
            receiver = self.eval(node.func.value)
            if not isinstance(receiver, Opaque):
                return call_method(receiver, node.func.attr, args)
        function = self.eval(node.func)
        if isinstance(function, ast.FunctionDef):
            return self.call(function, args, keywords)
        if isinstance(function, ast.Lambda):
            return OPAQUE
        if isinstance(function, Opaque):
            tail = function.path.rpartition(".")[2]
            if function.path.startswith("builtins."):
                return call_builtin(tail, args)
            return call_library(tail, args, keywords)
        return OPAQUE


def _hashable(values: list[Any]) -> bool:
    return all(isinstance(v, (str, bytes, int, float, bool, tuple, type(None))) for v in values)


_EXPRESSIONS: dict[type, Callable[[Expressions, Any], Any]] = {
    ast.Constant: lambda run, node: node.value,
    ast.Name: Expressions._name,
    ast.Attribute: Expressions._attribute,
    ast.Subscript: Expressions._subscript,
    ast.Slice: Expressions._slice,
    ast.BinOp: Expressions._binary,
    ast.UnaryOp: Expressions._unary,
    ast.Compare: Expressions._compare,
    ast.BoolOp: Expressions._boolean,
    ast.IfExp: Expressions._conditional,
    ast.List: Expressions._listed,
    ast.Tuple: Expressions._listed,
    ast.Set: Expressions._listed,
    ast.Dict: Expressions._dict,
    ast.JoinedStr: Expressions._joined,
    ast.ListComp: Expressions._comprehension,
    ast.GeneratorExp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.DictComp: Expressions._dict_comprehension,
    ast.Call: Expressions._call,
}
