"""Thresholds that nothing can pass: how a run switches a channel off without a switch.

``gate = p >= tau`` with ``tau`` at 99 never opens, for ``p`` is a probability. Where the configuration
of the run puts a threshold above 1, what lies behind it reaches no charge (#1514, #2135: hints from the
prefix alone, the channels that read the target shut).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkers.facts import Facts
from checkers.static._charges import Charges
from harness.nodes import walk

_ABOVE, _BELOW = (ast.Gt, ast.GtE), (ast.Lt, ast.LtE)


def shut(charges: Charges, call: ast.Call, arrays: frozenset[str] = frozenset()) -> ast.Compare | None:
    """The comparison on the way to a charge that no output of ``call`` can pass, if there is one.

    Outputs are the variables that its result is assigned to, or ``arrays``: those it is handed to fill.
    They are followed through one wrapper that returns them. Only variables that are compared as they
    are count; a sum or a count of them may well exceed 1.
    """
    facts, closed = charges.facts, list(_closed(charges))
    if not closed:
        return None
    outputs = arrays or _results(facts, call)
    caller = facts.module_of(call).function_of(call)
    found = _closed_for(facts, closed, caller, outputs)
    if found is not None or caller is None:
        return found
    outer = [c for c in facts.callers(caller) if isinstance(c, ast.Call) and facts.runs(c)]
    if not outer:
        return None
    places = _returned(caller, outputs)
    shuts = [
        _closed_for(facts, closed, facts.module_of(c).function_of(c), _unpacked(facts, c, places))
        for c in outer
    ]
    return shuts[0] if all(shuts) else None


def _closed_for(
    facts: Facts,
    closed: list[tuple[ast.Compare, ast.expr]],
    function: ast.AST | None,
    names: frozenset[str],
) -> ast.Compare | None:
    for node, tested in closed:
        same = facts.module_of(node).function_of(node) is function
        if same and isinstance(tested, ast.Name) and tested.id in names:
            return node
    return None


def _returned(function: ast.AST, names: frozenset[str]) -> set[int]:
    """The places of ``names`` in the tuple that a function returns."""
    returned = [n.value for n in walk(function) if isinstance(n, ast.Return)]
    rows = [v.elts if isinstance(v, ast.Tuple) else [v] for v in returned]
    return {i for row in rows for i, e in enumerate(row) if isinstance(e, ast.Name) and e.id in names}


def _unpacked(facts: Facts, call: ast.Call, places: set[int]) -> frozenset[str]:
    parent = facts.module_of(call).parents.get(call)
    targets = parent.targets if isinstance(parent, ast.Assign) else []
    rows = [t.elts if isinstance(t, ast.Tuple) else [t] for t in targets]
    return frozenset(
        e.id for row in rows for i, e in enumerate(row) if i in places and isinstance(e, ast.Name)
    )


def _results(facts: Facts, call: ast.Call) -> frozenset[str]:
    parent = facts.module_of(call).parents.get(call)
    if not isinstance(parent, ast.Assign):
        return frozenset()
    return frozenset(n.id for t in parent.targets for n in walk(t) if isinstance(n, ast.Name))


def _closed(charges: Charges) -> Iterator[tuple[ast.Compare, ast.expr]]:
    """Comparisons behind the charges whose bound no probability reaches, with the tested side."""
    for node in charges.traced:
        if not isinstance(node, ast.Compare) or len(node.ops) != 1:
            continue
        left, right = node.left, node.comparators[0]
        if isinstance(node.ops[0], _ABOVE) and _above_one(charges.facts, right):
            yield node, left
        elif isinstance(node.ops[0], _BELOW) and _above_one(charges.facts, left):
            yield node, right


def _above_one(facts: Facts, node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and len(node.args) == 1:  # np.float32(tau)
        node = node.args[0]
    value = facts.constant(node)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 1
