"""Operators on constants, each refusing in advance what would grow or run without bound."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

from harness import operators
from harness.unpack_values import MAX_VALUE, UNKNOWN, Failed

_BINARY = operators.BINARY | {ast.RShift: operator.rshift}
COMPARE = operators.COMPARE | operators.IDENTITY
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_LARGE = 1 << 18  # bits of a number that is still multiplied and divided


def binary(op: ast.operator, left: Any, right: Any) -> Any:
    """Apply ``op`` to two constants; ``UNKNOWN`` for an operator that is not computed.

    Raises:
        Failed: the result would be too large. What the operator itself raises passes through.
    """
    if any(isinstance(v, int) and v.bit_length() > _LARGE for v in (left, right)):
        raise Failed("a number too large")
    if isinstance(op, ast.Mod):
        return _remainder(left, right)
    if isinstance(op, ast.Mult):
        return _product(left, right)
    if isinstance(op, (ast.LShift, ast.Pow)):
        return _power(op, left, right)
    if type(op) not in _BINARY:
        return UNKNOWN
    if hasattr(left, "__len__") and hasattr(right, "__len__") and len(left) + len(right) > MAX_VALUE:
        raise Failed("a sum too large")
    return _BINARY[type(op)](left, right)


def _remainder(left: Any, right: Any) -> Any:
    if isinstance(left, (str, bytes)):
        template = left.decode("latin-1") if isinstance(left, bytes) else left
        if re.search(r"\d{5}|\*", template):
            raise Failed("a format too wide")
    return left % right


def _product(left: Any, right: Any) -> Any:
    for text, times in ((left, right), (right, left)):
        if hasattr(text, "__len__") and isinstance(times, int) and len(text) * times > MAX_VALUE // 16:
            raise Failed("a repetition too large")
    return left * right


def _power(op: ast.operator, left: Any, right: Any) -> Any:
    if not (isinstance(left, int) and isinstance(right, int)):
        return left**right if isinstance(op, ast.Pow) else UNKNOWN
    bits = left.bit_length() + right if isinstance(op, ast.LShift) else left.bit_length() * right
    if bits > _LARGE:
        raise Failed("a power too large")
    return left << right if isinstance(op, ast.LShift) else left**right
