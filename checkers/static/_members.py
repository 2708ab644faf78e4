"""Mixtures in the log domain: experts put side by side under a ``logsumexp``, and what they are made of."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkers.static._aliases import call_name
from checkers.static._charges import VIEWS, Charges, target_argument
from checkers.static._trace import At, Trace
from checkers.static._words import words
from checkers.static._writes import Part

_SIDE_BY_SIDE = frozenset({"stack", "cat", "concat", "concatenate", "hstack", "vstack", "dstack"})
_REDUCTIONS = words("sum mean max amax min amin logsumexp entropy topk")
_NEAR = 300  # places behind a reduction that are looked at
_MOST = 200  # places between a mixture and its experts


def blind_experts(charges: Charges) -> list[At]:
    """The experts of mixtures behind the charges whose loss is the same whatever the target is.

    An entropy, or another reduction of the model's distribution over the vocabulary, gives each of V tokens
    the mass exp(-entropy): V exp(-entropy) in all, and 1 only where the distribution is uniform.
    """
    blind: dict[At, None] = {}
    for at in charges.trace:
        if call_name(at.node) == "logsumexp" and (mixed := _operand(at)) is not None:
            for members in _put_together(charges, mixed):
                if any(_of_the_target(charges, _near(charges, m)) for m in members):
                    blind.update(dict.fromkeys(m for m in members if _is_blind(charges, m)))
    return list(blind)


def _operand(call: At) -> At | None:
    """What a reduction is taken of: the first argument, else the receiver."""
    node = call.node
    assert isinstance(node, ast.Call)
    if isinstance(node.func, ast.Attribute) and not (node.args and isinstance(node.args[0], ast.Name)):
        return At(node.func.value, call.calls)
    return At(node.args[0], call.calls) if node.args else None


def _put_together(charges: Charges, mixed: At) -> Iterator[list[At]]:
    """The members of every list that reaches a mixture with its values as they are, but for weights."""
    for at in _carried(charges, mixed, _SIDE_BY_SIDE):
        node = at.node
        if call_name(node) in _SIDE_BY_SIDE and isinstance(node, ast.Call) and node.args:
            yield list(_elements(charges, At(node.args[0], at.calls)))


def _elements(charges: Charges, listed: At) -> Iterator[At]:
    node = listed.node
    if isinstance(node, (ast.List, ast.Tuple)):
        yield from (At(e, listed.calls) for e in node.elts)
    elif isinstance(node, ast.Name):
        for part in charges.tracer.behind(listed, choices=False):
            is_list = isinstance(part.node, (ast.List, ast.Tuple))
            yield from _elements(charges, part) if is_list else [part]


def _is_blind(charges: Charges, member: At) -> bool:
    """Whether a member reduces what the model gives all tokens, and nothing of it is the target's."""
    reduced = [p for p in _carried(charges, member, _REDUCTIONS) if call_name(p.node) in _REDUCTIONS]
    behind = [_near(charges, p) for p in reduced]
    modelled = any(charges.neural(p) for near in behind for p in near)
    return modelled and not _of_the_target(charges, _near(charges, member))


def _near(charges: Charges, at: At) -> Trace:
    return charges.tracer.trace([at], charges.neural, most=_NEAR)


def _of_the_target(charges: Charges, near: Trace) -> bool:
    """Whether a target is looked up on the way: by a loss, by a gather or as an index.

    The logarithm of a probability counts as a score elsewhere; here it may be that of every token.
    """
    scored = any(p.node in charges.scores and target_argument(p.node) is not None for p in near)
    return scored or any(map(charges.is_target, near))


def _carried(charges: Charges, start: At, ends: frozenset[str]) -> list[At]:
    """The places whose values reach ``start`` as terms: through names, views, signs, sums and returns."""
    seen: dict[At, None] = {}
    stack = [start]
    while stack and len(seen) < _MOST:
        at = stack.pop()
        if at not in seen:
            seen[at] = None
            if call_name(at.node) not in ends or _own(charges, at.node):
                stack += _terms(charges, at)
    return list(seen)


def _own(charges: Charges, node: ast.AST) -> bool:
    """Whether a node calls a function of the submission."""
    return isinstance(node, ast.Call) and bool(charges.facts.callees(node))


def _terms(charges: Charges, at: At) -> list[At]:
    node = at.node
    if isinstance(node, (ast.Name, ast.Attribute, Part)) or _own(charges, node):
        return [] if charges.neural(at) else charges.tracer.behind(at, choices=False)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        return [At(node.left, at.calls), At(node.right, at.calls)]
    if isinstance(node, ast.UnaryOp):
        return [At(node.operand, at.calls)]
    if isinstance(node, ast.IfExp):
        return [At(node.body, at.calls), At(node.orelse, at.calls)]
    if isinstance(node, ast.Subscript):
        return [At(node.value, at.calls)]
    if isinstance(node, ast.Call) and call_name(node) in VIEWS:
        return [At(a, at.calls) for a in node.args[:1]] + (
            [At(node.func.value, at.calls)] if isinstance(node.func, ast.Attribute) else []
        )
    return []
