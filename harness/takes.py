"""Numbers of tokens written into the call that takes them from a stream of training data."""

from __future__ import annotations

import ast

PREFIX = "take("
_MANY = 2048
"""Tokens that nobody has to wait for."""


def taken(call: ast.Call) -> ast.Constant | None:
    """The literal of ``stream.take(65536)``, if it is many; a script calibrates on so many at once."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "take" or call.keywords:
        return None
    match call.args:
        case [ast.Constant(value=int(many)) as literal] if many > _MANY:
            return literal
    return None


def name(literal: ast.Constant) -> str:
    """The name of the setting: by its own number, so that other calls keep theirs."""
    return f"{PREFIX}{literal.value!r})"
