"""Losses by training step, as the logs print them."""

from __future__ import annotations

import math

from reports.pictures import svg
from reports.pictures.picture import Picture, thin
from reports.shape_v1 import Audit, Curve
from reports.text import plain, shorten

HEIGHT = 300
MOST_DOTS = 60  # of a curve; where there are few points, the line between them is only a guess
_CLASSES = ("series1", "series2", "series3", "series4")


def draw(audit: Audit) -> Picture | None:
    """One line for each log, at most four."""
    curves = [c for c in audit.figures.curves if _sound(c)][: len(_CLASSES)]
    if not curves:
        return None
    x = svg.horizontal([v for c in curves for v in c.x])
    y = svg.vertical([v for c in curves for v in c.y], HEIGHT)
    title = "Losses in the logs"
    names = _names(curves)
    ends = "; ".join(
        f"{name} from {c.y[0]:.3f} to {c.y[-1]:.3f}" for name, c in zip(names, curves, strict=True)
    )
    description = f"Validation loss in nats per token by training step: {ends}."
    lines = [
        svg.polyline([(x(a), y(b)) for a, b in zip(c.x, c.y, strict=True)], f"line {_CLASSES[n]}")
        for n, c in enumerate(curves)
    ]
    dots = [
        svg.tag("circle", cx=x(a), cy=y(b), r=2.5, class_=_CLASSES[n])
        for n, c in enumerate(curves)
        if len(c.x) <= MOST_DOTS
        for a, b in zip(c.x, c.y, strict=True)
    ]
    key = svg.legend([(_CLASSES[n], shorten(name, 24)) for n, name in enumerate(names)])
    frame = svg.axes(x, y, HEIGHT, "training step", "nats per token")
    rows = [
        (name, f"{a:,.0f}", f"{b:.4f}")
        for name, c in zip(names, curves, strict=True)
        for a, b in zip(c.x, c.y, strict=True)
    ]
    drawn = svg.drawing("curves", title, description, HEIGHT, frame, *lines, *dots, key)
    return Picture("curves", title, description, drawn, ("Log", "Step", "Loss"), thin(rows))


def _names(curves: list[Curve]) -> list[str]:
    """Names by which curves can be told apart: several logs of one seed are named by file, too."""
    names = [plain(c.name) for c in curves]
    files = [plain(c.path).rsplit("/", 1)[-1] for c in curves]
    return [
        f"{n}, {f}" if f and n != f and names.count(n) > 1 else n for n, f in zip(names, files, strict=True)
    ]


def _sound(curve: Curve) -> bool:
    return len(curve.x) == len(curve.y) > 1 and all(map(math.isfinite, (*curve.x, *curve.y)))
