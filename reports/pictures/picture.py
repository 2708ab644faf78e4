"""What a picture is: a drawing, a sentence that says the same, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports.shape_v1 import Audit

MOST_ROWS = 60  # of the table behind a picture; the whole series is in audit.json


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure of the report. ``description`` stands in for the drawing; ``rows`` are its numbers."""

    name: str
    title: str
    description: str
    svg: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def thin(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """At most MOST_ROWS rows, evenly chosen."""
    step = max(1, -(-len(rows) // MOST_ROWS))
    return tuple(rows[::step])


def numbers(value: object) -> list[float] | None:
    """A list of finite numbers, or None: the JSON is not trusted to hold what it should."""
    if not isinstance(value, list | tuple) or len(value) < 2:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e300 for v in value):
        return None
    return [float(v) for v in value]


def experiments(audit: Audit, *keys: str) -> Iterable[Mapping[str, Any]]:
    """The data of every experiment and counterexample that has all of the keys, itself or one level down."""
    found = [experiment.data for experiment in audit.run.experiments]
    found += [finding.evidence.data for rule in audit.rules for finding in rule.findings]
    for data in found:
        inner = [value for value in data.values() if isinstance(value, Mapping)]
        yield from (d for d in (data, *inner) if all(key in d for key in keys))
