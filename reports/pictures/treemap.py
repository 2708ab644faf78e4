"""The bytes of the artifact as areas, next to what the limit leaves free."""

from __future__ import annotations

from dataclasses import dataclass

from reports.pictures import svg
from reports.pictures.picture import Picture
from reports.shape_v1 import Audit, Part
from reports.text import plain, shorten

HEIGHT = 220


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float


def draw(audit: Audit) -> Picture | None:
    """A treemap of the counted parts; what is not counted is only listed."""
    parts = sorted((p for p in audit.figures.artifact if p.bytes > 0), key=lambda p: -p.bytes)
    counted = [p for p in parts if p.counted]
    if not counted:
        return None
    total, limit = sum(p.bytes for p in counted), audit.figures.artifact_limit
    free = [Part(name="free", bytes=limit - total, counted=False)] if limit > total else []
    shown = sorted([*counted, *free], key=lambda p: -p.bytes)
    boxes = squarify([float(p.bytes) for p in shown], Box(2, 2, svg.WIDTH - 4, HEIGHT - 4))
    cells = [_cell(p, b) for p, b in zip(shown, boxes, strict=True)]
    title = "Bytes of the artifact"
    verdict = f"{limit - total:,} bytes are left" if total <= limit else f"{total - limit:,} bytes too many"
    listed = ", ".join(f"{plain(p.name)} {p.bytes:,}" for p in counted[:6])
    description = f"{total:,} bytes of {limit:,} allowed ({listed}): {verdict}."
    rows = [(plain(p.name), f"{p.bytes:,}", "yes" if p.counted else "no") for p in [*parts, *free]]
    drawn = svg.drawing("bytes", title, description, HEIGHT, *cells)
    return Picture("bytes", title, description, drawn, ("Part", "Bytes", "Counted"), tuple(rows))


def _cell(part: Part, box: Box) -> str:
    class_ = "free" if not part.counted else "cell"
    hint = svg.tag("title", f"{plain(part.name)}: {part.bytes:,} bytes")
    inner = [hint, svg.tag("rect", x=box.x, y=box.y, width=box.width, height=box.height, class_=class_)]
    room = int(box.width / 7.5)
    if room >= 4 and box.height >= 18:
        text = shorten(plain(part.name), room)
        inner.append(svg.tag("text", text, x=box.x + 6, y=box.y + 16, class_="on"))
    if room >= 9 and box.height >= 36:
        inner.append(svg.tag("text", f"{part.bytes:,}", x=box.x + 6, y=box.y + 33, class_="on"))
    return svg.tag("g", *inner)


def squarify(sizes: list[float], box: Box) -> list[Box]:
    """Rectangles with areas proportional to ``sizes`` (largest first), as square as a simple rule gets.

    Rows are filled along the shorter side while the worst aspect ratio improves (Bruls, Huizing and
    van Wijk 2000).
    """
    scale = box.width * box.height / sum(sizes)
    areas, made = [s * scale for s in sizes], []
    while areas:
        side = min(box.width, box.height)
        row = 1
        while row < len(areas) and _worst(areas[: row + 1], side) <= _worst(areas[:row], side):
            row += 1
        placed, box = _lay(areas[:row], box)
        made += placed
        areas = areas[row:]
    return made


def _worst(row: list[float], side: float) -> float:
    depth = sum(row) / side
    return max(max(depth * depth / a, a / (depth * depth)) for a in row)


def _lay(row: list[float], box: Box) -> tuple[list[Box], Box]:
    """Place a row along the shorter side; return it and the box that remains."""
    upright = box.width >= box.height
    depth = sum(row) / (box.height if upright else box.width)
    placed, at = [], 0.0
    for area in row:
        length = area / depth
        if upright:
            placed.append(Box(box.x, box.y + at, depth, length))
        else:
            placed.append(Box(box.x + at, box.y, length, depth))
        at += length
    if upright:
        return placed, Box(box.x + depth, box.y, box.width - depth, box.height)
    return placed, Box(box.x, box.y + depth, box.width, box.height - depth)
