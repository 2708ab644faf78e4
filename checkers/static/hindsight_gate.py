"""``hindsight-gate``: the smaller of several losses of the same target is the one that is charged."""

from __future__ import annotations

import ast

from checkers.finding import CheckResult, Finding, examined, plural
from checkers.static._aliases import call_name
from checkers.static._charges import Charges, charges_of, uncharged
from checkers.static._report import finding, numbered
from checkers.static._trace import At
from checkers.static._writes import FUNCTIONS, root_name
from checkers.static.target_in_cache_key import target_keyed
from checkers.subject import Subject
from harness.nodes import walk

RULE = "hindsight-gate"
_NEAR = 150  # places behind a side or a test that are looked at
_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ELEMENTWISE = frozenset({"minimum", "fmin", "maximum", "fmax"})
_EXTREMES = frozenset({"minimum", "fmin", "maximum", "fmax", "min", "max"})
_EXPONENTS = frozenset({"exp", "log1p", "logaddexp", "expm1", "exp2"})


def check(subject: Subject) -> CheckResult:
    """Look at every extreme and every comparison of scores that flows into, or decides, a charge."""
    if (answer := uncharged(subject)) is not None:
        return answer
    charges = charges_of(subject)
    judged = {read.at.node for read in target_keyed(charges)} if charges.lookups else set()
    found = [_finding(subject, at) for at in charges.with_tests if _chooses(charges, at, judged)]
    return examined(
        len(charges.roots), f"choices behind {plural(len(charges.roots), 'charge')}", numbered(found)
    )


def _finding(subject: Subject, at: At) -> Finding:
    message = (
        "Scores of the same target are compared and the better one is charged; the choice needs the "
        "token that is to be decoded."
    )
    return finding(subject.facts, RULE, at.node, message, caption="chosen here", confidence=0.9)


def _chooses(charges: Charges, at: At, judged: set[ast.AST]) -> bool:
    node = at.node
    if isinstance(node, ast.Compare) and len(node.comparators) == 1 and isinstance(node.ops[0], _ORDERS):
        sides: list[ast.AST] = [node.left, node.comparators[0]]
    elif call_name(node) in _EXTREMES and isinstance(node, ast.Call):
        sides = _operands(node)
    else:
        return False
    if len(sides) != 2 or not all(_scored(charges, At(s, at.calls), judged) for s in sides):
        return False
    if not any(_scored(charges, At(s, at.calls), set()) for s in sides):
        return False  # two counts: a count capped by another
    return (
        _per_position(charges, node)
        and not _stabilizes(charges, node, sides)
        and not _enters_network(charges, node)
    )


def _enters_network(charges: Charges, node: ast.AST) -> bool:
    """Whether the chosen value is an input of a network, whose own output is what the charge scores.

    A network may be told how badly earlier tokens were predicted, and may clip what it is told.
    """
    for score in charges.scores:
        if isinstance(score, ast.Call) and (logits := _scored_logits(score)) is not None:
            trace = charges.tracer.trace([At(logits)])
            reached = next((at for at in trace if at.node is node), None)
            if reached is not None and any(charges.neural(at) for at in trace.path(reached)):
                return True
    return False


def _scored_logits(score: ast.Call) -> ast.AST | None:
    """What a score is taken of: the first argument, or the receiver of ``logp.gather``."""
    first = score.args[0] if score.args else None
    method = isinstance(score.func, ast.Attribute) and call_name(score) == "gather" and len(score.args) == 2
    return score.func.value if method and isinstance(score.func, ast.Attribute) else first


def _per_position(charges: Charges, node: ast.AST) -> bool:
    """Whether a choice is made for each position: elementwise, or by a branch that writes at an index.

    Comparing the totals of two passes chooses a pass, which is for ``best-of-passes`` to judge.
    """
    if call_name(node) in _ELEMENTWISE:
        return True
    for outer in charges.facts.module_of(node).ancestors(node):
        if call_name(outer) in ("where", "masked_fill", "select"):
            return True
        if isinstance(outer, ast.stmt):
            return _overwrites(charges, outer, node)
    return False


def _overwrites(charges: Charges, statement: ast.stmt, test: ast.AST) -> bool:
    """Whether a branch writes at an index into the very array whose element its test compares."""
    stored = {
        ast.unparse(root_name(n))
        for n in walk(statement)
        if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store) and not _field(n)
    }
    near = charges.tracer.trace([At(test)], charges.neural, most=_NEAR)
    read = [p.node for p in near if isinstance(p.node, ast.Subscript) and isinstance(p.node.ctx, ast.Load)]
    return any(ast.unparse(root_name(n)) in stored for n in read) and not any(_field(n) for n in read)


def _field(node: ast.Subscript) -> bool:
    """``record["name"]``: a field, no position."""
    return isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)


def _operands(call: ast.Call) -> list[ast.AST]:
    """The two things an extreme is taken of; a reduction over an axis has one and is not meant."""
    args: list[ast.AST] = [a for a in call.args if not isinstance(a, (ast.Constant, ast.Starred))]
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("min", "max") and len(args) == 1:
        return [call.func.value, args[0]]
    return args


def _scored(charges: Charges, at: At, judged: set[ast.AST]) -> bool:
    """Whether an expression is the score of a target: its loss, its probability, or its entry in a cache."""
    sources = charges.facts.sources(at.node)
    if not judged and not {"score", "val"} <= sources:
        return False
    near = charges.tracer.trace([at], charges.neural, most=_NEAR, choices=False)
    return any(_is_score(charges, place, judged) for place in near)


def _is_score(charges: Charges, place: At, judged: set[ast.AST]) -> bool:
    if place.node in judged or place.node in charges.scores:
        return True
    return charges.neural(place) and "score" in charges.facts.sources(place.node)


def _stabilizes(charges: Charges, node: ast.AST, sides: list[ast.AST]) -> bool:
    """Whether the extreme only keeps a sum of exponentials from overflowing."""
    module = charges.facts.module_of(node)
    function = next((a for a in module.ancestors(node) if isinstance(a, FUNCTIONS)), module.tree)
    exponents = {
        name.id
        for call in walk(function)
        if call_name(call) in _EXPONENTS
        for name in walk(call)
        if isinstance(name, ast.Name)
    }
    named = {n.id for side in sides for n in walk(side) if isinstance(n, ast.Name)}
    return isinstance(node, ast.Call) and bool(named) and named <= exponents
