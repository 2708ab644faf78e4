"""The review comment in Markdown, never longer than GitHub takes."""

from __future__ import annotations

from dataclasses import dataclass

from reports import templating, view
from reports.excerpt import Line
from reports.items import Spot
from reports.shape_v1 import Audit

_OPEN = 3  # rules whose findings a reader sees without unfolding
LIMIT = 65_000  # GitHub refuses comments over 65,536 characters


@dataclass(frozen=True, slots=True)
class Detail:
    """How much a comment shows. ``rulings`` and ``related`` are per finding."""

    findings: int
    excerpt_lines: int
    rulings: int
    related: int
    rules: int


_LEVELS = (
    Detail(findings=30, excerpt_lines=8, rulings=2, related=3, rules=200),
    Detail(findings=20, excerpt_lines=6, rulings=2, related=2, rules=200),
    Detail(findings=10, excerpt_lines=3, rulings=2, related=2, rules=0),
    Detail(findings=5, excerpt_lines=1, rulings=1, related=1, rules=0),
)


def render(audit: Audit) -> bytes:
    """The comment as UTF-8 Markdown of at most 65,000 characters."""
    return comment(audit).encode("utf-8", "backslashreplace")


def comment(audit: Audit) -> str:
    """Write the comment at the fullest level of detail that fits."""
    shown = view.build(audit)
    for detail in _LEVELS:
        text = _write(shown, detail)
        if len(text) <= LIMIT:
            return text
    return _cut(text)


def _write(shown: view.View, detail: Detail) -> str:
    template = templating.markdown().get_template("comment.md.j2")
    return template.render(view=shown, detail=detail, folded=_folded(shown, detail), show=_Once())


def _folded(shown: view.View, detail: Detail) -> int:
    """How many findings stand open; several of further rules are folded, as the opening list names them."""
    items = shown.items[: detail.findings]
    starts = [n for n, item in enumerate(items) if item.first_of_rule]
    return starts[_OPEN] if len(starts) > _OPEN and len(items) - starts[_OPEN] > 1 else len(items)


def _cut(text: str) -> str:
    """Last resort against absurd input: cut at a line, close an open fence, and say so."""
    note = "\n\n*Cut to what GitHub takes; the whole is in the HTML report.*\n"
    kept = text[: LIMIT - len(note) - 80].rpartition("\n")[0]
    fences = [line for line in kept.split("\n") if line.startswith("```")]
    if len(fences) % 2:
        kept += "\n" + "`" * (len(fences[-1]) - len(fences[-1].lstrip("`")))
    return kept + note


class _Once:
    """Shows the excerpt of a place the first time it is asked for, and nothing after that."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, tuple[Line, ...]]] = set()

    def __call__(self, spot: Spot, most: int) -> str:
        if (spot.where, spot.lines) in self._shown or not spot.lines:
            return ""
        self._shown.add((spot.where, spot.lines))
        return show_excerpt(spot.lines, most)


def show_excerpt(lines: tuple[Line, ...], most: int) -> str:
    """An excerpt as plain text with line numbers and a caret under the column that matters."""
    shown = lines[:most]
    digits = max((len(str(line.number)) for line in shown if line.number), default=1)
    out = []
    for line in shown:
        number = str(line.number) if line.number else ""
        out.append(f"{number:>{digits}} | {line.text}".rstrip())
        if line.caret >= 0:
            out.append(f"{'':>{digits}} | {' ' * line.caret}^")
    return "\n".join(out)
