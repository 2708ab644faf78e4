"""Scores whose distribution is changed at the target's own entry before it is normalized."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkers.static._aliases import call_name
from checkers.static._charges import VIEWS, Charges, target_argument
from checkers.static._trace import At, position
from checkers.static._words import words
from checkers.static._writes import Part, root_name
from harness.nodes import walk

_AT_INDEX = frozenset({"scatter", "scatter_", "scatter_add", "scatter_add_", "index_put_"})
_NORMALIZED = frozenset({"cross_entropy", "CrossEntropyLoss"})
_ELEMENTWISE = VIEWS | words(
    "masked_fill masked_fill_ where add sub mul div logical_and logical_or softcap tanh"
)
_MOST = 200  # places between the logits and what is written


def written_at_target(charges: Charges) -> list[tuple[ast.AST, ast.AST]]:
    """Pairs of a write at the target's entry and the score whose logits hold it, element by element.

    What is reduced on the way, a one-hot target under a mean over the context, is no entry of the scored
    position and is left to the rules about learning.
    """
    pairs: list[tuple[ast.AST, ast.AST]] = []
    for score in sorted(charges.scores - charges.beside, key=position):
        logits = _logits(score)
        function = charges.facts.module_of(score).function_of(score)
        if logits is None or function is None or target_argument(score) is None:
            continue
        before = (w for w in _writes(function) if position(w[0]) < position(score))
        written = [w for w in before if _of_target(charges, w[1])]
        if written:
            names = {p.node.id for p in _elementwise(charges, At(logits)) if isinstance(p.node, ast.Name)}
            pairs += [(place, score) for place, _, name in written if name in names]
    return pairs


def _logits(score: ast.AST) -> ast.AST | None:
    """What a score normalizes by itself."""
    normalizes = isinstance(score, ast.Call) and call_name(score) in _NORMALIZED and score.args
    return score.args[0] if normalizes else None  # type: ignore[attr-defined]


def _writes(function: ast.AST) -> Iterator[tuple[ast.expr, ast.expr, str]]:
    """Writes into a named tensor at computed indices: the place, the index and the tensor's name."""
    for node in walk(function):
        index: ast.expr | None = None
        if isinstance(node, ast.Call) and call_name(node) in _AT_INDEX and len(node.args) > 1:
            index = node.args[1]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            index = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else None
        base = root_name(node)
        if index is not None and isinstance(node, ast.expr) and isinstance(base, ast.Name):
            yield node, index, base.id


def _of_target(charges: Charges, index: ast.expr) -> bool:
    return not isinstance(index, (ast.Slice, ast.Constant)) and charges.is_target(At(index))


def _elementwise(charges: Charges, start: At) -> list[At]:
    """The places whose values go into ``start`` position by position and entry by entry."""
    seen: dict[At, None] = {}
    stack = [start]
    while stack and len(seen) < _MOST:
        at = stack.pop()
        if at not in seen:
            seen[at] = None
            stack += _steps(charges, at)
    return list(seen)


def _steps(charges: Charges, at: At) -> list[At]:
    node = at.node
    if isinstance(node, (ast.Name, Part)):
        return charges.tracer.behind(at, choices=False)
    if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp)):
        return [At(n, at.calls) for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr)]
    if isinstance(node, ast.Subscript):
        return [At(node.value, at.calls)]
    if isinstance(node, ast.Call) and call_name(node) in _ELEMENTWISE:
        receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        return [At(n, at.calls) for n in (*receiver, *node.args)]
    return []
