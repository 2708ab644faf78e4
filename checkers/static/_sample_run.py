"""A tiny evaluator that asks a byte-table builder about the sample pieces. It executes nothing.

It walks the builder's syntax tree with values of its own: numbers, text, lists, dictionaries, tables and a
stand-in tokenizer. Library calls are known by name only (``zeros``, ``tensor``, ``max``); whatever else the
builder touches is ``OPAQUE``, which spreads. No attribute of a real object is ever looked up, no import is
made, and work is bounded by ``STEPS``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from checkers.static._sample_expressions import STEPS, Expressions
from checkers.static._sample_library import OPAQUE, CannotError, Opaque, Table
from checkers.static._sample_tokens import COUNT, SampleTokenizer


class _ReturnSignal(Exception):  # noqa: N818 - control flow, no error
    def __init__(self, value: Any) -> None:
        self.value = value


class _LeaveSignal(Exception):  # noqa: N818 - control flow, no error
    """``break`` or ``continue``."""

    def __init__(self, word: str) -> None:
        self.word = word


class SampleRun(Expressions):
    """Evaluates functions of one module."""

    def call(self, function: ast.FunctionDef, args: list[Any], keywords: dict[str, Any]) -> Any:
        """Call a function; missing arguments take their default or are opaque.

        Raises:
            CannotError: too much work, or a construct that is not understood.
        """
        if len(self.frames) > 8:
            raise CannotError("calls nested too deeply")
        frame = self._bind(function.args, args, keywords)
        self.frames.append(frame)
        try:
            self.block(function.body)
        except _ReturnSignal as returned:
            return returned.value
        finally:
            self.last = self.frames.pop()
        return None

    def _bind(self, spec: ast.arguments, args: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
        names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
        frame: dict[str, Any] = dict.fromkeys((*names, *(a.arg for a in spec.kwonlyargs)), OPAQUE)
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
                raise CannotError("too much work")
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
        self.store(node.target, self.operate(type(node.op), old, self.eval(node.value)))

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
        elif (isinstance(container, dict) and not isinstance(key, (Opaque, list, dict))) or (
            isinstance(container, list) and isinstance(key, int) and -len(container) <= key < len(container)
        ):
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
            except _LeaveSignal as leave:
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
            except _LeaveSignal as leave:
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
        raise _ReturnSignal(self.eval(node.value) if node.value is not None else None)

    def _define(self, node: ast.FunctionDef) -> None:
        self.frames[-1][node.name] = node


def _loading(target: ast.AST, fallback: ast.Name) -> ast.AST:
    """The same place, read instead of written."""
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target)
    if isinstance(target, (ast.Subscript, ast.Attribute)):
        return target
    return fallback


def run_builder(
    function: ast.FunctionDef, tokenizers: set[str], globals_: Callable[[str], Any]
) -> dict[str, Any]:
    """Evaluate a table builder with sample tokenizers for the named parameters.

    Returns its local names, with what it returned under ``"return"`` (a tuple when it returns several).

    Raises:
        CannotError: it could not be evaluated; the message says why.
    """
    run = SampleRun(globals_)
    keywords = {name: SampleTokenizer() for name in tokenizers}
    try:
        returned = run.call(function, [], keywords)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise CannotError(f"{type(error).__name__} while evaluating it on sample pieces") from None
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
        raise _LeaveSignal(word)

    return leave


_STATEMENTS[ast.Break] = _leave("break")
_STATEMENTS[ast.Continue] = _leave("continue")
