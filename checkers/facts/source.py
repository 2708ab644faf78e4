"""One parse and one walk of a source layer: parents, scopes, bindings, functions, calls.

Everything here is syntax. Which of it runs, and with what values, is for ``checkers.facts.machine``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness import lowering
from harness.nodes import children
from harness.unpack import Layer

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
ScopeNode = (
    ast.Module | ast.ClassDef | FunctionNode | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
)

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = frozenset({*_FUNCTIONS, ast.ClassDef, *_COMPREHENSIONS})
_LEAVES = frozenset({ast.Name, ast.Constant})  # two thirds of all nodes; nothing is below them
_STATEMENTS = frozenset(ast.stmt.__subclasses__())


@dataclass(frozen=True, slots=True)
class Binding:
    """One place that gives a name a value.

    ``value`` is the expression assigned, iterated (``how == "for"``), opened (``"with"``) or
    defined; None for parameters and imports. ``unpack`` is the position in a tuple target, None
    when the whole value is bound. ``dotted`` names what an import brings.
    """

    how: str  # assign, augment, for, with, param, import, def, class, except, delete
    node: ast.AST
    value: ast.AST | None = None
    unpack: int | None = None
    dotted: str = ""


@dataclass(slots=True)
class Scope:
    """One lexical scope and what it binds."""

    node: ast.AST
    parent: Scope | None
    name: str
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    outer: set[str] = field(default_factory=set)  # declared global or nonlocal

    def lookup(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """The scope that binds a name as Python would look it up from here, and the bindings."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.bindings and name not in scope.outer and _visible(scope, self):
                return scope, scope.bindings[name]
            scope = scope.parent
        return None


def _visible(scope: Scope, origin: Scope) -> bool:
    """Class bodies are not seen from the functions inside them."""
    return scope is origin or not isinstance(scope.node, ast.ClassDef)


