"""The loss charged at each position before and after the counterexample's change."""

from __future__ import annotations

from reports.pictures import svg
from reports.pictures.picture import Picture, experiments, numbers, thin
from reports.shape_v1 import Audit

HEIGHT = 280


def draw(audit: Audit) -> Picture | None:
    """Two lines over validation positions; whatever moves left of the change is a leak."""
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
        svg.legend([("series1", "before"), ("series2", "after")]),
    ]
    if changed is not None:
        at = x(changed)
        parts.append(svg.tag("line", x1=at, x2=at, y1=svg.TOP, y2=HEIGHT - svg.BOTTOM, class_="rule"))
        parts.append(svg.tag("text", "changed here", x=at + 5, y=HEIGHT - svg.BOTTOM - 6))
    rows = [(f"{p:,.0f}", f"{b:.4f}", f"{a:.4f}") for p, b, a in zip(where, before, after, strict=True)]
    drawn = svg.drawing("losses", title, description, HEIGHT, *parts)
    return Picture("losses", title, description, drawn, ("Position", "Before", "After"), thin(rows))
