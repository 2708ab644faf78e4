"""Missing last-chunk guard: training on the last chunk serves no later score (customary since #1413)."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m

from checkers.finding import Finding
from reports.fixes.edit import Edit, blocks, parse, updates, with_body

_DESCRIPTION = "The last chunk is scored and no longer trained on."
_RANGE = m.For(target=m.Name(), iter=m.Call(func=m.Name("range"), args=[m.Arg()]))


def spare_last_chunk(source: str, finding: Finding) -> Edit | None:
    """Put ``if chunk < chunks - 1:`` before the update of a loop ``for chunk in range(chunks)``.

    The finding's place lies in the update, which is one statement of the loop's body.
    """
    wrapper = parse(source)
    if wrapper is None:
        return None
    loops = {loop.body: loop for loop in m.findall(wrapper.module, _RANGE) if isinstance(loop, cst.For)}
    line = finding.where.line
    block = next((b for b in blocks(wrapper, line) if b.node in loops), None)
    number = block.index(line) if block else None
    if block is None or number is None or not isinstance(block.node, cst.IndentedBlock):
        return None
    body = [s for s in block.node.body if isinstance(s, cst.BaseStatement)]
    if isinstance(body[number], cst.If) or not updates(body[number], wrapper.module):
        return None
    body[number] = _guarded(body[number], loops[block.node])
    return Edit(with_body(wrapper, block, body), _DESCRIPTION)


def _guarded(statement: cst.BaseStatement, loop: cst.For) -> cst.If:
    counter = cst.ensure_type(loop.target, cst.Name).value
    bound = cst.Module([]).code_for_node(cst.ensure_type(loop.iter, cst.Call).args[0].value)
    test = cst.parse_expression(
        f"{counter} < {bound} - 1" if bound.isidentifier() else f"{counter} < ({bound}) - 1"
    )
    leading = getattr(statement, "leading_lines", ())
    inner = statement.with_changes(leading_lines=()) if leading else statement
    return cst.If(test=test, body=cst.IndentedBlock([inner]), leading_lines=leading)
