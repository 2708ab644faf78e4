"""The JSON that GitHub's "create a review for a pull request" takes.

Post it with the GitHub CLI (`docs/reading.md` says when):

    gh api repos/openai/parameter-golf/pulls/N/reviews --method POST --input review.json

The event is always COMMENT: a program neither approves nor blocks. GitHub takes inline comments on
changed lines only, so a finding becomes one where its file was added by the pull request; the others
are in the body.
"""

from __future__ import annotations

import json
from typing import Any

from reports import markdown, view
from reports.items import Item
from reports.shape_v1 import Audit, Fix
from reports.text import code, md, verbatim

MOST_COMMENTS = 30
_ADDED = frozenset({"added", "present"})


def render(audit: Audit) -> bytes:
    """The review as indented JSON."""
    return (json.dumps(review(audit), indent=1, ensure_ascii=False) + "\n").encode(
        "utf-8", "backslashreplace"
    )


def review(audit: Audit) -> dict[str, Any]:
    """The body of the request: ``commit_id`` (if known), ``event``, ``body`` and ``comments``."""
    shown = view.build(audit)
    added = {f.path for f in audit.files if f.change in _ADDED}
    corrected = [i for i in shown.remarks if i.fix]
    inline = [i for i in (*shown.items, *corrected) if _commentable(i, added)][:MOST_COMMENTS]
    made: dict[str, Any] = {
        "event": "COMMENT",
        "body": markdown.comment(audit),
        "comments": [_comment(item) for item in _one_per_line(inline)],
    }
    return {"commit_id": audit.head, **made} if audit.head else made


def _commentable(item: Item, added: set[str]) -> bool:
    spot = item.spot
    packed = spot.layer is not None and spot.layer != spot.path
    said = item.verdict in {"FAIL", "REVIEW"} or item.fix is not None
    return said and spot.line > 0 and not packed and spot.path in added


def _one_per_line(items: list[Item]) -> list[list[Item]]:
    """Findings on the same line share a comment; worst first within it and among comments."""
    grouped: dict[tuple[str, int], list[Item]] = {}
    for item in items:
        grouped.setdefault((item.spot.path, item.spot.line), []).append(item)
    return list(grouped.values())


def _comment(items: list[Item]) -> dict[str, Any]:
    spot = items[0].spot
    body = "\n\n".join(_remark(item) for item in items)
    fix = next((i.fix for i in items if i.fix and i.fix.path == spot.path), None)
    if fix is None:
        return {"path": spot.path, "line": spot.line, "side": "RIGHT", "body": body}
    place: dict[str, Any] = {"path": spot.path, "line": fix.end_line, "side": "RIGHT"}
    if fix.start_line < fix.end_line:
        place |= {"start_line": fix.start_line, "start_side": "RIGHT"}
    return {**place, "body": f"{body}\n\n{_suggestion(fix)}"}


def _remark(item: Item) -> str:
    said = [f"**{md(item.title)}** ({code(item.rule)}, {item.strength}, {item.sure})", md(item.message)]
    said += [f"{md(item.proof)}"] if item.proof else []
    said += [f"{code(s.where)}: {md(s.caption)}" for s in item.related if s.caption]
    said += [f"Reached: {md(item.reach)}"] if item.reach else []
    said += [f"Remedy: {md(item.remedy)}"] if item.remedy else []
    return "\n\n".join(said)


def _suggestion(fix: Fix) -> str:
    cleared = ", ".join(code(rule) for rule in fix.cleared)
    return (
        f"{md(fix.description)} The audit was repeated with this change, and {cleared} no longer fires.\n\n"
        + verbatim(fix.replacement, "suggestion")
    )
