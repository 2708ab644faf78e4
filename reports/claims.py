"""The table of claims: what submission.json, README and logs say, next to what we recomputed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports import words
from reports.text import number, plain, shorten

_SOURCE_ORDER = ("submission.json", "README", "log", "recomputed")
_DIGITS = 5  # scores are claimed and compared to the fifth decimal
_HIDDEN = frozenset({"replay", "fix", "learned_line", "scored_line", "headline"})  # said elsewhere


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text: ``head`` names the sources, each row starts with the quantity."""

    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def table(claims: Mapping[str, Any]) -> Table:
    """Lay out ``{source: {quantity: value}}``; quantities in the order in which they first appear.

    ``train_seconds`` of one source and ``train seconds`` of another are the same quantity.
    """
    sources = {
        words.SOURCES.get(k, k): {_quantity(str(q)): value for q, value in v.items()}
        for k, v in claims.items()
        if isinstance(v, Mapping) and v
    }
    names = sorted(sources, key=lambda s: (words.rank(s, _SOURCE_ORDER), s))
    quantities = dict.fromkeys(q for name in names for q in sources[name])
    rows = tuple((q, *(_value(sources[n].get(q), _DIGITS) for n in names)) for q in quantities)
    return Table(tuple(names), rows)


def _quantity(name: str) -> str:
    """``bytes_total`` -> ``bytes total``; the names that logs print stay as they are."""
    return re.sub(r"(?<!\bval)_", " ", name)


def _value(value: object, digits: int = 4) -> str:
    if isinstance(value, Mapping):
        pairs = sorted(value.items(), key=lambda pair: _natural(str(pair[0])))
        return shorten(", ".join(f"{plain(str(k))}: {number(v, digits)}" for k, v in pairs), 120)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return shorten(", ".join(number(v, digits) for v in value), 120)
    return number(value, digits)


def _natural(name: str) -> tuple[int, str]:
    """Seeds by their number, so that the columns of two sources can be compared."""
    return (int(name), "") if name.isdecimal() and len(name) < 20 else (0, name)


def facts(data: Mapping[str, Any], limit: int = 8) -> list[tuple[str, str]]:
    """The small values of a finding's evidence, as (name, value); series are for pictures."""
    return [
        (str(key).replace("_", " "), _value(value))
        for key, value in data.items()
        if key not in _HIDDEN and _small(value)
    ][:limit]


def _small(value: object) -> bool:
    if isinstance(value, Mapping):
        return len(value) <= 4 and all(_scalar(v) for v in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return len(value) <= 6 and all(_scalar(v) for v in value)
    return _scalar(value)


def _scalar(value: object) -> bool:
    return value is not None and isinstance(value, str | int | float | bool)
