"""Backward value flow with calling context, in-place writes and the tests that decide them.

``facts.flow`` answers "what may this come from" for one expression. The rules about caches and gates need
more: a helper called for two different keys must not mix them (context), arrays are filled by index and
lists by ``append`` (writes), and a value may depend on the target only through the branch that sets it
(controls). A place in a trace is a node with the calls it was reached through.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from checkers.facts import UNKNOWN, Binding, Facts, Module, Scope, arguments
from checkers.facts.flow import returns
from checkers.static._writes import FUNCTIONS, Part, Write, collect_attributes, collect_writes
from harness.nodes import children

MOST = 6000  # places in one trace
_DEEPEST = 8  # calls inside calls


class At(NamedTuple):  # a tuple is hashed and compared in C; a trace asks for thousands
    """A node, and the calls that lead into its function, innermost last."""

    node: ast.AST
    calls: tuple[ast.Call, ...] = ()


@dataclass
class Trace:
    """What was visited, each place with the one it was first reached from (None for a root)."""

    came_from: dict[At, At | None] = field(default_factory=dict)
    complete: bool = True

    def __iter__(self) -> Iterator[At]:
        return iter(self.came_from)

    def path(self, at: At) -> list[At]:
        """The places from a root to here."""
        found: list[At] = []
        step: At | None = at
        while step is not None:
            found.append(step)
            step = self.came_from[step]
        return found[::-1]


class Tracer:
    """Steps backward through the running code of one submission."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._written: dict[ast.AST, dict[str, list[Write]]] = {}
        self._stored: dict[str, list[Write]] | None = None
        self._learned: dict[ast.AST, bool] = {}
        self._behind: dict[tuple[bool, bool], dict[At, list[At]]] = {}  # by controls and choices
        self._returns: dict[ast.AST, list[ast.AST]] = {}

    def trace(
        self,
        roots: Iterable[At],
        stop: Callable[[At], bool] = lambda at: False,
        controls: bool = False,
        most: int = MOST,
        choices: bool = True,
    ) -> Trace:
        """Everything the roots may be computed from, breadth first; ``stop`` places are kept but not passed.

        Without ``choices``, what only selects among values is left out: indices, masks, comparisons.
        With ``controls``, the tests of enclosing branches are followed too.
        """
        found = Trace(dict.fromkeys(roots))
        came_from = found.came_from
        queue = deque(came_from)
        while queue:
            if len(came_from) > most:
                found.complete = False
                break
            at = queue.popleft()
            if stop(at):
                continue
            for step in self.behind(at, controls, choices):
                if step not in came_from:
                    came_from[step] = at
                    queue.append(step)
        return found

    def behind(self, at: At, controls: bool = False, choices: bool = True) -> list[At]:
        """The places one step behind."""
        steps = self._behind.setdefault((controls, choices), {})
        known = steps.get(at)
        if known is None:
            known = steps[at] = self._one_step(at, controls, choices)
        return known

    def _one_step(self, at: At, controls: bool, choices: bool) -> list[At]:
        node = at.node
        if isinstance(node, ast.Name):
            return self._name(at, node, controls, choices) if isinstance(node.ctx, ast.Load) else []
        if isinstance(node, ast.Attribute):
            return self._attribute(at, node, choices)
        if isinstance(node, ast.Call):
            return self._call(at, node, controls, choices)
        if isinstance(node, Part):
            return self._part(at, node, controls, choices)
        if isinstance(node, ast.Lambda):
            return []
        if not choices and (kept := _without_choice(node)) is not None:
            return [At(n, at.calls) for n in kept]
        parts = (ast.expr, ast.keyword, ast.comprehension)
        return [At(c, at.calls) for c in children(node) if isinstance(c, parts)]

    # -- names -----------------------------------------------------------------------------------

    def _name(self, at: At, node: ast.Name, controls: bool, choices: bool) -> list[At]:
        module = self.facts.flow.module_of(node)
        found = module.scope_of(node).lookup(node.id)
        if found is None:
            return []
        scope, bindings = found
        if any(b.how == "param" for b in bindings):
            passed = self.passed(scope.node, node.id, at.calls)
        else:
            passed = []
        values = [
            *self._bound(module, scope, bindings, node.id),
            *self._writes_to(module, scope, node.id, choices),
        ]
        steps = [At(value, at.calls) for _, value in values]
        if controls:
            steps += [At(test, at.calls) for owner, _ in values for test in self.tests(module, owner)]
        return [*passed, *steps]

    def _bound(
        self, module: Module, scope: Scope, bindings: list[Binding], name: str
    ) -> list[tuple[ast.AST, ast.AST]]:
        out = []
        for binding in bindings:
            if binding.value is None or binding.how in ("param", "def", "class", "import"):
                continue
            if self.facts.runs(binding.node):
                out.append((binding.node, _bound_part(binding, name)))
        return out

    def _writes_to(
        self, module: Module, scope: Scope, name: str, choices: bool
    ) -> list[tuple[ast.AST, ast.AST]]:
        if scope.node not in self._written:
            self._written[scope.node] = collect_writes(scope.node)
        out: list[tuple[ast.AST, ast.AST]] = []
        for write in self._written[scope.node].get(name, ()):
            if self.facts.runs(write.statement):
                out.append((write.statement, write.value))
                out += [(write.statement, write.index)] if choices and write.index is not None else []
        return out

    def passed(self, function: ast.AST, parameter: str, calls: tuple[ast.Call, ...]) -> list[At]:
        """The arguments for a parameter: of the call we came through, else of every call that runs."""
        for depth in range(len(calls), 0, -1):
            call = calls[depth - 1]
            if function in self.facts.callees(call):
                return [At(v, calls[: depth - 1]) for v in argument(call, function, parameter)]
        calling = sorted(
            (c for c in self.facts.callers(function) if isinstance(c, ast.Call) and self.facts.runs(c)),
            key=position,
        )
        return [At(v) for c in calling for v in argument(c, function, parameter)]

    # -- attributes and calls --------------------------------------------------------------------

    def _attribute(self, at: At, node: ast.Attribute, choices: bool) -> list[At]:
        if self._stored is None:
            self._stored = collect_attributes(self.facts.modules)
        writes = [w for w in self._stored.get(node.attr, ()) if self.facts.runs(w.statement)]
        if not writes:
            return [At(node.value, at.calls)]
        inside = self._same_function(node, writes)
        calls = at.calls if inside else ()
        indices = [w.index for w in writes if choices and w.index is not None]
        return [At(n, calls) for n in (*(w.value for w in writes), *indices)]

    def _same_function(self, node: ast.AST, writes: list[Write]) -> bool:
        module = self.facts.flow.module_of(node)
        home = module.function_of(node)
        return all(w.statement in module.parents and module.function_of(w.statement) is home for w in writes)

    def _call(self, at: At, node: ast.Call, controls: bool, choices: bool) -> list[At]:
        functions = sorted(self.facts.callees(node), key=position)
        if functions and len(at.calls) < _DEEPEST and node not in at.calls:
            steps: list[At] = []
            for function in functions:
                steps += self._returned(function, (*at.calls, node), controls)
            return steps
        values = [*node.args, *(k.value for k in node.keywords)]
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if not choices and name in _CHOOSERS:
            values = values[1:]
        if isinstance(node.func, ast.Attribute):
            values.append(node.func.value)
        return [At(v, at.calls) for v in values]

    def _part(self, at: At, part: Part, controls: bool, choices: bool) -> list[At]:
        """Behind an element of a tuple: the same element of what the whole comes from."""
        whole, place = part.whole, part.place
        if isinstance(whole, (ast.Tuple, ast.List)):
            return [At(whole.elts[place], at.calls)] if place < len(whole.elts) else []
        if isinstance(whole, ast.Call) and not self.facts.callees(whole):
            return self._part_of_call(at, whole, place)
        inner = At(whole.value, at.calls) if isinstance(whole, ast.Subscript) else None
        steps = [inner] if inner else self.behind(At(whole, at.calls), controls, choices)
        return [At(Part(s.node, place), s.calls) for s in steps]

    def _part_of_call(self, at: At, call: ast.Call, place: int) -> list[At]:
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name == "zip":
            return [At(call.args[place], at.calls)] if place < len(call.args) else []
        if name == "enumerate":
            return [At(call.args[0], at.calls)] if place and call.args else []
        if name in ("items", "append", "list", "reversed", "sorted", "tuple"):
            receiver = (
                call.func.value
                if isinstance(call.func, ast.Attribute)
                else call.args[0]
                if call.args
                else call
            )
            return [At(receiver, at.calls)] if name == "items" else [At(Part(receiver, place), at.calls)]
        return [At(call, at.calls)]

    def _returned(self, function: ast.AST, calls: tuple[ast.Call, ...], controls: bool) -> list[At]:
        steps = []
        module = self.facts.flow.module_of(function)
        for value in self._values(function):
            steps.append(At(value, calls))
            if controls and value in module.parents:
                steps += [At(t, calls) for t in self.tests(module, value)]
        return steps

    def _values(self, function: ast.AST) -> list[ast.AST]:
        """What a function returns where it runs."""
        known = self._returns.get(function)
        if known is None:
            known = self._returns[function] = [v for v in returns(function) if self.facts.runs(v)]
        return known

    def learned(self, function: ast.AST) -> bool:
        """Tell whether a function is a method of a neural module (its class derives from ``nn.Module``)."""
        known = self._learned.get(function)
        if known is None:
            owner = self.facts.flow.module_of(function).class_of(function)
            known = owner is not None and self._derives(owner, set())
            self._learned[function] = known
        return known

    def _derives(self, owner: ast.ClassDef, seen: set[ast.AST]) -> bool:
        seen.add(owner)
        for base in owner.bases:
            dotted = self.facts.dotted(base) or ""
            if dotted.startswith("torch.nn") or dotted.endswith("nn.Module"):
                return True
            name = base.id if isinstance(base, ast.Name) else ""
            named = [c for m in self.facts.modules for c in m.classes if c.name == name and c not in seen]
            if any(self._derives(cls, seen) for cls in named):
                return True
        return False

    def tests(self, module: Module, node: ast.AST) -> list[ast.AST]:
        """The undecided tests under which a statement runs, inside its function."""
        found: list[ast.AST] = []
        child = node
        for outer in module.ancestors(node):
            if isinstance(outer, FUNCTIONS):
                break
            test = outer.test if isinstance(outer, (ast.If, ast.While, ast.IfExp)) else None
            if test is not None and child is not test and self.facts.constant(test) is UNKNOWN:
                found.append(test)
            child = outer
        return found


