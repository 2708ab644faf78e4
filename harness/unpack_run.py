"""Follow the statements of a script far enough to know what text it executes.

Branches on unknown conditions are both taken, loops over unknown things are walked once, and a
function is entered only when it can lead to code being run. Nothing is executed: statements only move
the values that :mod:`harness.unpack_eval` computed from literals.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any

from harness.lowering import statements
from harness.nodes import walk
from harness.unpack_eval import MAX_LOOP, Scope
from harness.unpack_files import Host
from harness.unpack_sinks import WORDS, Sinks
from harness.unpack_values import UNKNOWN, Budget, Dotted, ExhaustedError, Failed, Function

_MAX_CALLS = 24  # functions of the script inside each other
_SMALL_LOOP = 100  # nodes of the body of a loop that is followed pass by pass
_LARGE_LOOP_PASSES = 8
_NAME = re.compile(r"[A-Za-z_]\w*")
_RUNS_TEXT = re.compile(r"(?<![\w.])(?:exec\b|compile\s*\()|\brunpy\b")
_COLLECTIONS = (str, bytes, bytearray, list, tuple, set, dict, range)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef


class _Return(Exception):  # noqa: N818 - control flow
    def __init__(self, value: Any) -> None:
        self.value = value


class _Break(Exception):  # noqa: N818 - control flow
    pass


class _Continue(Exception):  # noqa: N818 - control flow
    pass


class Runner(Sinks):
    """Walks one module. ``found`` (of :class:`Sinks`) fills with what it would run."""

    def __init__(self, host: Host, path: str, budget: Budget) -> None:
        super().__init__(host, path, budget)
        self.returned: list[Any] = []
        self.sizes: dict[int, int] = {}
        self.uncertain = 0

    def walk(self, tree: ast.Module, text: str) -> None:
        """Follow a whole module, then the functions that nothing called."""
        definitions = [n for n in statements(tree) if isinstance(n, _Definition)]
        self.interesting = _interesting(definitions, text)
        self.entered: set[int] = set()
        self.calls = 0
        scope: Scope = {"__file__": self.path, "__name__": "__main__"}
        self.module = scope
        try:
            self.block(tree.body, scope)
            for node in definitions:
                if id(node) in self.interesting and id(node) not in self.entered:
                    self.enter(Function(node, scope), [], {})
        except (Failed, _Return, _Break, _Continue):
            return
        except (ExhaustedError, RecursionError) as error:
            if _RUNS_TEXT.search(text):  # else what was not reached can run no code of the submission
                self.stop(str(error))
        finally:
            self.let_go()

    def block(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        """Follow statements; one whose computation fails only loses its own value."""
        for node in body:
            self.budget.spend(1)
            self._statement(node, scope)

    def _statement(self, node: ast.stmt, scope: Scope) -> None:
        rule = _STATEMENTS.get(type(node))
        if rule is None:
            return
        if self.trying:
            rule(self, node, scope)
            return
        try:
            rule(self, node, scope)
        except Failed as error:
            self.failed(node, str(error))

    def call(self, node: ast.Call, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call a function of the script, run a sink, or ask the table of library functions."""
        if isinstance(function, Function):
            return self.enter(function, args, kwargs)
        if isinstance(function, Dotted) and function.name == "map" and len(args) == 2:
            return [self.call(node, args[0], [item], {}) for item in self.items(args[1])]
        handled, result = self.sink(node, function, args, kwargs)
        return result if handled else super().call(node, function, args, kwargs)

    def enter(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Follow a function of the script with what is known of its arguments."""
        node = function.node
        if self.calls >= _MAX_CALLS:
            return UNKNOWN
        if isinstance(node, _Definition) and not self._worth(node):
            return UNKNOWN
        self.entered.add(id(node))
        scope = Scope(function.scope)
        scope.update(self._arguments(node.args, args, kwargs, function.scope))
        self.calls += 1
        trying, self.trying = self.trying, self.trying
        try:
            if isinstance(node, ast.Lambda):
                return self.value(node.body, scope)
            self.returned.append(UNKNOWN)
            self.block(node.body, scope)
            return self.returned[-1]
        except _Return as result:
            return result.value
        finally:
            self.calls -= 1
            self.trying = trying
            if not isinstance(node, ast.Lambda):
                self.returned.pop()

    def _worth(self, node: _Definition) -> bool:
        return id(node) in self.interesting or len(node.body) <= 12

    def _arguments(
        self, spec: ast.arguments, args: list[Any], kwargs: dict[str, Any], outer: Scope
    ) -> dict[str, Any]:
        names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
        bound: dict[str, Any] = dict.fromkeys((*names, *(a.arg for a in spec.kwonlyargs)), UNKNOWN)
        for name, default in zip(names[len(names) - len(spec.defaults) :], spec.defaults, strict=True):
            bound[name] = self.value(default, outer)
        for argument, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
            bound[argument.arg] = UNKNOWN if value is None else self.value(value, outer)
        bound.update(zip(names, args, strict=False))
        bound.update({k: v for k, v in kwargs.items() if k in bound})
        if spec.vararg is not None:
            bound[spec.vararg.arg] = args[len(names) :]
        if spec.kwarg is not None:
            bound[spec.kwarg.arg] = {k: v for k, v in kwargs.items() if k not in names}
        return bound

    # Statements, one method each

    def _expression(self, node: ast.Expr, scope: Scope) -> None:
        self.value(node.value, scope)

    def _assignment(self, node: ast.Assign, scope: Scope) -> None:
        value = self._value_or_lost(node.value, node.targets, scope)
        for target in node.targets:
            self.assign(target, value, scope)

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self.assign(node.target, self._value_or_lost(node.value, [node.target], scope), scope)

    def _augmented(self, node: ast.AugAssign, scope: Scope) -> None:
        read = (
            ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
            if isinstance(node.target, ast.Name)
            else node.target
        )
        old = self.value(read, scope)
        new = self.value(node.value, scope)
        if isinstance(old, list) and isinstance(node.op, ast.Add) and isinstance(new, (list, tuple)):
            old.extend(new)
            self.budget.charge(old)
            return
        self.assign(node.target, self.operate(node.op, old, new), scope)

    def _value_or_lost(self, node: ast.expr, targets: list[ast.expr], scope: Scope) -> Any:
        """The value; when it fails the targets are unknown from here on."""
        try:
            return self.value(node, scope)
        except Failed:
            for target in targets:
                self.assign(target, UNKNOWN, scope)
            raise

    def _import(self, node: ast.Import, scope: Scope) -> None:
        for name in node.names:
            bound = name.asname or name.name.partition(".")[0]
            scope[bound] = Dotted(name.name if name.asname else bound)

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        for name in node.names:
            full = f"{node.module or ''}.{name.name}".strip(".")
            scope[name.asname or name.name] = (
                self.attribute(Dotted(node.module or ""), name.name) if (node.module) else Dotted(full)
            )

    def _define(self, node: _Definition, scope: Scope) -> None:
        scope[node.name] = self.close_over(node, scope)

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        inner = Scope(scope)
        self.block([s for s in node.body if isinstance(s, (ast.Assign, ast.Expr, _Definition))], inner)
        scope[node.name] = UNKNOWN

    def _if(self, node: ast.If, scope: Scope) -> None:
        truth = self.truth(self.value(node.test, scope))
        if truth is None:
            self._maybe(node.body, scope)
            self._maybe(node.orelse, scope)
        else:
            self.block(node.body if truth else node.orelse, scope)

    def _maybe(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        """Follow a branch that may not be taken: leaving it early does not leave its function."""
        try:
            self.block(body, scope)
        except _Return as result:
            if self.returned and self.returned[-1] is UNKNOWN:
                self.returned[-1] = result.value
            self.uncertain += 1
        except (_Break, _Continue):
            self.uncertain += 1

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        values = self.value(node.iter, scope)
        if isinstance(values, _COLLECTIONS) and len(values) > self._passes(node):
            values = UNKNOWN
        for item in self.items(values):
            self.assign(node.target, item, scope)
            if not self._pass(node.body, scope):
                return
        self.block(node.orelse, scope)

    def _while(self, node: ast.While, scope: Scope) -> None:
        for _ in range(self._passes(node)):
            truth = self.truth(self.value(node.test, scope))
            if truth is False:
                self.block(node.orelse, scope)
                return
            if truth is None:
                self._maybe(node.body, scope)
                return
            before = self.uncertain
            if not self._pass(node.body, scope) or self.uncertain > before:
                return

    def _passes(self, node: ast.For | ast.AsyncFor | ast.While) -> int:
        """How often a loop is followed: decoders have small bodies, training loops large ones."""
        size = self.sizes.get(id(node))
        if size is None:
            size = self.sizes[id(node)] = sum(1 for part in node.body for _ in walk(part))
        return MAX_LOOP if size <= _SMALL_LOOP else _LARGE_LOOP_PASSES

    def _pass(self, body: Sequence[ast.stmt], scope: Scope) -> bool:
        """One pass of a loop; False when the loop was left."""
        try:
            self.block(body, scope)
        except _Continue:
            return True
        except _Break:
            return False
        return True

    def _try(self, node: ast.Try, scope: Scope) -> None:
        outer, self.trying = self.trying, bool(node.handlers) or self.trying
        try:
            self.block(node.body, scope)
            failed = False
        except Failed:
            failed = True
        finally:
            self.trying = outer
        for handler in node.handlers:
            self._maybe(handler.body, scope if failed else Scope(scope))
        if not failed:
            self.block(node.orelse, scope)
        self.block(node.finalbody, scope)

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> None:
        for item in node.items:
            value = self.value(item.context_expr, scope)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value, scope)
        self.block(node.body, scope)

    def _return(self, node: ast.Return, scope: Scope) -> None:
        raise _Return(None if node.value is None else self.value(node.value, scope))

    def _raise(self, node: ast.Raise, scope: Scope) -> None:
        if node.exc is not None:
            self.value(node.exc, scope)
        raise _Return(UNKNOWN)

    def _match(self, node: ast.Match, scope: Scope) -> None:
        for case in node.cases:
            self._maybe(case.body, scope)

    def _leave(self, node: ast.Break | ast.Continue, scope: Scope) -> None:
        raise _Break if isinstance(node, ast.Break) else _Continue


def _interesting(definitions: list[_Definition], text: str) -> set[int]:
    """Functions that can lead to code being run: by a word in them, or by naming such a function.

    Works on the lines of each function, which is several times faster than on its tree and can only
    name too many.
    """
    lines = text.split("\n")
    used = {
        id(d): set(_NAME.findall("\n".join(lines[d.lineno - 1 : d.end_lineno]))) - {d.name}
        for d in definitions
    }
    hot = {key for key, names in used.items() if names & WORDS}
    while True:
        hot_names = {d.name for d in definitions if id(d) in hot}
        more = {key for key, names in used.items() if names & hot_names} | hot
        if more == hot:
            return hot
        hot = more


_STATEMENTS: dict[type[ast.stmt], Callable[[Runner, Any, Scope], None]] = {
    ast.Expr: Runner._expression,
    ast.Assign: Runner._assignment,
    ast.AnnAssign: Runner._annotated,
    ast.AugAssign: Runner._augmented,
    ast.Import: Runner._import,
    ast.ImportFrom: Runner._import_from,
    ast.FunctionDef: Runner._define,
    ast.AsyncFunctionDef: Runner._define,
    ast.ClassDef: Runner._class,
    ast.If: Runner._if,
    ast.For: Runner._for,
    ast.AsyncFor: Runner._for,
    ast.While: Runner._while,
    ast.Try: Runner._try,
    ast.With: Runner._with,
    ast.AsyncWith: Runner._with,
    ast.Return: Runner._return,
    ast.Raise: Runner._raise,
    ast.Match: Runner._match,
    ast.Break: Runner._leave,
    ast.Continue: Runner._leave,
}
