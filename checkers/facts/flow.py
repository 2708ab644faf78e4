"""Backward value flow: from an expression to everything it may be computed from, across functions.

Flow is by definition and use, without order: every binding of a name counts, except those in code
that is known not to run. Follow it from a score site to its keys, gates and tables.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from checkers.facts.source import Binding, FunctionNode, Module, arguments
from checkers.facts.state import State
from harness.nodes import children

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
MOST = 4000  # expressions in one slice


class Flow:
    """Slices over a set of modules, given what a simulated run (None: there was none) saw of them."""

    def __init__(self, modules: Iterable[Module], machine: State | None) -> None:
        self.modules = tuple(modules)
        self.machine = machine

    def callees(self, call: ast.Call) -> set[ast.AST]:
        """The functions of the submission that a call ran."""
        return self.machine.callees.get(call, set()) if self.machine else set()

    def callers(self, function: ast.AST) -> set[ast.AST]:
        """The calls that ran a function."""
        return self.machine.callers.get(function, set()) if self.machine else set()

    def runs(self, node: ast.AST) -> bool:
        """Whether a node may run: all that was not seen to be left out, if the run was complete."""
        machine = self.machine
        if machine is None or not machine.complete:
            return True
        parents = self.module_of(node).parents
        outer: ast.AST | None = node
        while outer is not None:
            if isinstance(outer, ast.stmt):
                return outer in machine.seen
            outer = parents.get(outer)
        return True

    def module_of(self, node: ast.AST) -> Module:
        """The module that holds a node."""
        for module in self.modules:
            if node in module.parents or node is module.tree:
                return module
        raise KeyError(node)

    def bindings(self, name: ast.Name) -> list[Binding]:
        """What binds a name in the scope that it is read from; [] for a name that nothing here binds."""
        found = self.module_of(name).scope_of(name).lookup(name.id)
        return found[1] if found is not None else []

    def sources(self, expr: ast.AST, depth: int = 40, through_calls: bool = True) -> set[ast.AST]:
        """Every expression that ``expr`` may be computed from, itself and its parts included.

        Names lead to the values bound to them, parameters to the arguments at all call sites, calls
        of the submission's functions to what these return. ``depth`` bounds the number of such steps.
        """
        seen: set[ast.AST] = set()
        stack: list[tuple[ast.AST, int]] = [(expr, 0)]
        while stack and len(seen) < MOST:
            node, steps = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            stack.extend(
                (c, steps)
                for c in children(node)
                if isinstance(c, (ast.expr, ast.keyword, ast.comprehension))
            )
            if steps < depth:
                stack.extend((n, steps + 1) for n in self.step(node, through_calls))
        return seen

    def step(self, node: ast.AST, through_calls: bool = True) -> list[ast.AST]:
        """The expressions one step behind a name, attribute or call."""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            return self.definitions(node)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            return self._attribute(node)
        if isinstance(node, ast.Call) and through_calls:
            return [value for f in in_order(self.callees(node)) for value in returns(f)]
        return []

    def definitions(self, name: ast.Name) -> list[ast.AST]:
        """The expressions bound to a name where it is read; for a parameter, the arguments passed."""
        module = self.module_of(name)
        found = module.scope_of(name).lookup(name.id)
        if found is None:
            return []
        scope, bindings = found
        values: list[ast.AST] = []
        for binding in bindings:
            if binding.how == "param":
                values += self.passed(scope.node, name.id)
            elif (
                binding.value is not None and self.runs(binding.node) and binding.how not in ("def", "class")
            ):
                values.append(_part(binding))
        return values

    def passed(self, function: ast.AST, parameter: str) -> list[ast.AST]:
        """The expressions that call sites pass for a parameter, with its default."""
        if not isinstance(function, _FUNCTIONS):
            return []
        names = [a.arg for a in arguments(function)]
        if parameter not in names:
            return []
        values: list[ast.AST] = _default(function, parameter)
        for call in in_order(self.callers(function)):
            if isinstance(call, ast.Call) and self.runs(call):
                values += _argument(call, names, parameter)
        return values

    def _attribute(self, node: ast.Attribute) -> list[ast.AST]:
        """Values assigned to an attribute of this name anywhere in the running code."""
        return [v for v in self._stores().get(node.attr, ()) if self.runs(v)]

    def _stores(self) -> dict[str, list[ast.AST]]:
        if not hasattr(self, "_attribute_stores"):
            stores: dict[str, list[ast.AST]] = {}
            for module in self.modules:
                for node in module.statements:
                    _collect_stores(node, stores)
            self._attribute_stores = stores
        return self._attribute_stores


def in_order(nodes: Iterable[ast.AST]) -> list[ast.AST]:
    """Nodes by place: sets of nodes are ordered by address, which differs from run to run."""
    return sorted(nodes, key=lambda n: (getattr(n, "lineno", 0), getattr(n, "col_offset", 0)))


def _collect_stores(node: ast.AST, stores: dict[str, list[ast.AST]]) -> None:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
            for part in parts:
                if isinstance(part, ast.Attribute):
                    stores.setdefault(part.attr, []).append(node.value)
    elif (
        isinstance(node, (ast.AugAssign, ast.AnnAssign))
        and isinstance(node.target, ast.Attribute)
        and node.value
    ):
        stores.setdefault(node.target.attr, []).append(node.value)


def _part(binding: Binding) -> ast.AST:
    """The element of a tuple display that an unpacking binds, else the whole value."""
    value = binding.value
    assert value is not None
    if (
        binding.unpack is not None
        and isinstance(value, (ast.Tuple, ast.List))
        and binding.unpack < len(value.elts)
    ):
        return value.elts[binding.unpack]
    return value


def returns(function: ast.AST) -> list[ast.AST]:
    """The expressions a function returns or yields, not those of functions inside it."""
    if isinstance(function, ast.Lambda):
        return [function.body]
    found: list[ast.AST] = []
    stack: list[ast.AST] = list(getattr(function, "body", []))
    while stack:
        node = stack.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            continue
        if isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom)) and node.value is not None:
            found.append(node.value)
        stack += children(node)
    return found


def _default(function: FunctionNode, parameter: str) -> list[ast.AST]:
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    pairs = list(zip(positional[len(positional) - len(args.defaults) :], args.defaults, strict=True))
    pairs += [(a, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None]
    return [d for a, d in pairs if a.arg == parameter]


def _argument(call: ast.Call, names: list[str], parameter: str) -> list[ast.AST]:
    for keyword in call.keywords:
        if keyword.arg == parameter:
            return [keyword.value]
    spread = [k.value for k in call.keywords if k.arg is None]
    place = names.index(parameter)
    if names and names[0] in ("self", "cls", "ctx"):
        place -= 1
    starred = [a.value for a in call.args if isinstance(a, ast.Starred)]
    if 0 <= place < len(call.args) and not isinstance(call.args[place], ast.Starred):
        return [call.args[place]]
    return [*starred, *spread]
