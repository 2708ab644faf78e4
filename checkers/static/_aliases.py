"""What is called, by the name its library gives it: ``ln = math.log`` makes ``ln(x)`` a logarithm."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkers.facts import Module


def call_name(node: ast.AST) -> str:
    """The last part of the name that is called, "" for anything but a call."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def calls_of(module: Module, names: frozenset[str]) -> Iterator[ast.Call]:
    """The calls of some library functions in a module, under these names or others that are given to them."""
    other = _other_names(module, names)
    for call in module.calls:
        name = call_name(call)
        if name in names or (name in other and isinstance(call.func, ast.Name) and _is(module, call, names)):
            yield call


def _other_names(module: Module, names: frozenset[str]) -> set[str]:
    """The names that any scope of a module gives to one of the functions."""
    return {
        name
        for scope in module.scopes.values()
        for name, bindings in scope.bindings.items()
        if any(b.how == "assign" and _last_part(b.value) in names for b in bindings)
    }


def _is(module: Module, call: ast.Call, names: frozenset[str]) -> bool:
    """Whether the called name stands for nothing but such a function where it is called."""
    found = module.scope_of(call).lookup(call_name(call))
    return found is not None and all(
        b.how == "assign" and b.unpack is None and _last_part(b.value) in names for b in found[1]
    )


def _last_part(value: ast.AST | None) -> str:
    return value.attr if isinstance(value, ast.Attribute) else ""
