"""Space counted twice: take the leading space out of the byte table; the accumulator adds it.

The canonical table of #1019 strips the leading U+2581 and counts the rest in UTF-8. Two ways of
getting it wrong are mechanical: turning U+2581 into a space before counting, and adding one.
"""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from libcst.metadata import CodeRange, PositionProvider

from checkers.finding import Finding
from reports.fixes.edit import Edit, parse

_BAR = "\u2581"
_ENCODED = m.Call(func=m.Name("len"), args=[m.Arg(m.Call(func=m.Attribute(attr=m.Name("encode"))))])
_DESCRIPTION = "The table no longer counts the leading space, which the accumulator adds."


def count_once(source: str, finding: Finding) -> Edit | None:
    """Strip the leading U+2581 in the table that the finding, or one of its related places, points at."""
    wrapper = parse(source)
    if wrapper is None:
        return None
    places = (p for p in (finding.where, *finding.related) if p.path == finding.where.path and p.line)
    transformer = _Strip([(p.line, max(p.line, p.end_line)) for p in places])
    changed = wrapper.visit(transformer)
    return Edit(changed.code, _DESCRIPTION) if transformer.changes == 1 else None


class _Strip(cst.CSTTransformer):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        super().__init__()
        self._spans = spans
        self.changes = 0

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:  # noqa: N802
        """``piece.replace("\u2581", " ")`` becomes ``piece.removeprefix("\u2581")``."""
        if not self._here(original_node) or not _replaces_bar(original_node):
            return updated_node
        self.changes += 1
        function = cst.ensure_type(updated_node.func, cst.Attribute)
        stripped = function.with_changes(attr=cst.Name("removeprefix"))
        first = updated_node.args[0].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return updated_node.with_changes(func=stripped, args=[first])

    def leave_BinaryOperation(  # noqa: N802
        self, original_node: cst.BinaryOperation, updated_node: cst.BinaryOperation
    ) -> cst.BaseExpression:
        """``len(piece[1:].encode()) + 1`` becomes ``len(piece[1:].encode())``."""
        added = m.BinaryOperation(left=_ENCODED, operator=m.Add(), right=m.Integer("1"))
        if not self._here(original_node) or not m.matches(original_node, added):
            return updated_node
        self.changes += 1
        return updated_node.left

    def _here(self, node: cst.CSTNode) -> bool:
        place = self.get_metadata(PositionProvider, node)
        assert isinstance(place, CodeRange)
        return any(a <= place.end.line and place.start.line <= b for a, b in self._spans)


def _replaces_bar(node: cst.Call) -> bool:
    if not m.matches(node.func, m.Attribute(attr=m.Name("replace"))) or len(node.args) != 2:
        return False
    return [_literal(arg.value) for arg in node.args] == [_BAR, " "]


def _literal(node: cst.BaseExpression) -> object:
    return node.evaluated_value if isinstance(node, cst.SimpleString) else None
