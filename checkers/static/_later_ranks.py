"""Learning that only ranks after the first do: what the ranks before them score, so that tables agree.

Ranks that share out the windows of a text may fill their tables with the part that the ranks before them
score, as one process going through the whole text would have done. Whether the part ends where a rank's own
begins is arithmetic that reading does not follow: such learning is doubted, and the run decides.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkers.facts import Event, Facts
from checkers.facts.source import Module

_LATER = {(ast.Gt, 0), (ast.NotEq, 0), (ast.GtE, 1)}
_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.NotEq: ast.NotEq}


def later_ranks_only(facts: Facts, event: Event) -> bool:
    """Whether an event happens in a branch that hangs on the rank and that rank 0 does not take."""
    if not event.data["ranked"]:
        return False
    ways = ((event.module, event.node), *event.calls)
    return any(_after_first(facts, test) for module, node in ways for test in _tests(module, node))


def _tests(module: Module, node: ast.AST) -> Iterator[ast.expr]:
    """What must be true for a node to be reached, conjunct by conjunct."""
    inner = node
    for outer in module.ancestors(node):
        if isinstance(outer, ast.If) and inner in outer.body:
            yield from _conjuncts(outer.test)
        inner = outer


def _conjuncts(test: ast.expr) -> Iterator[ast.expr]:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            yield from _conjuncts(part)
    else:
        yield test


def _after_first(facts: Facts, test: ast.expr) -> bool:
    """``rank > 0`` in one of its forms."""
    match test:
        case ast.Compare(left=left, ops=[op], comparators=[ast.Constant(value=int(least))]):
            return (type(op), least) in _LATER and _is_rank(facts, left)
        case ast.Compare(left=ast.Constant(value=int(least)), ops=[op], comparators=[right]):
            return (_TURNED.get(type(op)), least) in _LATER and _is_rank(facts, right)
    return False


def _is_rank(facts: Facts, node: ast.expr) -> bool:
    """Whether a value is made of the rank and settings alone: what a share holds derives from data, too."""
    sources = facts.sources(node)
    return "rank" in sources and sources <= {"rank", "setting"}
