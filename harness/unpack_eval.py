"""Compute the literal expressions of a script: a small, total, bounded interpreter of expressions.

It never calls anything of the submission or of the machine but the pure functions listed in
:mod:`harness.unpack_calls`; whatever else an expression needs makes its value ``UNKNOWN``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from harness.unpack_calls import BUILTINS, CONSTANTS, FUNCTIONS, MADE, METHODS, SEALED, call_method
from harness.unpack_codecs import CODECS, apply
from harness.unpack_operators import COMPARE, UNARY, binary
from harness.unpack_values import (
    SOMEWHERE,
    UNKNOWN,
    Budget,
    Dotted,
    Failed,
    Function,
    Method,
    Origins,
    Stream,
    Unknown,
    as_path,
    bounded,
    opaque,
    somewhere,
    weigh,
)

MAX_DEPTH = 60  # nested expressions and calls
MAX_LOOP = 1 << 16  # passes of one loop

_FREE = frozenset({ast.Name, ast.Constant, ast.Attribute})  # they make no new value
_WEIGHTLESS = frozenset({Unknown, Dotted, Function, Method, bool, type(None)})  # of no size that could grow
_PATH_KEEPERS = {"str", "pathlib.Path", "os.path.abspath", "os.path.realpath", "os.fspath"}
_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)  # UnicodeError is a ValueError


Scope = dict[str, Any]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Evaluator:
    """Evaluates expressions in a scope. ``call`` is what statements and sinks hook into."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.depth = 0
        self.origins = Origins()
        self.enclosing: list[Scope] = []  # scopes that functions close over

    def value(self, node: ast.AST, scope: Scope) -> Any:
        """Compute an expression; ``UNKNOWN`` when it depends on anything but literals.

        Raises:
            Failed: the script would raise here, or a bound on size is passed.
            ExhaustedError: the bound on steps is passed.
        """
        self.budget.spend(1)
        kind = type(node)
        rule = _RULES.get(kind)
        if rule is None or self.depth > MAX_DEPTH:
            return UNKNOWN
        self.depth += 1
        try:
            result = rule(self, node, scope)
            if type(result) in _WEIGHTLESS:
                return result
            bounded(result)
            if kind not in _FREE:
                self.budget.charge(result)
            return result
        except _ERRORS as error:
            raise Failed(f"{type(error).__name__}: {error}"[:160]) from None
        finally:
            self.depth -= 1

    def close_over(self, node: Definition, scope: Scope) -> Function:
        """A function of the script with the scope around it."""
        self.enclosing.append(scope)
        return Function(node, scope)

    def let_go(self) -> None:
        """Empty the scopes that functions close over: the two hold each other, and with them the tree."""
        for scope in self.enclosing:
            scope.clear()

    def known(self, *values: Any) -> bool:
        """Tell whether values and all their elements are computed; large ones cost steps."""
        count = weigh(values)
        self.budget.spend((count or 0) >> 4)
        return count is not None

    def assign(self, target: ast.AST, value: Any, scope: Scope) -> None:
        """Bind a value to names, tuples of names or an item of a known collection."""
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            fits = isinstance(value, (tuple, list)) and len(value) == len(target.elts)
            for index, element in enumerate(target.elts):
                self.assign(element, value[index] if fits else UNKNOWN, scope)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, UNKNOWN, scope)
        elif isinstance(target, ast.Subscript):
            owner, index = self.value(target.value, scope), self.value(target.slice, scope)
            if isinstance(owner, (list, dict, bytearray)) and self.known(index):
                owner[index] = value

    def _name(self, node: ast.Name, scope: Scope) -> Any:
        if node.id in scope:
            return scope[node.id]
        return Dotted(node.id) if node.id in BUILTINS else UNKNOWN

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        return self.attribute(self.value(node.value, scope), node.attr)

    def attribute(self, owner: Any, name: str) -> Any:
        """Look up an attribute of a library name, a file or a constant."""
        if isinstance(owner, Dotted):
            full = f"{owner.name}.{name}".removeprefix("__builtins__.").removeprefix("builtins.")
            return CONSTANTS.get(full, Dotted(full, owner.args, owner.kwargs))
        if isinstance(owner, PurePosixPath) and name in {
            "parent",
            "name",
            "stem",
            "suffix",
            "parts",
            "parents",
        }:
            found = getattr(owner, name)
            return tuple(found) if name == "parents" else found
        if isinstance(owner, Stream) and name == "name":
            return owner.path or UNKNOWN
        return UNKNOWN if owner is UNKNOWN else Method(owner, name)

    def _call(self, node: ast.Call, scope: Scope) -> Any:
        function = self.value(node.func, scope)
        args: list[Any] = []
        for item in node.args:
            if isinstance(item, ast.Starred):
                rest = self.value(item.value, scope)
                args.extend(rest if isinstance(rest, (list, tuple)) else [UNKNOWN])
            else:
                args.append(self.value(item, scope))
        kwargs: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif isinstance(value, dict):
                kwargs.update({k: v for k, v in value.items() if isinstance(k, str)})
        return self.call(node, function, args, kwargs)

    def call(self, node: ast.Call, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call what is known of a function; overridden with what runs code and touches files."""
        if isinstance(function, Method):
            return self._call_method(function, args, kwargs)
        if isinstance(function, Dotted):
            return self._call_library(function, args, kwargs)
        return UNKNOWN

    def _call_method(self, method: Method, args: list[Any], kwargs: dict[str, Any]) -> Any:
        owner, name = method.owner, method.name
        allowed = METHODS.get(type(owner), frozenset())
        if isinstance(owner, PurePosixPath):
            allowed = METHODS[PurePosixPath]
        mutates = isinstance(owner, (list, dict, set))
        if name not in allowed or not (mutates or self.known(owner)):
            return UNKNOWN
        if not self.known(*args, *kwargs.values()) and name not in {"append", "insert", "setdefault"}:
            return UNKNOWN
        result = call_method(owner, name, args, kwargs)
        self.origins.note(result, self.origins.of(owner, *args))
        return result

    def _call_library(self, function: Dotted, args: list[Any], kwargs: dict[str, Any]) -> Any:
        name = function.name
        if name in SEALED:
            return opaque(SEALED[name])
        codec = CODECS.get(name)
        if name in MADE:
            label, made, fields = MADE[name]
            given = {**dict(zip(fields, function.args, strict=False)), **dict(function.kwargs)}
            kwargs = {**{k: v for k, v in given.items() if k in fields}, **kwargs}
            codec = label, made
        if codec is not None:
            return self._decode(*codec, args, kwargs)
        if name in FUNCTIONS:
            if not self.known(*args, *kwargs.values()):
                return self._half_known(name, args)
            result = bounded(FUNCTIONS[name](*args, **kwargs))
            self.origins.note(result, self.origins.of(*args))
            return result
        return Dotted(f"{name}()", tuple(args), tuple(kwargs.items()))

    def _half_known(self, name: str, args: list[Any]) -> Any:
        """Some functions keep their shape although an argument is not known."""
        if name == "os.path.join" and args:
            return somewhere(as_path(args[-1]))
        if name in _PATH_KEEPERS and args and isinstance(args[0], Dotted) and args[0].name == SOMEWHERE:
            return args[0]
        if name in {"list", "tuple", "iter", "reversed"} and args and isinstance(args[0], (list, tuple)):
            return list(args[0])
        return UNKNOWN

    def _decode(self, label: str, codec: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        for value in (*args, *kwargs.values()):
            if isinstance(value, Dotted) and value.name == "opaque":
                return value
        if not args or not self.known(*args, *kwargs.values()):
            return UNKNOWN
        result = bounded(apply(codec, *args, **kwargs))
        self.origins.note(result, (label, *self.origins.of(*args)))
        return result

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        owner, index = self.value(node.value, scope), self.value(node.slice, scope)
        if isinstance(owner, Dotted):
            return self.item(owner, index)
        if not self.known(index) or not isinstance(owner, (str, bytes, bytearray, list, tuple, dict, range)):
            return UNKNOWN
        result = owner[index]
        self.origins.note(result, self.origins.of(owner))
        return result

    def item(self, owner: Dotted, index: Any) -> Any:
        """An item of a library object: builtins by name, or nothing known."""
        if owner.name in {"__builtins__", "globals()", "vars()"} and isinstance(index, str):
            return Dotted(index) if index in BUILTINS else UNKNOWN
        return UNKNOWN

    def _slice(self, node: ast.Slice, scope: Scope) -> Any:
        ends = [None if n is None else self.value(n, scope) for n in (node.lower, node.upper, node.step)]
        return slice(*ends) if self.known(*ends) else UNKNOWN

    def _binary(self, node: ast.BinOp, scope: Scope) -> Any:
        return self.operate(node.op, self.value(node.left, scope), self.value(node.right, scope))

    def operate(self, op: ast.operator, left: Any, right: Any) -> Any:
        """Apply a binary operator, refusing what would grow out of bounds."""
        if isinstance(left, PurePosixPath) and isinstance(op, ast.Div) and as_path(right) is not None:
            return PurePosixPath(left / right)
        if isinstance(op, ast.Div) and isinstance(right, str) and not self.known(left):
            return somewhere(right)
        if not self.known(left, right):
            return UNKNOWN
        result = binary(op, left, right)
        self.origins.note(result, self.origins.of(left, right))
        return result

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Any:
        value = self.value(node.operand, scope)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return UNKNOWN if truth is None else not truth
        return UNARY[type(node.op)](value) if isinstance(value, (int, float)) else UNKNOWN

    def truth(self, value: Any) -> bool | None:
        """The truth of a value, None when it is not known."""
        return bool(value) if self.known(value) else None

    def _boolean(self, node: ast.BoolOp, scope: Scope) -> Any:
        stop, unknown = isinstance(node.op, ast.Or), False
        result: Any = UNKNOWN
        for item in node.values:
            result = self.value(item, scope)
            truth = self.truth(result)
            unknown = unknown or truth is None
            if truth is stop:
                return UNKNOWN if unknown else result
        return UNKNOWN if unknown else result

    def _compare(self, node: ast.Compare, scope: Scope) -> Any:
        left = self.value(node.left, scope)
        for op, item in zip(node.ops, node.comparators, strict=True):
            right = self.value(item, scope)
            if not (self.known(left, right)):
                return UNKNOWN
            if not COMPARE[type(op)](left, right):
                return False
            left = right
        return True

    def _choice(self, node: ast.IfExp, scope: Scope) -> Any:
        truth = self.truth(self.value(node.test, scope))
        if truth is not None:
            return self.value(node.body if truth else node.orelse, scope)
        both = self.value(node.body, scope), self.value(node.orelse, scope)
        return both[0] if self.known(*both) and both[0] == both[1] else UNKNOWN

    def _formatted(self, node: ast.JoinedStr, scope: Scope) -> Any:
        pieces = [self.value(item, scope) for item in node.values]
        if not all(isinstance(p, str) for p in pieces):
            return UNKNOWN
        result = "".join(pieces)
        self.origins.note(result, self.origins.of(*pieces))
        return result

    def _format_one(self, node: ast.FormattedValue, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        spec = self.value(node.format_spec, scope) if node.format_spec else ""
        if not self.known(value) or not isinstance(spec, str) or re.search(r"\d{5}", spec):
            return UNKNOWN
        if node.conversion > 0:
            value = repr(value) if node.conversion == ord("r") else str(value)
        result = format(value, spec)
        self.origins.note(result, self.origins.of(value))
        return result

    def _elements(self, nodes: list[ast.expr], scope: Scope) -> list[Any]:
        out: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                rest = self.value(node.value, scope)
                out.extend(rest if isinstance(rest, (list, tuple, set, dict)) else [UNKNOWN])
            else:
                out.append(self.value(node, scope))
        return out

    def _set(self, node: ast.Set, scope: Scope) -> Any:
        items = self._elements(node.elts, scope)
        return set(items) if self.known(*items) else UNKNOWN

    def _dict(self, node: ast.Dict, scope: Scope) -> Any:
        out: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.value(item, scope)
            if key is None:
                out.update(value if isinstance(value, dict) else {})
            else:
                name = self.value(key, scope)
                if self.known(name):
                    out[name] = value
        return out

    def _walrus(self, node: ast.NamedExpr, scope: Scope) -> Any:
        scope[node.target.id] = result = self.value(node.value, scope)
        return result

    def _comprehend(
        self, element: ast.expr, generators: list[ast.comprehension], scope: Scope
    ) -> Iterator[Any]:
        inner = dict(scope)
        first, rest = generators[0], generators[1:]
        for item in self.items(self.value(first.iter, inner)):
            self.assign(first.target, item, inner)
            if any(self.truth(self.value(test, inner)) is False for test in first.ifs):
                continue
            if rest:
                yield from self._comprehend(element, rest, inner)
            else:
                yield self.value(element, inner)

    def _dict_comprehension(self, node: ast.DictComp, scope: Scope) -> Any:
        pair = ast.Tuple([node.key, node.value], ast.Load())
        return {k: v for k, v in self._comprehend(pair, node.generators, scope) if self.known(k)}

    def items(self, values: Any) -> Iterator[Any]:
        """Iterate a known collection; of an unknown one, one unknown element."""
        if not isinstance(values, (str, bytes, bytearray, list, tuple, set, dict, range)):
            yield UNKNOWN
            return
        for count, item in enumerate(list(values)):
            if count >= MAX_LOOP:
                raise Failed("a loop too long")
            yield item


_RULES: dict[type[ast.AST], Callable[[Evaluator, Any, Scope], Any]] = {
    ast.Constant: lambda e, n, s: n.value,
    ast.Name: Evaluator._name,
    ast.Attribute: Evaluator._attribute,
    ast.Call: Evaluator._call,
    ast.Subscript: Evaluator._subscript,
    ast.BinOp: Evaluator._binary,
    ast.UnaryOp: Evaluator._unary,
    ast.BoolOp: Evaluator._boolean,
    ast.Compare: Evaluator._compare,
    ast.IfExp: Evaluator._choice,
    ast.JoinedStr: Evaluator._formatted,
    ast.FormattedValue: Evaluator._format_one,
    ast.Tuple: lambda e, n, s: tuple(e._elements(n.elts, s)),
    ast.List: lambda e, n, s: e._elements(n.elts, s),
    ast.Set: Evaluator._set,
    ast.Dict: Evaluator._dict,
    ast.Lambda: lambda e, n, s: e.close_over(n, s),
    ast.NamedExpr: Evaluator._walrus,
    ast.ListComp: lambda e, n, s: list(e._comprehend(n.elt, n.generators, s)),
    ast.GeneratorExp: lambda e, n, s: list(e._comprehend(n.elt, n.generators, s)),
    ast.SetComp: lambda e, n, s: set(e._comprehend(n.elt, n.generators, s)),
    ast.DictComp: Evaluator._dict_comprehension,
    ast.Slice: Evaluator._slice,
    ast.Await: lambda e, n, s: e.value(n.value, s),
}
