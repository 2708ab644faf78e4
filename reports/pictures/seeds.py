"""The seeds against the record, with the mean's 95 % confidence interval (Student's t)."""

from __future__ import annotations

import math
from statistics import mean, stdev

from scipy.special import stdtrit  # scipy.stats has it too, and takes a second to import

from reports.pictures import svg
from reports.pictures.picture import Picture
from reports.shape_v1 import Audit, Seed
from reports.text import plain, shorten

HEIGHT = 190


def draw(audit: Audit) -> Picture | None:
    """A dot for each seed, a bar for the interval, a line at the record to beat."""
    seeds = [s for s in audit.figures.seeds if math.isfinite(s.val_bpb)]
    if len(seeds) < 2:
        return None
    values = [s.val_bpb for s in seeds]
    centre, reach = mean(values), interval(values)
    record = audit.figures.record_bpb
    title = "Seeds against the record" if record is not None else "Seeds"
    description = (
        f"{len(values)} seeds with mean {centre:.5f} bits per byte, 95 % confidence interval "
        f"{centre - reach:.5f} to {centre + reach:.5f}"
        + (f"; the record to beat is {record:.5f}." if record is not None else ".")
    )
    extremes = [*values, centre - reach, centre + reach, *([record] if record is not None else [])]
    x = svg.horizontal(extremes, pad=0.08)
    drawn = svg.drawing("seeds", title, description, HEIGHT, *_marks(seeds, centre, reach, record, x))
    rows = tuple((plain(s.seed), f"{s.val_bpb:.5f}", f"{plain(s.path)}:{s.line}") for s in seeds)
    return Picture("seeds", title, description, drawn, ("Seed", "val_bpb", "Log"), rows)


def interval(values: list[float]) -> float:
    """Half the width of the 95 % interval of the mean."""
    return float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))


def _marks(seeds: list[Seed], centre: float, reach: float, record: float | None, x: svg.Scale) -> list[str]:
    bar, dots = 52.0, 96.0
    made: list[str] = [
        svg.tag("line", x1=x(centre - reach), x2=x(centre + reach), y1=bar, y2=bar, class_="interval"),
        svg.tag("circle", cx=x(centre), cy=bar, r=5, class_="series1"),
        svg.tag("text", f"mean {centre:.5f}", x=x(centre), y=bar - 12, text_anchor="middle"),
    ]
    for number, seed in enumerate(seeds):
        hint = svg.tag("title", f"seed {plain(seed.seed)}: {seed.val_bpb:.5f}")
        at = dots + 14 * (number % 3)
        made.append(svg.tag("circle", hint, cx=x(seed.val_bpb), cy=at, r=5, class_="series2"))
        name = shorten(plain(seed.seed), 14)
        made.append(svg.tag("text", name, x=x(seed.val_bpb) + 9, y=at + 4))
    made += [
        svg.tag("text", svg.figure(value), x=x(value), y=HEIGHT - 22, text_anchor="middle")
        for value in svg.ticks(x, 6)
    ]
    made.append(svg.tag("text", "val_bpb", x=svg.WIDTH - svg.RIGHT, y=HEIGHT - 4, text_anchor="end"))
    if record is not None:
        at = x(record)
        made.append(svg.tag("line", x1=at, x2=at, y1=20, y2=HEIGHT - 40, class_="rule"))
        made.append(svg.tag("text", "record", x=at, y=14, text_anchor="middle"))
    return made