@dataclass(slots=True, repr=False, eq=False)
class Module:
    """A parsed layer. ``problem`` says why there is no tree (then ``tree`` is empty)."""

    layer: Layer
    tree: ast.Module
    problem: str | None = None
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    scopes: dict[ast.AST, Scope] = field(default_factory=dict)
    functions: list[FunctionNode] = field(default_factory=list)
    classes: list[ast.ClassDef] = field(default_factory=list)
    calls: list[ast.Call] = field(default_factory=list)
    statements: list[ast.stmt] = field(default_factory=list)
    subscripts: list[ast.Subscript] = field(default_factory=list)
    formatted: list[ast.JoinedStr] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def stem(self) -> str:
        """The file's name as an import statement has it."""
        return self.layer.path.rpartition("/")[2].removesuffix(".py")

    @property
    def imported(self) -> set[str]:
        """The last parts of the names of the modules that import statements of this one bring."""
        names = [s.module or "" for s in self.statements if isinstance(s, ast.ImportFrom)]
        names += [a.name for s in self.statements if isinstance(s, ast.Import) for a in s.names]
        return {name.rpartition(".")[2] for name in names}

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """The enclosing nodes, innermost first."""
        parents = self.parents
        while node in parents:
            node = parents[node]
            yield node

    def scope_of(self, node: ast.AST) -> Scope:
        """The scope in which a node's names are looked up."""
        parents, scopes = self.parents, self.scopes
        outer = parents.get(node)
        while outer is not None:
            if type(outer) in _SCOPES and outer in scopes:
                return scopes[outer]
            outer = parents.get(outer)
        return scopes[self.tree]

    def function_of(self, node: ast.AST) -> FunctionNode | None:
        """The innermost function around a node, None at module level."""
        parents = self.parents
        outer = parents.get(node)
        while outer is not None and not isinstance(outer, _FUNCTIONS):
            outer = parents.get(outer)
        return outer

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The innermost class around a node, None outside of any."""
        return next((a for a in self.ancestors(node) if isinstance(a, ast.ClassDef)), None)

    def qualified(self, node: ast.AST) -> str:
        """The dotted name of a definition or of the definition around a node, "" at module level."""
        chain = [node, *self.ancestors(node)]
        names = [_own_name(n) for n in chain if isinstance(n, (*_FUNCTIONS, ast.ClassDef))]
        return ".".join(reversed(names))


def _own_name(node: ast.AST) -> str:
    return getattr(node, "name", "<lambda>")


def parse(layer: Layer, shared: bool = True) -> Module:
    """Parse one Python layer; never raises: what cannot be parsed has a ``problem`` and no tree.

    Unless ``shared``, the tree is no other module's: a node belongs to one module of a submission.
    """
    empty = ast.Module(body=[], type_ignores=[])
    if layer.language != "python":
        return _index(Module(layer, empty, problem=f"written in {layer.language}"))
    if layer.problem:
        return _index(Module(layer, empty, problem=layer.problem))
    try:
        tree = lowering.tree(layer.lowered) if shared else ast.parse(layer.lowered)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return _index(Module(layer, empty, problem=f"{type(error).__name__}: {error}"))
    module = Module(layer, tree, lines=layer.text.split("\n"))
    try:
        return _index(module)
    except RecursionError:
        return _index(Module(layer, empty, problem="nested too deeply to be read"))


def _index(module: Module) -> Module:
    scope = Scope(module.tree, None, "")
    module.scopes[module.tree] = scope
    _Indexer(module).body(module.tree, scope)
    for inner in module.scopes.values():
        for name in inner.outer & inner.bindings.keys():
            scope.bindings.setdefault(name, []).extend(inner.bindings[name])
        for bindings in inner.bindings.values():
            bindings.sort(key=_position)
    for nodes in (module.functions, module.classes, module.calls):
        nodes.sort(key=_order)
    return module


def _position(binding: Binding) -> tuple[int, int]:
    return _order(binding.node)


def _order(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


class _Indexer:
    """The single walk. Handlers exist for nodes that bind names or open scopes; the rest is generic."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def body(self, node: ast.AST, scope: Scope) -> None:
        """Visit every child of a node, recursively, in source order."""
        parents, calls, call = self.module.parents, self.module.calls, ast.Call
        kinds = self._kinds()
        stack = [(node, scope)]
        while stack:
            node, scope = stack.pop()
            for child in children(node):
                parents[child] = node
                kind = type(child)
                if kind in _LEAVES:
                    continue
                inner = scope
                if kind is call:
                    calls.append(child)  # type: ignore[arg-type]
                    stack.append((child, inner))
                    continue
                if (listed := kinds.get(kind)) is not None:
                    listed.append(child)
                if kind in _SCOPES:
                    inner = self._open(child, scope)
                elif (handler := _BINDERS.get(kind)) is not None:
                    handler(self, child, scope)
                stack.append((child, inner))

    def _kinds(self) -> dict[type, list[Any]]:
        """The lists of the module that nodes of some kinds go into, in the order in which they are met."""
        kinds: dict[type, list[Any]] = dict.fromkeys(_STATEMENTS, self.module.statements)
        return {**kinds, ast.Subscript: self.module.subscripts, ast.JoinedStr: self.module.formatted}

    def _open(self, node: ast.AST, scope: Scope) -> Scope:
        inner = Scope(node, scope, _own_name(node))
        self.module.scopes[node] = inner
        if isinstance(node, ast.ClassDef):
            self.module.classes.append(node)
            _bind(scope, node.name, Binding("class", node, node))
        elif isinstance(node, _FUNCTIONS):
            self.module.functions.append(node)
            if not isinstance(node, ast.Lambda):
                _bind(scope, node.name, Binding("def", node, node))
            for arg in arguments(node):
                _bind(inner, arg.arg, Binding("param", arg))
        return inner

    def _target(self, target: ast.AST, binding: Binding, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            _bind(scope, target.id, binding)
        elif isinstance(target, ast.Starred):
            self._target(target.value, binding, scope)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for i, item in enumerate(target.elts):
                part = Binding(binding.how, binding.node, binding.value, i)
                self._target(item, part, scope)

    def _assign(self, node: ast.Assign, scope: Scope) -> None:
        for target in node.targets:
            self._target(target, Binding("assign", node, node.value), scope)

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self._target(node.target, Binding("assign", node, node.value), scope)

    def _augmented(self, node: ast.AugAssign, scope: Scope) -> None:
        self._target(node.target, Binding("augment", node, node.value), scope)

    def _walrus(self, node: ast.NamedExpr, scope: Scope) -> None:
        while isinstance(scope.node, _COMPREHENSIONS) and scope.parent is not None:
            scope = scope.parent
        self._target(node.target, Binding("assign", node, node.value), scope)

    def _for(self, node: ast.For | ast.comprehension, scope: Scope) -> None:
        self._target(node.target, Binding("for", node, node.iter), scope)

    def _with(self, node: ast.withitem, scope: Scope) -> None:
        if node.optional_vars is not None:
            self._target(node.optional_vars, Binding("with", node, node.context_expr), scope)

    def _import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            dotted = alias.name if alias.asname else name
            _bind(scope, name, Binding("import", node, dotted=dotted))

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            dotted = f"{node.module or ''}.{alias.name}".strip(".")
            _bind(scope, alias.asname or alias.name, Binding("import", node, dotted=dotted))

    def _outer(self, node: ast.Global | ast.Nonlocal, scope: Scope) -> None:
        scope.outer.update(node.names)

    def _except(self, node: ast.ExceptHandler, scope: Scope) -> None:
        if node.name:
            _bind(scope, node.name, Binding("except", node))


_BINDERS: dict[type, Callable[[_Indexer, Any, Scope], None]] = {
    ast.Assign: _Indexer._assign,
    ast.AnnAssign: _Indexer._annotated,
    ast.AugAssign: _Indexer._augmented,
    ast.NamedExpr: _Indexer._walrus,
    ast.For: _Indexer._for,
    ast.AsyncFor: _Indexer._for,
    ast.comprehension: _Indexer._for,
    ast.withitem: _Indexer._with,
    ast.Import: _Indexer._import,
    ast.ImportFrom: _Indexer._import_from,
    ast.Global: _Indexer._outer,
    ast.Nonlocal: _Indexer._outer,
    ast.ExceptHandler: _Indexer._except,
}


def _bind(scope: Scope, name: str, binding: Binding) -> None:
    scope.bindings.setdefault(name, []).append(binding)


def arguments(node: FunctionNode) -> list[ast.arg]:
    """Every parameter of a function in call order, ``*args`` and ``**kwargs`` last."""
    a = node.args
    extra = [x for x in (a.vararg, a.kwarg) if x is not None]
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *extra]


def dotted_name(node: ast.AST) -> str:
    """``a.b.c`` of a chain of attributes on a name, "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])
