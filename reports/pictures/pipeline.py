"""The entry pipeline in the order things run, with the steps that findings lie in marked."""

from __future__ import annotations

from reports.pictures import svg
from reports.pictures.picture import Picture
from reports.shape_v1 import Audit, Stage
from reports.text import plain, shorten

_BOX, _GAP, _LEFT, _WIDTH = 40, 22, 150, 420
_MOST = 24


def draw(audit: Audit) -> Picture | None:
    """Boxes from top to bottom; the offending path is drawn thick and named."""
    stages = audit.figures.pipeline[:_MOST]
    if len(stages) < 2:
        return None
    bad = [_offends(audit, s) for s in stages]
    title = "The entry pipeline"
    marked = dict.fromkeys(plain(s.name) for s, b in zip(stages, bad, strict=True) if b)
    description = f"{len(stages)} steps in the order in which they run." + (
        f" Findings lie in: {', '.join(marked)}." if marked else " No finding lies in any of them."
    )
    height = len(stages) * (_BOX + _GAP) - _GAP + 16
    first, last = (bad.index(True), len(bad) - 1 - bad[::-1].index(True)) if any(bad) else (-1, -1)
    parts = [_arrow(n, first <= n < last) for n in range(len(stages) - 1)]
    parts += [_stage(n, s, b) for n, (s, b) in enumerate(zip(stages, bad, strict=True))]
    rows = tuple(
        (plain(s.name), plain(s.role), f"{plain(s.path)}:{s.line}", "finding" if b else "")
        for s, b in zip(stages, bad, strict=True)
    )
    drawn = svg.drawing("pipeline", title, description, height, *parts)
    return Picture("pipeline", title, description, drawn, ("Step", "Role", "Place", "Finding"), rows)


def _offends(audit: Audit, stage: Stage) -> bool:
    accused = {f.fingerprint for r in audit.rules if r.verdict in {"FAIL", "REVIEW"} for f in r.findings}
    return any(f in accused for f in stage.fingerprints)


def _top(number: int) -> float:
    return 8 + number * (_BOX + _GAP)


def _stage(number: int, stage: Stage, bad: bool) -> str:
    top = _top(number)
    where = f"{plain(stage.path).rsplit('/', 1)[-1]}:{stage.line}" if stage.path else ""
    return svg.tag(
        "g",
        svg.tag(
            "rect", x=_LEFT, y=top, width=_WIDTH, height=_BOX, rx=6, class_="box bad-box" if bad else "box"
        ),
        svg.tag(
            "text", shorten(plain(stage.role), 18), x=_LEFT - 10, y=top + 25, text_anchor="end", class_="axis"
        ),
        svg.tag("text", shorten(plain(stage.name), 52), x=_LEFT + 12, y=top + 25),
        svg.tag("text", shorten(where, 24), x=_LEFT + _WIDTH + 10, y=top + 25, class_="axis"),
    )


def _arrow(number: int, bad: bool) -> str:
    x, top = _LEFT + _WIDTH / 2, _top(number) + _BOX
    shaft = svg.tag(
        "line", x1=x, x2=x, y1=top, y2=top + _GAP - 6, class_="arrow bad-arrow" if bad else "arrow"
    )
    tip = f"{x - 5:g},{top + _GAP - 7:g} {x + 5:g},{top + _GAP - 7:g} {x:g},{top + _GAP - 1:g}"
    return svg.tag("g", shaft, svg.tag("polygon", points=tip, class_="tip bad-tip" if bad else "tip"))
