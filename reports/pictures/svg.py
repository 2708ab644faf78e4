"""Just enough SVG: escaped elements, linear scales, axes. No scripts, no fonts, colours by CSS class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 760
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 40


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """One element. Text and attributes are escaped; ``Markup`` children are kept.

    Underscores in attribute names become hyphens, so ``class_`` is ``class`` and ``text_anchor`` is
    ``text-anchor``; numbers are rounded to hundredths.
    """
    said = "".join(f' {_name(key)}="{escape(_value(value))}"' for key, value in attributes.items())
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{said}>{inside}</{name}>" if inside else f"<{name}{said}/>")


def _name(key: str) -> str:
    return key if key in {"viewBox", "preserveAspectRatio"} else key.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data ``[low, high]`` to pixels ``[start, end]``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside are clamped."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def horizontal(values: Sequence[float], pad: float = 0.0) -> Scale:
    """A scale over the drawing's width."""
    low, high = _range(values, pad)
    return Scale(low, high, LEFT, WIDTH - RIGHT)


def vertical(values: Sequence[float], height: float, pad: float = 0.05) -> Scale:
    """A scale over the drawing's height, upwards."""
    low, high = _range(values, pad)
    return Scale(low, high, height - BOTTOM, TOP)


def _range(values: Sequence[float], pad: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * pad or (abs(high) * 0.05 or 1.0 if low == high else 0.0)
    return low - room, high + room


def ticks(scale: Scale, wanted: int = 5) -> list[float]:
    """Round numbers inside the scale, about ``wanted`` of them."""
    span = (scale.high - scale.low) or 1.0
    raw = span / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def axes(x: Scale, y: Scale, height: float, x_label: str, y_label: str) -> Markup:
    """Grid lines with figures, and the names of both quantities."""
    lines = []
    for value in ticks(y):
        at = y(value)
        lines.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at, class_="grid"))
        lines.append(tag("text", figure(value), x=LEFT - 8, y=at + 4, text_anchor="end"))
    lines += [
        tag("text", figure(value), x=x(value), y=height - BOTTOM + 18, text_anchor="middle")
        for value in ticks(x, 7)
    ]
    lines.append(tag("text", x_label, x=WIDTH - RIGHT, y=height - 4, text_anchor="end", class_="axis"))
    turn = f"rotate(-90 14 {TOP})"
    lines.append(tag("text", y_label, x=14, y=TOP, text_anchor="end", transform=turn, class_="axis"))
    return Markup("").join(lines)


def figure(value: float) -> str:
    """A tick's text: as few digits as tell it apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.6g}"


def polyline(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """An open line through pixel positions."""
    return tag("polyline", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in points), class_=class_)


def drawing(name: str, title: str, description: str, height: float, *body: str) -> Markup:
    """The ``svg`` element with its title and description for those who cannot see it."""
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        *body,
        viewBox=f"0 0 {WIDTH} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def legend(entries: Sequence[tuple[str, str]], y: float = TOP - 2) -> Markup:
    """Swatches with names, in a row along the top."""
    made, x = [], float(LEFT)
    for class_, name in entries:
        made.append(tag("rect", x=x, y=y - 8, width=12, height=10, class_=class_))
        made.append(tag("text", name, x=x + 17, y=y + 1))
        x += 34 + 7.2 * len(name)
    return Markup("").join(made)