def _bound_part(binding: Binding, name: str) -> ast.AST:
    """The bound value, narrowed to the element that an unpacking gives the name."""
    value = binding.value
    assert value is not None
    if binding.unpack is None:
        return value
    targets = getattr(binding.node, "targets", None) or [getattr(binding.node, "target", None)]
    for target in targets:
        path = _path(target, name) if target is not None else None
        if path:
            for place in path:
                value = Part(value, place)
            return value
    return Part(value, binding.unpack)


def _path(target: ast.AST, name: str) -> list[int] | None:
    """The places that lead to a name in a nested tuple of targets."""
    if isinstance(target, ast.Name):
        return [] if target.id == name else None
    for i, part in enumerate(getattr(target, "elts", ())):
        below = _path(part, name)
        if below is not None:
            return [i, *below]
    return None


def position(node: ast.AST) -> tuple[int, int]:
    """A stable order for sets of nodes."""
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def argument(call: ast.Call, function: ast.AST, parameter: str) -> list[ast.AST]:
    """What a call passes for a parameter; its default when it passes nothing."""
    if not isinstance(function, FUNCTIONS):
        return []
    for keyword in call.keywords:
        if keyword.arg == parameter:
            return [keyword.value]
    names = [a.arg for a in arguments(function)]
    place = names.index(parameter) if parameter in names else -1
    if (isinstance(call.func, ast.Attribute) and names[:1] in (["self"], ["cls"])) or names[:1] == ["self"]:
        place -= 1
    plain = [a for a in call.args if not isinstance(a, ast.Starred)]
    if 0 <= place < len(plain):
        return [plain[place]]
    if len(plain) < len(call.args) or any(k.arg is None for k in call.keywords):
        return [a.value for a in call.args if isinstance(a, ast.Starred)]
    spec = function.args
    positional = [*spec.posonlyargs, *spec.args]
    defaults = dict(
        zip([a.arg for a in positional[len(positional) - len(spec.defaults) :]], spec.defaults, strict=True)
    )
    defaults.update(
        {a.arg: d for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if d is not None}
    )
    return [defaults[parameter]] if parameter in defaults else []


_CHOOSERS = frozenset({"where", "masked_fill", "masked_select", "select", "choose", "putmask"})


def _without_choice(node: ast.AST) -> list[ast.AST] | None:
    """The parts of an expression whose values go in, without those that only choose; None: all of them."""
    if isinstance(node, ast.Subscript):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.Compare):
        return []
    return None
