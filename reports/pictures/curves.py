"""Losses by training step, as the logs print them."""

from __future__ import annotations

import math

from reports.pictures import svg
from reports.pictures.picture import Picture, thin
from reports.shape_v1 import Audit, Curve
from reports.text import plain, shorten

HEIGHT = 300
_CLASSES = ("series1", "series2", "series3", "series4")


def draw(audit: Audit) -> Picture | None:
    """One line for each log, at most four."""
    curves = [c for c in audit.figures.curves if _sound(c)][: len(_CLASSES)]
    if not curves:
        return None
    x = svg.horizontal([v for c in curves for v in c.x])
    y = svg.vertical([v for c in curves for v in c.y], HEIGHT)
    title = "Losses in the logs"
    ends = "; ".join(f"{plain(c.name)} from {c.y[0]:.3f} to {c.y[-1]:.3f}" for c in curves)
    description = f"Loss in nats per token by training step: {ends}."
    lines = [
        svg.polyline([(x(a), y(b)) for a, b in zip(c.x, c.y, strict=True)], f"line {_CLASSES[n]}")
        for n, c in enumerate(curves)
    ]
    key = svg.legend([(_CLASSES[n], shorten(plain(c.name), 24)) for n, c in enumerate(curves)])
    frame = svg.axes(x, y, HEIGHT, "training step", "nats per token")
    rows = [(plain(c.name), f"{a:,.0f}", f"{b:.4f}") for c in curves for a, b in zip(c.x, c.y, strict=True)]
    drawn = svg.drawing("curves", title, description, HEIGHT, frame, *lines, key)
    return Picture("curves", title, description, drawn, ("Log", "Step", "Loss"), thin(rows))


def _sound(curve: Curve) -> bool:
    return len(curve.x) == len(curve.y) > 1 and all(map(math.isfinite, (*curve.x, *curve.y)))
