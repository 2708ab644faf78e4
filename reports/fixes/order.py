"""Update before score: move the update behind the score where nothing in between needs it."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m

from checkers.finding import Finding
from reports.fixes.edit import Block, Edit, blocks, names, parse, updates, with_body

_DESCRIPTION = "The update now follows the score of the same tokens."


def update_after_score(source: str, finding: Finding) -> Edit | None:
    """Swap update and score where both stand in one block and the update comes first.

    The finding's place is the score (or the update), its first related place in the same file the
    other. Nothing is offered if the score reads a name that the update assigns.
    """
    other = next((p for p in finding.related if p.path == finding.where.path and p.line), None)
    wrapper = parse(source) if other else None
    if wrapper is None or other is None:
        return None
    update, score = sorted((finding.where.line, other.line))
    block = next(reversed(blocks(wrapper, update, score)), None)
    body = _moved(wrapper.module, block, update, score) if block else None
    return Edit(with_body(wrapper, block, body), _DESCRIPTION) if block and body else None


def _moved(module: cst.Module, block: Block, update: int, score: int) -> list[cst.BaseStatement] | None:
    statements = [s for s in block.node.body if isinstance(s, cst.BaseStatement)]
    end, goal = block.index(update), block.index(score)
    if end is None or goal is None or end >= goal or len(statements) != len(block.spans):
        return None
    start = _start_of_update(statements, end)
    moving, between = statements[start : end + 1], statements[end + 1 : goal + 1]
    written = {name for s in moving for name in names(s)[1]}
    needed = {name for s in between for name in names(s)[0]}
    if written & needed or not any(updates(s, module) for s in moving):
        return None
    return [*statements[:start], *between, *moving, *statements[goal + 1 :]]


def _start_of_update(statements: list[cst.BaseStatement], end: int) -> int:
    """The first statement of the update: a flat one reaches back over ``backward`` to the loss."""
    if not m.matches(statements[end], m.SimpleStatementLine()):
        return end
    start = end
    wanted: set[str] = set()
    for number in range(end, -1, -1):
        written = names(statements[number])[1]
        if number == end or _belongs(statements[number]) or written & wanted:
            start = number
            wanted |= _backward_names(statements[number])
        else:
            break
    return start


def _belongs(statement: cst.BaseStatement) -> bool:
    called = [m.Name(name) for name in ("backward", "step", "zero_grad", "clip_grad_norm_")]
    return bool(m.findall(statement, m.Call(func=m.Attribute(attr=m.OneOf(*called)))))


def _backward_names(statement: cst.BaseStatement) -> set[str]:
    calls = m.findall(statement, m.Call(func=m.Attribute(value=m.Name(), attr=m.Name("backward"))))
    return {name for call in calls for name in names(call)[0]} - {"backward"}
