"""Amounts that a script writes into its code: how many steps a loop trains, how many tokens a call takes,
up to how many elements a tensor is not quantized."""

from __future__ import annotations

import ast
from itertools import pairwise

ROUNDS, TOKENS, ELEMENTS = "range(", "take(", "numel("
"""How the names of such settings begin."""
_FEW = 16
"""Rounds that nobody has to wait for; adaptation to a chunk takes so many."""
_MANY = 2048
"""Tokens that nobody has to wait for."""
_SMALL = range(4097, 1 << 20)
"""Elements up to which scripts store a tensor as it is: at a quarter of the width, every matrix."""


def amount(node: ast.AST) -> tuple[str, ast.Constant] | None:
    """The name and the literal of a setting of this kind; its own number tells it from others in the name."""
    if isinstance(node, ast.For) and (end := _rounds(node)) is not None:
        return f"{ROUNDS}{ast.unparse(node.target)}={end.value!r})", end
    if isinstance(node, ast.Call) and (many := _tokens(node)) is not None:
        return f"{TOKENS}{many.value!r})", many
    if isinstance(node, ast.Compare) and (few := _elements(node)) is not None:
        return f"{ELEMENTS}{few.value!r})", few
    return None


def _rounds(loop: ast.For) -> ast.Constant | None:
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


def _trains(loop: ast.For) -> bool:
    called = {
        node.func.attr
        for node in ast.walk(loop)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {"backward", "step"} <= called


def _tokens(call: ast.Call) -> ast.Constant | None:
    """The literal of ``stream.take(65536)``, if it is many; a script calibrates on so many at once."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "take" or call.keywords:
        return None
    match call.args:
        case [ast.Constant(value=int(many)) as literal] if many > _MANY:
            return literal
    return None


def _elements(comparison: ast.Compare) -> ast.Constant | None:
    """The literal of ``t.numel() <= 65536``: smaller tensors are stored as they are."""
    for left, right in pairwise([comparison.left, *comparison.comparators]):
        match left, right:
            case [
                ast.Call(func=ast.Attribute(attr="numel" | "nelement"), args=[]),
                ast.Constant(value=int(most)) as literal,
            ] if most in _SMALL:
                return literal
    return None
