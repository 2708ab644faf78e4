"""Counts divided by counts: which table reads stand above and below the line of a probability."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from checkers.static._charges import Charges, Lookup
from checkers.static._trace import At

_DIVIDERS = frozenset({"div", "divide", "true_divide", "floor_divide"})
_MOST = 500


@dataclass(frozen=True, slots=True)
class Ratio:
    """A division on the way to a charge, with the table reads it is made of."""

    at: At
    above: tuple[Lookup, ...]
    below: tuple[Lookup, ...]
    summed: bool  # the divisor contains a sum over what is divided

    def keyed_by_more(self) -> list[Lookup]:
        """Hashed reads above the line at another key than any below: the key of a joint count."""
        keys = {frozenset(_nodes(read)) for read in self.below}
        return [
            r for r in self.above if r.hashed and self.below and not any(_nodes(r) <= key for key in keys)
        ]


def _nodes(read: Lookup) -> set[ast.AST]:
    return {leaf.node for leaf in read.mix.folded}


def ratios(charges: Charges) -> list[Ratio]:
    """The divisions that flow into a charge and have a table read above the line."""
    found = []
    for at in charges.trace:
        sides = _sides(at.node)
        if sides is None:
            continue
        above = _reads(charges, At(sides[0], at.calls))
        if not above:
            continue
        below = _reads(charges, At(sides[1], at.calls))
        found.append(Ratio(at, above, below, _sums(charges, At(sides[1], at.calls), above)))
    return found


def _sides(node: ast.AST) -> tuple[ast.AST, ast.AST] | None:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return node.left, node.right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _DIVIDERS:
        if len(node.args) >= 2:
            return node.args[0], node.args[1]
        if len(node.args) == 1:
            return node.func.value, node.args[0]
    return None


def _reads(charges: Charges, at: At) -> tuple[Lookup, ...]:
    def stop(place: At) -> bool:
        return charges.lookup(place) is not None or charges.neural(place)

    trace = charges.tracer.trace([at], stop, most=_MOST, choices=False)
    return tuple(read for place in trace if (read := charges.lookup(place)) is not None)


def _sums(charges: Charges, divisor: At, above: tuple[Lookup, ...]) -> bool:
    """Whether a divisor holds a sum over one of the reads above the line."""
    trace = charges.tracer.trace([divisor], charges.neural, most=_MOST)
    sums = [p for p in trace if is_sum(p.node)]
    wanted = {read.at.node for read in above}
    return any(p.node in wanted for s in sums for p in charges.tracer.trace([s], charges.neural, most=_MOST))


def is_sum(node: ast.AST) -> bool:
    """Whether a node is a call that adds up."""
    name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
    return name in ("sum", "logsumexp", "nansum", "fsum", "einsum", "cumsum")
