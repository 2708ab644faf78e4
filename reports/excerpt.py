"""Excerpts: the lines around a place, with the column that matters kept in sight."""

from __future__ import annotations

from dataclasses import dataclass

from reports.shape_v1 import Finding, Place
from reports.text import visible

WIDTH = 100
MOST_LINES = 12
MOST_LEAD = 2
MOST_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an excerpt. ``number`` 0 means unknown; ``caret`` counts from 0, -1 means none."""

    number: int
    text: str
    caret: int = -1


def excerpt_lines(place: Finding | Place, width: int = WIDTH) -> tuple[Line, ...]:
    """Split an excerpt into numbered lines without their common indentation, the lead before it.

    Lines longer than ``width`` are cut around the column of the place.
    """
    raw = _split(place.excerpt)
    if raw == [""]:
        return ()
    lead = _split(place.lead)[-MOST_LEAD:] if place.lead and place.line > 1 else []
    raw = lead + raw
    kept = raw[:MOST_LINES]
    indent = min((len(t) - len(t.lstrip()) for t in kept if t.strip()), default=0)
    lines = [_line(place, offset - len(lead), text, indent, width) for offset, text in enumerate(kept)]
    if len(raw) > len(kept):
        lines.append(Line(0, f"… {len(raw) - len(kept)} more lines"))
    return tuple(lines)


def _split(text: str) -> list[str]:
    return visible(text[:MOST_CHARACTERS], keep_newlines=True).strip("\n").split("\n")


def _line(place: Finding | Place, offset: int, text: str, indent: int, width: int) -> Line:
    number = max(0, place.line + offset) if place.line else 0
    marked = offset == 0 and place.line > 0
    caret = _caret(place.column, text) - indent if marked else -1
    return Line(number, *_window(text[indent:], caret, width))


def _caret(column: int, text: str) -> int:
    """Where the place is in its line. An excerpt without indentation begins at the place itself."""
    indent = len(text) - len(text.lstrip())
    return column - 1 if indent < column <= len(text) and indent else indent


def _window(text: str, caret: int, width: int) -> tuple[str, int]:
    """Cut ``text`` to ``width`` characters around ``caret``; return it with the moved caret."""
    if len(text) <= width:
        return text, caret
    start = max(0, min(caret - width // 3, len(text) - width)) if caret >= 0 else 0
    cut = text[start : start + width]
    cut = ("…" + cut[1:] if start else cut)[:width]
    if start + width < len(text):
        cut = cut[:-1] + "…"
    return cut, caret - start if caret >= 0 else -1
