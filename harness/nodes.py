"""Walks over syntax trees, in the order of ``ast.walk`` and at a third of its price.

Two thirds of the nodes of a tree are names, constants and contexts, which hold nothing to descend
into; ``ast`` asks each of them for every field. Contexts (``Load``, ``Store``, ``Del``) are left out.
"""

from __future__ import annotations

import ast

_PLAIN = frozenset(  # fields that never hold a node
    [
        "ctx",
        "id",
        "attr",
        "asname",
        "module",
        "level",
        "kind",
        "type_comment",
        "simple",
        "is_async",
        "conversion",
        "type_ignores",
        "rest",
        "kwd_attrs",
        "tag",
        "lineno",
    ]
)
_HOLED = frozenset(["keys", "kw_defaults"])  # lists of nodes with None in between
_WALKED_OFTEN = frozenset([ast.FunctionDef, ast.AsyncFunctionDef, ast.For, ast.While])
_BELOW = "_below"
_BY_KIND: dict[type, tuple[str, ...]] = {
    ast.Constant: (),
    ast.keyword: ("value",),
    ast.arg: ("annotation",),
    ast.alias: (),
    ast.Global: (),
    ast.Nonlocal: (),
}


def _fields(kind: type) -> tuple[str, ...]:
    """The fields of a kind of node that may hold nodes."""
    known = _BY_KIND.get(kind)
    if known is None:
        known = tuple(n for n in getattr(kind, "_fields", ()) if n not in _PLAIN)
        _BY_KIND[kind] = known
    return known


def children(node: ast.AST) -> list[ast.AST]:
    """The direct children of a node in source order, without contexts."""
    found: list[ast.AST] = []
    for name in _fields(type(node)):
        value = getattr(node, name, None)
        if value.__class__ is list:
            found += value if name not in _HOLED else [item for item in value if item is not None]
        elif value is not None and isinstance(value, ast.AST):
            found.append(value)
    return found


def walk(node: ast.AST) -> list[ast.AST]:
    """A node and everything below it, breadth first.

    What is below functions and loops, which one checker after the other walks, is kept with them: without
    themselves, so that no tree becomes a cycle. A tree that was walked must not be changed.
    """
    below = node.__dict__.get(_BELOW)
    if below is not None:
        return [node, *below]
    found = [node]
    for inner in found:  # grows while it is read
        kind = inner.__class__
        names = _BY_KIND.get(kind)
        for name in _fields(kind) if names is None else names:
            value = getattr(inner, name, None)
            if value.__class__ is list:
                found += value if name not in _HOLED else [item for item in value if item is not None]
            elif value is not None and isinstance(value, ast.AST):
                found.append(value)
    if type(node) in _WALKED_OFTEN:
        node.__dict__[_BELOW] = found[1:]
    return found
