"""Running statements: assignment, branches, loops, definitions, imports."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from checkers.facts.events import Did
from checkers.facts.folding import absorb, truthy
from checkers.facts.managing import Managing
from checkers.facts.state import Frame
from checkers.facts.values import (
    GRAD,
    NONE,
    NOTHING,
    RANK,
    UNKNOWN,
    Class,
    Env,
    Function,
    Mapping,
    ModuleObj,
    Value,
    flat,
    merge,
)


class Statements(Managing):
    """The statement runner. Handlers return True when control leaves the block."""

    def run_block(self, body: list[ast.stmt]) -> bool:
        """Run statements; True when control leaves the block before its end."""
        for statement in body:
            self.seen.add(statement)
            handler = _HANDLERS.get(type(statement))
            if handler is not None and handler(self, statement):
                return True
        return False

    def _expression(self, node: ast.Expr) -> bool:
        value = self.eval(node.value)
        return value is EXIT

    def _assign(self, node: ast.Assign) -> bool:
        value = self.eval(node.value)
        for target in node.targets:
            if type(target) is ast.Name:
                self.bind(target.id, value)
            else:
                self.assign(target, value)
        return False

    def _annotated(self, node: ast.AnnAssign) -> bool:
        if node.value is not None:
            self.assign(node.target, self.eval(node.value))
        return False

    def _if(self, node: ast.If) -> bool:
        test = self.eval(node.test)
        truth, bits = truthy(test), flat(test)
        if truth and isinstance(node.body[-1], ast.Raise):
            truth = None  # the run that is judged went past its own guards
        truth = self.forced.get(node.test, truth)
        self.note_way(node.test, truth, bits)
        if truth is not None:
            return self.run_block(node.body if truth else node.orelse)
        return self.either([node.body, node.orelse], bits, node.test)

    def either(self, blocks: list[list[ast.stmt]], bits: int = 0, test: ast.expr | None = None) -> bool:
        """Run alternatives from the same names and join them. True when every one leaves."""
        env = self.frames[-1].env
        before, joined, left = dict(env.names), None, []
        doubt, ranked = bool(bits & self.open_settings), bool(bits & RANK)
        tests, guard = self.tests, self.guard
        self.guard |= bits & self.iterations
        self.uncertain += 1
        self.doubtful += doubt
        self.ranked += ranked
        try:
            for number, block in enumerate(blocks):
                env.names = dict(before)
                self.frames[-1].branches.append(before)
                self.tests = (*tests, *(self._conditions(test, not number) if test else (str(id(block)),)))
                left.append(self.run_block(block))
                self.frames[-1].branches.pop()
                if not left[-1]:
                    joined = env.names if joined is None else join(joined, env.names)
        finally:
            self.tests, self.guard = tests, guard
            self.uncertain -= 1
            self.doubtful -= doubt
            self.ranked -= ranked
        env.names = before if joined is None else joined
        return all(left)

    def _conditions(self, test: ast.expr, outcome: bool) -> list[str]:
        """What must hold for a test to have an outcome, as far as it is not decided."""
        return self.conditions.of(test, outcome, lambda p: truthy(self.values.get(p, NOTHING)) is None)

    def _try(self, node: ast.Try) -> bool:
        left = self.run_block(node.body)
        if not left and node.orelse:
            left = self.run_block(node.orelse)
        if node.handlers:
            left = self.either([[], *[h.body for h in node.handlers]]) if not left else self._rescued(node)
        return self.run_block(node.finalbody) or left

    def _rescued(self, node: ast.Try) -> bool:
        """The body always left; the handlers may still lead on. Raising handlers do not."""
        return self.either([h.body for h in node.handlers])

    def _match(self, node: Any) -> bool:
        self.eval(node.subject)
        return self.either([[], *[case.body for case in node.cases]])

    def _return(self, node: ast.Return) -> bool:
        frame = self.frames[-1]
        value = self.eval(node.value) if node.value is not None else NONE
        frame.returned = value if frame.returned is None else merge(frame.returned, value)
        return True

    def _leave(self, node: ast.stmt) -> bool:
        """``break`` and ``continue``: what their branch assigned is still there after the iteration."""
        frame = self.frames[-1]
        if frame.exits and frame.branches:
            before = frame.branches[-1]
            changed = {n: v for n, v in frame.env.names.items() if before.get(n) is not v}
            if changed:
                frame.exits[-1].append(changed)
        return True

    def run_iteration(self, body: list[ast.stmt]) -> None:
        """Run a loop's body once; whichever way it ends, its names are joined."""
        frame = self.frames[-1]
        frame.exits.append([])
        depth = len(frame.branches)
        frame.branches.append(dict(frame.env.names))
        try:
            self.run_block(body)
        finally:
            del frame.branches[depth:]
            exits = frame.exits.pop()
        names = frame.env.names
        for changed in exits:
            for name, value in changed.items():
                other = names.get(name)
                if other is not value:
                    names[name] = value if other is None else merge(other, value)

    def _raise(self, node: ast.Raise) -> bool:
        if node.exc is not None:
            self.eval(node.exc)
        return True

    def _assert(self, node: ast.Assert) -> bool:
        self.eval(node.test)
        return False

    def _delete(self, node: ast.Delete) -> bool:
        return False

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        value = self.make_function(node)
        for decorator in reversed(node.decorator_list):
            wrapper = self.eval(decorator)
            own = tuple(r for r in wrapper.refs if isinstance(r, (Function, Class)))
            if own:  # a library's decorator, which these may stand in for, calls nothing yet
                value = self.call(Value(wrapper.const, wrapper.bits, own), [value], {}, decorator)
        self.bind(node.name, value)
        return False

    def make_function(self, node: Any) -> Value:
        """A function value closing over the running frame, its defaults evaluated."""
        frame = self.frames[-1]
        env = frame.env
        if isinstance(frame.function, ast.ClassDef) and env.parent is not None:
            env = env.parent
        args = node.args
        names = [a.arg for a in (*args.posonlyargs, *args.args)]
        defaults = {}
        for name, default in zip(names[len(names) - len(args.defaults) :], args.defaults, strict=True):
            defaults[name] = self.eval(default)
        for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            if default is not None:
                defaults[arg.arg] = self.eval(default)
        self.enclosing.append(env)
        return Value(refs=(Function(node, env, defaults),))

    def _class(self, node: ast.ClassDef) -> bool:
        cls = Class(node, [self.eval(b) for b in node.bases])
        env = Env(self.module, self.frames[-1].env)
        cls.attrs = env.names
        self.frames.append(Frame(node, env))
        try:
            self.run_block(node.body)
        finally:
            self.frames.pop()
        cls.attrs = env.names
        self.bind(node.name, Value(refs=(cls,)))
        return False

    def _import(self, node: ast.Import) -> bool:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            env = self.import_layer(alias.name, node)
            if env is not None:
                self.bind(name, Value(refs=(ModuleObj(env),)))
            else:
                self.bind(name, self.library(alias.name if alias.asname else name))
        return False

    def _import_from(self, node: ast.ImportFrom) -> bool:
        env = self.import_layer(node.module or "", node)
        for alias in node.names:
            if env is not None and alias.name == "*":
                for name, value in env.names.items():
                    self.bind(name, self.note(value))
            elif env is not None and alias.name in env.names:
                self.bind(alias.asname or alias.name, self.note(env.names[alias.name]))
            else:
                inner = self.import_layer(alias.name, node) if not node.module else None
                value = (
                    Value(refs=(ModuleObj(inner),)) if inner else self.library(f"{node.module}.{alias.name}")
                )
                self.bind(alias.asname or alias.name, value)
        return False

    def import_layer(self, name: str, node: ast.AST) -> Env | None:
        """Run a layer of the submission that an import brings, once; None for a library."""
        raise NotImplementedError

    def _outer(self, node: ast.Global | ast.Nonlocal) -> bool:
        env = self.frames[-1].env
        for name in node.names:
            target: Env | None = env.parent
            while target is not None and target.parent is not None:
                if isinstance(node, ast.Nonlocal) and name in target.names:
                    break
                target = target.parent
            if target is not None:
                env.outer[name] = target
        return False

    def bind(self, name: str, value: Value) -> None:
        """Give a name of the running frame a value."""
        env = self.frames[-1].env
        target = env.outer.get(name, env) if env.outer else env
        if target is env:
            env.names[name] = value
            return
        if self.uncertain:
            value = merge(target.names.get(name), value) if name in target.names else value
        target.names[name] = value
        self.touch_scope()
        env.names.pop(name, None)

    def assign(self, target: ast.AST, value: Value) -> None:
        """Bind a target, whatever its form."""
        if isinstance(target, ast.Name):
            self.bind(target.id, value)
        elif isinstance(target, ast.Attribute):
            self.set_attribute(self.eval(target.value), target, value)
        elif isinstance(target, ast.Subscript):
            self.set_item(target, value)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value)

    def _unpack(self, target: ast.Tuple | ast.List, value: Value) -> None:
        items, exact = self.iterate(value)
        count = len(target.elts)
        starred = any(isinstance(t, ast.Starred) for t in target.elts)
        if exact and len(items) == count and not starred:
            for part, item in zip(target.elts, items, strict=True):
                self.assign(part, item)
            return
        whole = NOTHING if not items else items[0]
        for item in items[1:]:
            whole = merge(whole, item)
        if not items:
            whole = Value(bits=flat(value))
        if whole.known:
            whole = Value(UNKNOWN, whole.bits, whole.refs)
        for part in target.elts:
            self.assign(part, whole)

    def _augmented(self, node: ast.AugAssign) -> bool:
        load = _as_load(node.target)
        before = self.eval(load)
        after = self.eval(node.value)
        value = self.binary(before, after, type(node.op))
        charge = self.charge(node, after, before)
        if charge:
            value = Value(value.const, value.bits & ~self.iterations | charge, value.refs)
        if isinstance(node.target, ast.Subscript):
            self.count(node, node.target, before, after)
        added = (flat(after) & ~self.iterations | charge) if charge else flat(after)
        if before.refs and self.in_place(before, added, node):
            value = before
        self.assign(node.target, value)
        return False

    def charge(self, node: ast.AST, added: Value, into: Value | None = None) -> int:
        """Record that a score was accumulated; the bit its accumulator carries from now on."""
        bits = flat(added)
        if not bits & self.scores or bits & GRAD:
            return 0
        event = self.emit(Did.CHARGE, node, bits)
        return self.event_bit(event)

    def count(self, node: ast.AST, target: ast.Subscript, before: Value, added: Value) -> None:
        """Record a table increment at a key made of data."""
        raise NotImplementedError

    def in_place(self, target: Value, bits: int, node: ast.AST) -> bool:
        """Write into the storage a value refers to; True when it had any."""
        raise NotImplementedError

    def set_attribute(self, base: Value, target: ast.Attribute, value: Value) -> None:
        """Assign ``base.attr``."""
        raise NotImplementedError

    def set_item(self, target: ast.Subscript, value: Value) -> None:
        """Assign ``base[index]``."""
        raise NotImplementedError


