"""The loss charged at each position before and after the counterexample's change."""

from __future__ import annotations

from reports.pictures import svg
from reports.pictures.picture import Picture, experiments, numbers, thin
from reports.shape_v1 import Audit

HEIGHT = 280
STRIP = 90  # the differences, which are often too small to tell two curves apart


def draw(audit: Audit) -> Picture | None:
    """Two lines over validation positions and their difference; what moves left of the change is a leak."""
    for data in experiments(audit, "positions", "before", "after"):
        series = [numbers(data[key]) for key in ("positions", "before", "after")]
        x, before, after = series
        if x and before and after and len(x) == len(before) == len(after):
            changed = data.get("changed_position")
            return _draw(x, before, after, float(changed) if isinstance(changed, int | float) else None)
    return None


def _draw(where: list[float], before: list[float], after: list[float], changed: float | None) -> Picture:
    moved = [abs(a - b) for a, b in zip(before, after, strict=True)]
    earlier = [m for p, m in zip(where, moved, strict=True) if changed is not None and p < changed and m]
    title = "Loss before and after the change"
    description = (
        f"Loss charged at {len(where)} positions, in nats. "
        + (f"The token at position {changed:,.0f} was changed. " if changed is not None else "")
        + f"{sum(m > 0 for m in moved)} losses moved, the largest by {max(moved):.4g}; "
        + (f"{len(earlier)} of them before the change." if changed is not None else "")
    )
    x, y = svg.horizontal(where), svg.vertical([*before, *after], HEIGHT)
    parts = [
        svg.axes(x, y, HEIGHT, "validation position", "nats"),
        svg.polyline([(x(p), y(v)) for p, v in zip(where, before, strict=True)], "line series1"),
        svg.polyline([(x(p), y(v)) for p, v in zip(where, after, strict=True)], "line series2 dashed"),
        svg.legend([("series1", "before"), ("series2", "after"), ("bad", "difference, below")]),
        *_strip(x, where, [b - a for a, b in zip(before, after, strict=True)]),
    ]
    if changed is not None:
        parts += _mark(x(changed))
    rows = [(f"{p:,.0f}", f"{b:.4f}", f"{a:.4f}") for p, b, a in zip(where, before, after, strict=True)]
    drawn = svg.drawing("losses", title, description, HEIGHT + STRIP, *parts)
    return Picture("losses", title, description, drawn, ("Position", "Before", "After"), thin(rows))


def _strip(x: svg.Scale, where: list[float], moved: list[float]) -> list[str]:
    """The differences on a scale of their own, each a stem from zero."""
    most = max(map(abs, moved)) or 1.0
    y = svg.Scale(-most, most, HEIGHT + STRIP - 8, HEIGHT + 8)
    zero = svg.tag("line", x1=svg.LEFT, x2=svg.WIDTH - svg.RIGHT, y1=y(0), y2=y(0), class_="grid")
    names = [
        svg.tag("text", f"{v:+.2g}" if v else "0", x=svg.LEFT - 8, y=y(v) + 4, text_anchor="end")
        for v in (-most, 0.0, most)
    ]
    stems = [
        svg.tag("rect", x=x(p) - 1.5, y=min(y(m), y(0)), width=3, height=abs(y(m) - y(0)), class_="bad")
        for p, m in zip(where, moved, strict=True)
        if m
    ]
    return [zero, *names, *stems]


def _mark(at: float) -> list[str]:
    """The position of the change, named on the side where there is room."""
    right = at > svg.WIDTH / 2
    line = svg.tag("line", x1=at, x2=at, y1=svg.TOP, y2=HEIGHT + STRIP - 8, class_="rule")
    place = {"x": at - 5 if right else at + 5, "text_anchor": "end" if right else "start"}
    return [line, svg.tag("text", "changed here", y=svg.TOP + 12, **place)]
