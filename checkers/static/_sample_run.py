"""A tiny evaluator that asks a byte-table builder about the sample pieces. It executes nothing.

It walks the builder's syntax tree with values of its own: numbers, text, lists, dictionaries, tables and a
stand-in tokenizer. Library calls are known by name only (``zeros``, ``tensor``, ``max``); whatever else the
builder touches is ``OPAQUE``, which spreads. No attribute of a real object is ever looked up, no import is
made, and work is bounded by ``STEPS``.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable
from typing import Any

from checkers.static._sample_library import (
    OPAQUE,
    Cannot,
    Opaque,
    Table,
    call_builtin,
    call_library,
    call_method,
    item,
)
from checkers.static._sample_tokens import COUNT, SampleTokenizer

STEPS = 60_000
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.RShift: operator.rshift,
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class _Leave(Exception):
    """``break`` or ``continue``."""

    def __init__(self, word: str) -> None:
        self.word = word


class SampleRun:
    """Evaluates functions of one module. ``globals_`` gives the values of names from outside."""

    def __init__(self, globals_: Callable[[str], Any]) -> None:
        self.globals_ = globals_
        self.frames: list[dict[str, Any]] = [{}]
        self.steps = 0
        self.last: dict[str, Any] = {}  # the names of the outermost call when it returned

    def call(self, function: ast.FunctionDef, args: list[Any], keywords: dict[str, Any]) -> Any:
        """Call a function; missing arguments take their default or are opaque.

        Raises:
            Cannot: too much work, or a construct that is not understood.
        """
        if len(self.frames) > 8:
            raise Cannot("calls nested too deeply")
        frame = self._bind(function.args, args, keywords)
        self.frames.append(frame)
        try:
            self.block(function.body)
        except _Return as returned:
            return returned.value
        finally:
            self.last = self.frames.pop()
        return None

    def _bind(self, spec: ast.arguments, args: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
        names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
        frame: dict[str, Any] = {name: OPAQUE for name in (*names, *(a.arg for a in spec.kwonlyargs))}
        for name, default in zip(reversed(names), reversed(spec.defaults), strict=False):
            frame[name] = self.eval(default)
        for arg, kw_default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
            frame[arg.arg] = self.eval(kw_default) if kw_default is not None else OPAQUE
        frame.update(zip(names, args, strict=False))
        frame.update({k: v for k, v in keywords.items() if k in frame})
        return frame

    # -- statements ------------------------------------------------------------------------------

    def block(self, body: list[ast.stmt]) -> None:
        """Run statements in order."""
        for statement in body:
            self.steps += 1
            if self.steps > STEPS:
                raise Cannot("too much work")
            handler = _STATEMENTS.get(type(statement))
            if handler is not None:
                handler(self, statement)

    def _assign(self, node: ast.Assign) -> None:
        value = self.eval(node.value)
        for target in node.targets:
            self.store(target, value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.store(node.target, self.eval(node.value))

    def _augmented(self, node: ast.AugAssign) -> None:
        load = ast.copy_location(ast.Name(id="", ctx=ast.Load()), node)
        old = self.eval(_loading(node.target, load))
        self.store(node.target, self._operate(type(node.op), old, self.eval(node.value)))

    def store(self, target: ast.AST, value: Any) -> None:
        """Bind a name, unpack, or write into a table, list or dictionary."""
        if isinstance(target, ast.Name):
            self.frames[-1][target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            values = list(value) if isinstance(value, (list, tuple)) else []
            for i, part in enumerate(target.elts):
                self.store(part, values[i] if i < len(values) else OPAQUE)
        elif isinstance(target, ast.Subscript):
            self._store_item(self.eval(target.value), self.eval(target.slice), value)
        elif isinstance(target, ast.Attribute):
            self.frames[0][ast.unparse(target)] = value

    def _store_item(self, container: Any, key: Any, value: Any) -> None:
        if isinstance(container, Table):
            container.write(key, value)
        elif isinstance(container, dict) and not isinstance(key, (Opaque, list, dict)):
            container[key] = value
        elif isinstance(container, list) and isinstance(key, int) and -len(container) <= key < len(container):
            container[key] = value

    def _if(self, node: ast.If) -> None:
        test = self.eval(node.test)
        if isinstance(test, (Opaque, Table)):
            self.block(node.body)
            self.block(node.orelse)
        else:
            self.block(node.body if test else node.orelse)

    def _for(self, node: ast.For) -> None:
        for value in self.iterate(self.eval(node.iter)):
            self.store(node.target, value)
            try:
                self.block(node.body)
            except _Leave as leave:
                if leave.word == "break":
                    return
        self.block(node.orelse)

    def _while(self, node: ast.While) -> None:
        for _ in range(4 * COUNT):
            test = self.eval(node.test)
            if isinstance(test, Opaque) or not test:
                return
            try:
                self.block(node.body)
            except _Leave as leave:
                if leave.word == "break":
                    return

    def _try(self, node: ast.Try) -> None:
        try:
            self.block(node.body)
        except (ValueError, TypeError, IndexError, KeyError, UnicodeError, AttributeError):
            for handler in node.handlers[:1]:
                self.block(handler.body)
        self.block(node.finalbody)

    def _with(self, node: ast.With) -> None:
        for entry in node.items:
            value = self.eval(entry.context_expr)
            if entry.optional_vars is not None:
                self.store(entry.optional_vars, value)
        self.block(node.body)

    def _return(self, node: ast.Return) -> None:
        raise _Return(self.eval(node.value) if node.value is not None else None)

    def _define(self, node: ast.FunctionDef) -> None:
        self.frames[-1][node.name] = node

    def iterate(self, value: Any) -> Iterable[Any]:
        """The items a loop sees; of what is not known, none."""
        if isinstance(value, Table):
            return value.row()
        if isinstance(value, (list, tuple, set, dict, range, str, bytes)):
            return list(value)[: 4 * COUNT]
        return []

    # -- expressions -----------------------------------------------------------------------------

    def eval(self, node: ast.AST) -> Any:
        """The value of an expression; ``OPAQUE`` when it is not understood."""
        self.steps += 1
        if self.steps > STEPS:
            raise Cannot("too much work")
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
        return self._operate(type(node.op), self.eval(node.left), self.eval(node.right))

    def _operate(self, kind: type, left: Any, right: Any) -> Any:
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
        pairs = [(self.eval(k) if k else OPAQUE, self.eval(v)) for k, v in zip(node.keys, node.values, strict=True)]
        return {k: v for k, v in pairs if _hashable([k])}

    def _joined(self, node: ast.JoinedStr) -> Any:
        parts = [self.eval(v.value) if isinstance(v, ast.FormattedValue) else self.eval(v) for v in node.values]
        return OPAQUE if any(isinstance(p, (Opaque, Table)) for p in parts) else "".join(str(p) for p in parts)

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


def _loading(target: ast.AST, fallback: ast.Name) -> ast.AST:
    """The same place, read instead of written."""
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target)
    if isinstance(target, (ast.Subscript, ast.Attribute)):
        return target
    return fallback


def run_builder(function: ast.FunctionDef, tokenizers: set[str], globals_: Callable[[str], Any]) -> dict[str, Any]:
    """Evaluate a table builder with sample tokenizers for the named parameters.

    Returns its local names, with what it returned under ``"return"`` (a tuple when it returns several).

    Raises:
        Cannot: it could not be evaluated; the message says why.
    """
    run = SampleRun(globals_)
    keywords = {name: SampleTokenizer() for name in tokenizers}
    try:
        returned = run.call(function, [], keywords)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise Cannot(f"{type(error).__name__} while evaluating it on sample pieces") from None
    return {**run.frames[0], **run.last, "return": returned}


_STATEMENTS: dict[type, Callable[[SampleRun, Any], None]] = {
    ast.Assign: SampleRun._assign,
    ast.AnnAssign: SampleRun._annotated,
    ast.AugAssign: SampleRun._augmented,
    ast.If: SampleRun._if,
    ast.For: SampleRun._for,
    ast.While: SampleRun._while,
    ast.Try: SampleRun._try,
    ast.With: SampleRun._with,
    ast.Return: SampleRun._return,
    ast.FunctionDef: SampleRun._define,
    ast.Expr: lambda run, node: run.eval(node.value) and None,
}


def _leave(word: str) -> Callable[[SampleRun, Any], None]:
    def leave(run: SampleRun, node: ast.AST) -> None:
        raise _Leave(word)

    return leave


_STATEMENTS[ast.Break] = _leave("break")
_STATEMENTS[ast.Continue] = _leave("continue")
_EXPRESSIONS: dict[type, Callable[[SampleRun, Any], Any]] = {
    ast.Constant: lambda run, node: node.value,
    ast.Name: SampleRun._name,
    ast.Attribute: SampleRun._attribute,
    ast.Subscript: SampleRun._subscript,
    ast.Slice: SampleRun._slice,
    ast.BinOp: SampleRun._binary,
    ast.UnaryOp: SampleRun._unary,
    ast.Compare: SampleRun._compare,
    ast.BoolOp: SampleRun._boolean,
    ast.IfExp: SampleRun._conditional,
    ast.List: SampleRun._listed,
    ast.Tuple: SampleRun._listed,
    ast.Set: SampleRun._listed,
    ast.Dict: SampleRun._dict,
    ast.JoinedStr: SampleRun._joined,
    ast.ListComp: SampleRun._comprehension,
    ast.GeneratorExp: SampleRun._comprehension,
    ast.SetComp: SampleRun._comprehension,
    ast.DictComp: SampleRun._dict_comprehension,
    ast.Call: SampleRun._call,
}
