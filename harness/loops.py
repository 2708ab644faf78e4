"""Loops that train for a number of steps written into their head."""

from __future__ import annotations

import ast

_FEW = 16
"""Rounds that nobody has to wait for; adaptation to a chunk takes so many."""


def rounds(loop: ast.For) -> ast.Constant | None:
    """The literal end of the range of a loop that steps an optimizer after a backward pass, if it is far."""
    head = loop.iter
    if not isinstance(head, ast.Call) or head.keywords or len(head.args) not in (1, 2):
        return None
    if not isinstance(head.func, ast.Name) or head.func.id not in ("range", "trange"):
        return None
    *_, end = head.args
    if not isinstance(end, ast.Constant) or not isinstance(head.args[0], ast.Constant):
        return None
    return end if isinstance(end.value, int) and end.value > _FEW and _trains(loop) else None


def name(loop: ast.For, end: ast.Constant) -> str:
    """The name of the setting: the loop's variable and its own number, so that other loops keep theirs."""
    return f"range({ast.unparse(loop.target)}={end.value!r})"


def _trains(loop: ast.For) -> bool:
    called = {
        node.func.attr
        for node in ast.walk(loop)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {"backward", "step"} <= called
