"""What must hold for a branch to be taken, as text: equal for ``if not x`` and the ``else`` of ``if x``."""

from __future__ import annotations

import ast
from collections.abc import Callable

_CONTRARY: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Is: ast.IsNot,
    ast.In: ast.NotIn,
    ast.Eq: ast.NotEq,
    ast.IsNot: ast.Is,
    ast.NotIn: ast.In,
    ast.NotEq: ast.Eq,
}


class Conditions:
    """The conditions of branches, each written once: dumping a test takes longer than running it."""

    def __init__(self) -> None:
        self._known: dict[tuple[ast.expr, bool], str] = {}

    def of(self, test: ast.expr, outcome: bool, open_: Callable[[ast.expr], bool]) -> list[str]:
        """What must hold for a test to have an outcome, without those of its parts that are not ``open_``."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self.of(test.operand, not outcome, open_)
        if isinstance(test, ast.BoolOp):
            parts = [p for p in test.values if open_(p)]
            if isinstance(test.op, ast.And) is outcome or len(parts) == 1:
                return [condition for part in parts for condition in self.of(part, outcome, open_)]
        return [self._written(test, outcome)]

    def _written(self, test: ast.expr, outcome: bool) -> str:
        known = self._known.get((test, outcome))
        if known is None:
            known = self._known[test, outcome] = ast.dump(test) if outcome else self._denied(test)
        return known

    def _denied(self, test: ast.expr) -> str:
        """The contrary of a test: ``x is not None`` for ``x is None``."""
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _CONTRARY:
            return ast.dump(ast.Compare(test.left, [_CONTRARY[type(test.ops[0])]()], test.comparators))
        return f"UnaryOp(op=Not(), operand={self._written(test, True)})"


def asks_what_was_kept(condition: str) -> bool:
    """Whether a condition is ``kept is not None`` or ``name in kept``: there is something to restore."""
    if condition.startswith("UnaryOp"):
        return False  # a part of it is denied
    return "ops=[IsNot()]" in condition or ("left=Name(" in condition and "ops=[In()]" in condition)
