"""Writes in place: what a statement puts into an array, list, dictionary or attribute that already exists."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from checkers.facts import Module
from checkers.static._words import words

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_CHANGERS = words(
    "append extend add update insert appendleft copy_ add_ sub_ mul_ div_ fill_ masked_fill_ scatter_ "
    "scatter_add_ index_add_ index_copy_ index_put_ put setdefault sum_ clamp_ copyto put_along_axis at"
)


class Part(ast.expr):
    """One element of the tuple that an expression evaluates to."""

    def __init__(self, whole: ast.AST, place: int) -> None:
        super().__init__()
        self.whole = whole
        self.place = place
        ast.copy_location(self, whole)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and other.whole is self.whole and other.place == self.place

    def __hash__(self) -> int:
        return hash((id(self.whole), self.place))


@dataclass(frozen=True, slots=True)
class Write:
    """``name[index] = value`` or ``name.method(value)``, at ``statement``."""

    statement: ast.AST
    value: ast.AST
    index: ast.AST | None = None


def root_name(node: ast.AST) -> ast.AST:
    """The name or attribute that a chain of subscripts, views and ``.at`` starts from."""
    while True:
        if isinstance(node, (ast.Subscript, ast.Starred)):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func.value
        elif isinstance(node, ast.Attribute) and node.attr in ("data", "T", "flat"):
            node = node.value
        else:
            return node


def collect_writes(scope: ast.AST) -> dict[str, list[Write]]:
    """In-place writes to local names, by name."""
    writes: dict[str, list[Write]] = {}
    for statement in own_statements(scope):
        for target, write in _writes_of(statement):
            if isinstance(target, ast.Name):
                writes.setdefault(target.id, []).append(write)
    return writes


def collect_attributes(modules: Iterable[Module]) -> dict[str, list[Write]]:
    """Assignments and in-place writes to attributes, by attribute name."""
    writes: dict[str, list[Write]] = {}
    for module in modules:
        for node in module.statements:
            if not isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)):
                continue
            for target, write in (*_plain_stores(node), *_writes_of(node)):
                if isinstance(target, ast.Attribute):
                    writes.setdefault(target.attr, []).append(write)
    return writes


def _plain_stores(node: ast.stmt) -> list[tuple[ast.AST, Write]]:
    if isinstance(node, ast.Assign):
        out: list[tuple[ast.AST, Write]] = []
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                out += [(t, Write(node, v)) for t, v in zip(target.elts, node.value.elts, strict=False)]
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Call):
                out += [(t, Write(node, Part(node.value, i))) for i, t in enumerate(target.elts)]
            else:
                out.append((target, Write(node, node.value)))
        return out
    if isinstance(node, (ast.AugAssign, ast.AnnAssign)) and node.value is not None:
        return [(node.target, Write(node, node.value))]
    return []


def _writes_of(node: ast.AST) -> list[tuple[ast.AST, Write]]:
    """The in-place writes of one statement as (root, write)."""
    if isinstance(node, (ast.Assign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [
            (root_name(t), Write(node, node.value, t.slice)) for t in targets if isinstance(t, ast.Subscript)
        ]
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return []
    name, values = call.func.attr, [*call.args, *(k.value for k in call.keywords)]
    if name not in _CHANGERS and not name.endswith("_"):
        return []
    into: ast.AST = call.func.value
    if name in ("at", "copyto", "put", "put_along_axis") and values:  # numpy.add.at(table, keys, values)
        into, values = values[0], values[1:]
    return [(root_name(into), Write(node, v)) for v in values]


def own_statements(scope: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a function or module, not those of functions and classes inside it."""
    stack: list[ast.AST] = list(getattr(scope, "body", []) if not isinstance(scope, ast.Lambda) else [])
    while stack:
        node = stack.pop()
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            continue
        if isinstance(node, ast.stmt):
            yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            stack.extend(getattr(node, name, ()) or ())