EXIT = Value(None)  # what a call that ends the program evaluates to


def join(a: dict[str, Value], b: dict[str, Value]) -> dict[str, Value]:
    """The names after either of two branches."""
    if a is b:
        return a
    joined = dict(a)
    for name, value in b.items():
        other = a.get(name)
        if other is not value:
            joined[name] = merge(other, value) if other is not None else value
    return joined


def _as_load(target: ast.AST) -> ast.AST:
    return target


def merged_mapping(values: list[Value]) -> Mapping:
    """One mapping out of several."""
    mapping = Mapping()
    for value in values:
        absorb(mapping, value)
    return mapping


_HANDLERS: dict[type, Callable[..., bool]] = {
    ast.Expr: Statements._expression,
    ast.Assign: Statements._assign,
    ast.AnnAssign: Statements._annotated,
    ast.AugAssign: Statements._augmented,
    ast.If: Statements._if,
    ast.For: Statements._for,
    ast.AsyncFor: Statements._for,
    ast.While: Statements._while,
    ast.With: Statements._with,
    ast.AsyncWith: Statements._with,
    ast.Try: Statements._try,
    ast.Match: Statements._match,
    ast.Return: Statements._return,
    ast.Break: Statements._leave,
    ast.Continue: Statements._leave,
    ast.Raise: Statements._raise,
    ast.Assert: Statements._assert,
    ast.Delete: Statements._delete,
    ast.FunctionDef: Statements._define,
    ast.AsyncFunctionDef: Statements._define,
    ast.ClassDef: Statements._class,
    ast.Import: Statements._import,
    ast.ImportFrom: Statements._import_from,
    ast.Global: Statements._outer,
    ast.Nonlocal: Statements._outer,
}
