"""Neighbouring positions that a layer pools into one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkers.facts import Facts
from checkers.static._aliases import call_name
from checkers.static._trace import At, Tracer
from harness.nodes import walk

_REDUCES = frozenset({"sum", "mean", "amax", "max"})
_RESHAPES = frozenset({"view", "reshape", "unflatten"})
_NEAR = 80  # places between a reduction and the reshape before it
_GROUP = (2, -2)  # of batch, groups, members, features


def pooled(facts: Facts, tracer: Tracer, layers: list[ast.AST]) -> Iterator[ast.Call]:
    """``x.reshape(batch, length // n, n, features)`` reduced over its members."""
    for function in layers:
        for call in walk(function):
            if not isinstance(call, ast.Call) or call_name(call) not in _REDUCES or not facts.runs(call):
                continue
            if not isinstance(call.func, ast.Attribute) or _dimension(facts, call) not in _GROUP:
                continue
            before = tracer.trace([At(call.func.value)], most=_NEAR, choices=False)
            if any(_groups(p.node) for p in before):
                yield call


def _dimension(facts: Facts, call: ast.Call) -> object:
    named = [k.value for k in call.keywords if k.arg in ("dim", "axis")]
    given = [*named, *call.args][:1]
    return facts.constant(given[0]) if given else None


def _groups(node: ast.AST) -> bool:
    """Whether a call lays a sequence out in ``length // n`` groups of ``n`` neighbours."""
    if not isinstance(node, ast.Call) or call_name(node) not in _RESHAPES or len(node.args) != 4:
        return False
    many, members = node.args[1], node.args[2]
    divided = isinstance(many, ast.BinOp) and isinstance(many.op, ast.FloorDiv)
    return divided and ast.dump(many.right) == ast.dump(members)  # type: ignore[attr-defined]
