"""Learned slots that read a whole sequence by open attention and are mixed into each of its positions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkers.facts import Facts, arguments
from checkers.facts.flow import in_order, returns
from checkers.static._trace import At, Tracer
from harness.nodes import walk

DATA = frozenset({"val", "train"})
_NEAR = 200  # places between an attention call and the call of the function around it
_INSIDE = 1500  # places in one function and in those that it calls


def slots_read(facts: Facts, tracer: Tracer, attention: ast.Call) -> ast.Call | None:
    """The call by which queries without any data read keys made of a text; None if there is none.

    Such queries are the same whatever the text is, so what they read belongs to no position: added to the
    states it was read from, it tells each of them of all later ones.
    """
    function = facts.module_of(attention).function_of(attention)
    if function is None or len(attention.args) < 2:
        return None
    for outer in in_order(facts.callers(function)):
        if not isinstance(outer, ast.Call) or not facts.runs(outer):
            continue
        query, keys = (list(_entering(tracer, a, outer)) for a in attention.args[:2])
        told = [_told(facts, nodes) for nodes in (query, keys)]
        if told == [False, True] and _mixed_back(facts, tracer, outer, keys):
            return outer
    return None


def _entering(tracer: Tracer, argument: ast.expr, outer: ast.Call) -> Iterator[ast.AST]:
    """What a call hands over of the values that an expression in the called function is computed from."""
    trace = tracer.trace([At(argument, (outer,))], stop=lambda at: not at.calls, most=_NEAR)
    given = {*outer.args, *(k.value for k in outer.keywords)}
    return (at.node for at in trace if not at.calls and at.node in given)


def _told(facts: Facts, nodes: list[ast.AST]) -> bool | None:
    """Whether any of some expressions derives from a text of the data; None where one was never evaluated."""
    if not nodes or any(facts.value(n) is None for n in nodes):
        return None
    return any(facts.sources(n) & DATA for n in nodes)


def _mixed_back(facts: Facts, tracer: Tracer, outer: ast.Call, keys: list[ast.AST]) -> bool:
    """Whether the function around a call returns a sum of what was read and of what the keys were made of."""
    function = facts.module_of(outer).function_of(outer)
    if function is None:
        return False
    inside = set(walk(function))

    def traced(root: ast.AST) -> set[ast.AST]:
        found = tracer.trace(
            [At(root)], stop=lambda at: not at.calls and at.node not in inside, most=_INSIDE, choices=False
        )
        return {at.node for at in found}

    given = {a.arg for a in arguments(function)}
    states = {n.id for k in keys for n in traced(k) if isinstance(n, ast.Name)} & given - {"self"}
    for total in {node for value in returns(function) for node in traced(value) if _adds(node)}:
        assert isinstance(total, ast.BinOp)
        left, right = traced(total.left), traced(total.right)
        if (outer in left) != (outer in right):
            other = left if outer in right else right
            if any(isinstance(n, ast.Name) and n.id in states for n in other):
                return True
    return False


def _adds(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)
