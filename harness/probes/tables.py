"""Keep the load of hashed tables: shrink them with the data.

A cache of 2^22 buckets holds some fifteen tokens a bucket at 6.2 * 10^7 tokens and hardly one in a
thousand at the few thousand of a tiny run: without collisions a table that looks up its target alone
looks innocent. Sizes are found by name, in assignments, defaults, keywords and environment settings,
and only sizes no embedding has are touched. A valid scorer stays valid with tables of any size.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, MutableMapping

from harness.events import TableScaled

_NAME = re.compile(
    r"bucket|hash_?size|table_?size|hash_?table|num_?slots|n_?slots|ngram_?size|cache_?size", re.I
)
_BITS = re.compile(
    r"(?:bucket|hash|table|ngram|cache)\w*(?:bits|log2|pow)|(?:bits|log2)_?(?:bucket|hash|table)", re.I
)
_NEVER = re.compile(r"batch|bytes|limit|budget|mem", re.I)
SMALLEST = 1 << 16
"""Entries. Learned hash embeddings have some ten thousand rows, cache tables hundreds of thousands."""
FLOOR = 64

Report = Callable[[TableScaled], None]


def scaled(size: int, factor: float) -> int:
    """A size times a factor, a power of two staying one (rounded up: never more load than at full size)."""
    target = max(int(size * factor), FLOOR)
    return 1 << (target - 1).bit_length() if size & (size - 1) == 0 else target


def scale_environment(environ: MutableMapping[str, str], factor: float, report: Report) -> None:
    """Scale the table sizes among environment settings."""
    for name, value in list(environ.items()):
        if value.isdigit() and is_table(name, int(value)):
            environ[name] = str(_resized(name, int(value), factor))
            report(TableScaled(name, int(value), int(environ[name])))


def is_table(name: str, value: int) -> bool:
    """Whether a setting is the size of a hashed table, or the logarithm of one."""
    if _NEVER.search(name):
        return False
    if _BITS.search(name):
        return 16 <= value <= 30
    return bool(_NAME.search(name)) and SMALLEST <= value <= 1 << 31


def _resized(name: str, value: int, factor: float) -> int:
    if _BITS.search(name) and value <= 30:
        return scaled(1 << value, factor).bit_length() - 1
    return scaled(value, factor)


class ScaleTables(ast.NodeTransformer):
    """Replace table sizes in a module."""

    def __init__(self, factor: float, report: Report) -> None:
        self._factor, self._report = factor, report

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """``BUCKETS = 1 << 22``, ``self.buckets = 4_194_304``."""
        self.generic_visit(node)
        for target in node.targets:
            node.value = self._value(_target_name(target), node.value)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """``buckets: int = 4_194_304``."""
        self.generic_visit(node)
        if node.value is not None:
            node.value = self._value(_target_name(node.target), node.value)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        """``Cache(buckets=4_194_304)``."""
        self.generic_visit(node)
        node.value = self._value(node.arg or "", node.value)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        """``def __init__(self, buckets=4_194_304)``."""
        self.generic_visit(node)
        positional = [*node.posonlyargs, *node.args]
        named = positional[len(positional) - len(node.defaults) :]
        node.defaults = [self._value(a.arg, d) for a, d in zip(named, node.defaults, strict=True)]
        for at, default in enumerate(node.kw_defaults):
            if default is not None:
                node.kw_defaults[at] = self._value(node.kwonlyargs[at].arg, default)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """``os.environ.get("NGRAM_BUCKETS", "4194304")``."""
        self.generic_visit(node)
        if len(node.args) == 2 and all(isinstance(a, ast.Constant) for a in node.args):
            name, value = (getattr(a, "value", None) for a in node.args)
            text = isinstance(value, str) and value.isdigit()
            if isinstance(name, str) and (text or type(value) is int):
                new = self._new(name, int(str(value)))
                node.args[1] = ast.copy_location(ast.Constant(str(new) if text else new), node.args[1])
        return node

    def _value(self, name: str, value: ast.expr) -> ast.expr:
        size = _constant(value)
        if size is None or not is_table(name, size):
            return value
        return ast.copy_location(ast.Constant(self._new(name, size)), value)

    def _new(self, name: str, size: int) -> int:
        if not is_table(name, size):
            return size
        new = _resized(name, size, self._factor)
        self._report(TableScaled(name, size, new))
        return new


def _target_name(target: ast.expr) -> str:
    if isinstance(target, ast.Name):
        return target.id
    return target.attr if isinstance(target, ast.Attribute) else ""


def _constant(value: ast.expr) -> int | None:
    """The value of an integer, ``1 << k`` or ``2 ** k``."""
    if isinstance(value, ast.Constant) and type(value.value) is int:
        return value.value
    if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.LShift, ast.Pow)):
        left, right = _constant(value.left), _constant(value.right)
        if left is None or right is None or not 0 <= right <= 40:
            return None
        return left << right if isinstance(value.op, ast.LShift) else left**right
    return None
