"""Whether a gradient can flow from a place: what runs under ``no_grad`` teaches nothing."""

from __future__ import annotations

import ast

from checkers.facts import Event
from checkers.static._aliases import call_name

_SWITCHES = {"no_grad": False, "inference_mode": False, "enable_grad": True}


def graded(event: Event) -> bool:
    """Whether gradients are recorded where an event happened, as the innermost manager or decorator says."""
    for module, node in ((event.module, event.node), *reversed(event.calls)):
        for outer in module.ancestors(node):
            for manager in _managers(outer):
                if manager in _SWITCHES:
                    return _SWITCHES[manager]
    return True


def _managers(node: ast.AST) -> list[str]:
    """The names of what is put around a block, or around a function."""
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return [_name(item.context_expr) for item in reversed(node.items)]
    return [_name(d) for d in getattr(node, "decorator_list", ())]


def _name(node: ast.AST) -> str:
    return call_name(node) or getattr(node, "attr", getattr(node, "id", ""))
