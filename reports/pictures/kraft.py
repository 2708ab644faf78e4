"""The Kraft sum Z by position: 1 for a code, above 1 for a score that no code reaches."""

from __future__ import annotations

import math
from collections.abc import Callable

from reports.pictures import svg
from reports.pictures.picture import Picture, experiments, numbers, thin
from reports.shape_v1 import Audit

HEIGHT = 260
LOGARITHMIC = 10.0  # a Z beyond this flattens everything else


def draw(audit: Audit) -> Picture | None:
    """Z against validation position, with the line at 1 and the tolerance."""
    for data in experiments(audit, "positions", "z"):
        positions, sums = numbers(data["positions"]), numbers(data["z"])
        if positions and sums and len(positions) == len(sums):
            return _draw(positions, sums, _tolerance(data.get("tolerance")))
    return None


def _tolerance(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 1 else 0.02


def _draw(positions: list[float], sums: list[float], tolerance: float) -> Picture:
    high = [p for p, z in zip(positions, sums, strict=True) if z > 1 + tolerance]
    peak = max(sums)
    where = positions[sums.index(peak)]
    description = (
        f"Sum of the probabilities of all tokens at {len(sums)} positions; a code length needs 1. "
        f"{len(high)} are above {1 + tolerance:g} (the band allows for the noise of the estimate); "
        f"the largest is {peak:.4g} at position {where:,.0f}"
        + (f", which fakes {math.log2(peak):.2f} bits." if peak > 1 + tolerance else ".")
    )
    x, (y, shown) = svg.horizontal(positions), _upright(sums)
    dots = [
        svg.tag("circle", cx=x(p), cy=y(shown(z)), r=3, class_="bad" if z > 1 + tolerance else "series1")
        for p, z in zip(positions, sums, strict=True)
    ]
    band = svg.tag(
        "rect",
        x=svg.LEFT,
        width=svg.WIDTH - svg.LEFT - svg.RIGHT,
        y=y(shown(1 + tolerance)),
        height=max(y(shown(1 - tolerance)) - y(shown(1 + tolerance)), 1),
        class_="band",
    )
    one = svg.tag(
        "line", x1=svg.LEFT, x2=svg.WIDTH - svg.RIGHT, y1=y(shown(1)), y2=y(shown(1)), class_="rule"
    )
    frame = svg.axes(x, y, HEIGHT, "validation position", "Z" if shown is float else "log10 Z")
    title = "Kraft sum by position"
    rows = [(f"{p:,.0f}", f"{z:.5g}") for p, z in zip(positions, sums, strict=True)]
    drawn = svg.drawing("kraft", title, description, HEIGHT, frame, band, one, *dots)
    return Picture("kraft", title, description, drawn, ("Position", "Z"), thin(rows))


def _upright(sums: list[float]) -> tuple[svg.Scale, Callable[[float], float]]:
    """The scale of Z and what is put on it: Z itself, or its logarithm where it spans magnitudes."""
    if max(sums) <= LOGARITHMIC or min(sums) <= 0:
        return svg.vertical([*sums, 0.9, 1.1], HEIGHT), float
    return svg.vertical([*map(math.log10, sums), -0.1, 0.1], HEIGHT), _log10


def _log10(value: float) -> float:
    return math.log10(max(value, 1e-3))
