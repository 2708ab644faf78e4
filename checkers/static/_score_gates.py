"""Experts that are mixed in only where the target's own score passes a constant.

``if logp[t] < threshold: p = mix(p, cache)`` asks what the model gives the token that is to be decoded. A
guard of the arithmetic asks so, too, but what it decides holds no expert, or its constant is one that a score
passes only where a float runs out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from checkers.facts import UNKNOWN, Binding
from checkers.static._aliases import call_name
from checkers.static._charges import VIEWS, Charges, shifted
from checkers.static._trace import At
from checkers.static._writes import FUNCTIONS
from harness.nodes import walk

_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_SAME_SCORE = VIEWS | {"exp", "exp2", "log", "log2", "neg", "negative", "where"}
_FLOOR = 1e-6  # a probability below it is guarded against, not gated on
_CEILING = 13.0  # nats: its loss, and that of its logarithm
_STEPS = 40  # places from a test to the score that it asks for
_NEAR = 150  # places behind an operand of what a test decides
_HANDED_ON = 3  # names that a mask is handed on through


@dataclass(frozen=True, slots=True)
class Gate:
    """A comparison of a target's score with a constant, and the expert that it lets into the charge."""

    test: ast.Compare
    expert: ast.AST


@dataclass(frozen=True, slots=True)
class _Asked:
    """The score that a test asks for: where it is taken, and the names and elements that hold it."""

    scores: frozenset[ast.AST]
    forms: frozenset[str]

    def holds(self, node: ast.AST) -> bool:
        """Whether a node is the score, whatever it is called on the way to the test."""
        return node in self.scores or (
            isinstance(node, (ast.Name, ast.Subscript)) and ast.dump(node) in self.forms
        )


def score_gates(charges: Charges) -> Iterator[Gate]:
    """The gates behind the charges, each test once."""
    seen: set[ast.AST] = set()
    values = {at.node for at in charges.with_tests}
    experts = charges.scores | {read.at.node for read in charges.lookups}
    for at in charges.with_tests:
        node = at.node
        if node in seen or not isinstance(node, ast.Compare) or not (side := _score_side(charges, node)):
            continue
        seen.add(node)
        asked = _asked(charges, At(side, at.calls))
        if asked.scores and (expert := _expert(charges, At(node, at.calls), asked, values, experts)):
            yield Gate(node, expert)


def _score_side(charges: Charges, node: ast.Compare) -> ast.expr | None:
    """The side of a comparison that may be a score, where the other is a constant to gate on."""
    if len(node.ops) != 1 or not isinstance(node.ops[0], _ORDERS):
        return None
    left, right = node.left, node.comparators[0]
    for side, bound in ((left, right), (right, left)):
        if "score" in charges.facts.sources(side) and not charges.facts.sources(bound) & {"score", "val"}:
            return side if _gates(charges.facts.constant(bound)) else None
    return None


def _gates(bound: object) -> bool:
    """Whether scores lie on both sides of a bound; where it is not known, they may."""
    if bound is UNKNOWN:
        return True
    number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
    return number and _FLOOR < abs(float(bound)) < _CEILING  # type: ignore[arg-type]


def _asked(charges: Charges, side: At) -> _Asked:
    """What one side of a test holds of the score of one target.

    Only steps that keep a position's score are taken: a mean of earlier ones is no score of the target.
    """
    forms: set[str] = set()
    scores: set[ast.AST] = set()
    stack, seen = [side], {side}
    while stack and len(seen) < _STEPS:
        at = stack.pop()
        if at.node in charges.scores or (charges.neural(at) and "score" in charges.facts.sources(at.node)):
            scores.add(at.node)
            continue
        if isinstance(at.node, (ast.Name, ast.Subscript)):
            forms.add(ast.dump(at.node))
        steps = [s for s in _same_score(charges, at) if s not in seen]
        seen.update(steps)
        stack += steps
    return _Asked(frozenset(scores), frozenset(forms))


def _same_score(charges: Charges, at: At) -> list[At]:
    node = at.node
    if isinstance(node, ast.Name):
        return charges.tracer.behind(at, choices=False) if _bound_once(charges, node) else []
    if isinstance(node, ast.Subscript):
        return [] if shifted(node) or _earlier(node.slice) else [At(node.value, at.calls)]
    if isinstance(node, ast.UnaryOp):
        return [At(node.operand, at.calls)]
    if isinstance(node, ast.BinOp):
        parts = [p for p in (node.left, node.right) if "score" in charges.facts.sources(p)]
        return [At(p, at.calls) for p in parts] if len(parts) == 1 else []
    if isinstance(node, ast.Call) and (charges.facts.callees(node) or call_name(node) in _SAME_SCORE):
        return charges.tracer.behind(at, choices=False)
    return charges.tracer.behind(at, choices=False) if type(node) not in (ast.Attribute, ast.Compare) else []


def _bound_once(charges: Charges, node: ast.Name) -> bool:
    """Whether a name means one thing: what a loop carries over is of another position."""
    return len(_bindings(charges, node)) == 1 and _bindings(charges, node)[0].how != "augment"


def _bindings(charges: Charges, node: ast.Name) -> list[Binding]:
    return [b for b in charges.facts.flow.bindings(node) if charges.facts.runs(b.node)]


def _earlier(index: ast.AST) -> bool:
    """``[i - 1]``, ``[-1]``, ``[-100:]``: another position than the one that is charged."""
    signs = (ast.Sub, ast.USub)
    return any(isinstance(n, (ast.BinOp, ast.UnaryOp)) and isinstance(n.op, signs) for n in walk(index))


def _expert(
    charges: Charges, test: At, asked: _Asked, values: set[ast.AST], experts: set[ast.AST]
) -> ast.AST | None:
    """What is mixed with the very score that was tested, in what the test decides."""

    def stop(place: At) -> bool:
        return charges.neural(place) or asked.holds(place.node)

    for region in _decided(charges, test.node, _HANDED_ON):
        operands = [
            n for n in walk(region) if isinstance(n, (ast.Name, ast.Subscript, ast.Call)) and n in values
        ]
        others = [At(n, test.calls) for n in operands if not asked.holds(n)]
        if len(others) == len(operands):
            continue
        for other in others:
            near = charges.tracer.trace([other], stop, most=_NEAR, choices=False)
            if any(p.node in experts and not asked.holds(p.node) for p in near):
                return other.node
    return None


def _decided(charges: Charges, node: ast.AST, handed: int) -> Iterator[ast.AST]:
    """The statements and expressions whose value, or whose running, a test decides."""
    module = charges.facts.module_of(node)
    child = node
    for outer in module.ancestors(node):
        if isinstance(outer, (ast.If, ast.IfExp)) and child is outer.test:
            yield from _branches(charges, outer, handed)
            return
        if isinstance(outer, FUNCTIONS):
            return
        if isinstance(outer, ast.stmt):
            yield from _chosen_by_mask(charges, outer, child, handed)
            return
        if call_name(outer) == "where" or (isinstance(outer, ast.BinOp) and isinstance(outer.op, ast.Mult)):
            yield outer
        child = outer


def _branches(charges: Charges, outer: ast.If | ast.IfExp, handed: int) -> Iterator[ast.AST]:
    if isinstance(outer, ast.IfExp):
        yield outer
        yield from _decided(charges, outer, handed)
        return
    for statement in (*outer.body, *outer.orelse):
        yield statement
        if isinstance(statement, ast.Assign) and not charges.facts.sources(statement.value) & {
            "score",
            "val",
        }:
            yield from _chosen_by_mask(charges, statement, statement.value, handed)  # a weight


def _chosen_by_mask(charges: Charges, statement: ast.stmt, child: ast.AST, handed: int) -> Iterator[ast.AST]:
    """The statement itself, and the ones that read the name it gives to a mask or a weight."""
    yield statement
    if not isinstance(statement, ast.Assign) or child is not statement.value or not handed:
        return
    names = {t.id for t in statement.targets if isinstance(t, ast.Name)}
    module = charges.facts.module_of(statement)
    function = module.function_of(statement) or module.tree
    for node in walk(function):
        if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load):
            yield from _decided(charges, node, handed - 1)
