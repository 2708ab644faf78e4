"""The record table: which score a submission of a given day had to beat."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).parent / "records.toml"
MARGIN_NATS = 0.005  # nats per token that a record must gain (README of the challenge)
WRITTEN_P = 0.01  # significance that the README asks for
PRACTISED_P = 0.25  # significance that organizers applied to the chronological frontier (#1900, #1902)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the leaderboard: its day, its val_bpb, and the val_bpb of each logged seed."""

    on: date
    bpb: float
    seeds: tuple[float, ...] = ()
    pr: int | None = None


@lru_cache(maxsize=1)
def load() -> tuple[Record, ...]:
    """Read the table in the order of days, the best score of a day last."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["record"]
    records = (Record(r["on"], float(r["bpb"]), tuple(r.get("seeds", ())), r.get("pr")) for r in rows)
    return tuple(sorted(records, key=lambda r: (r.on, -r.bpb)))


def contested(as_of: date, *stated: object) -> date:
    """The earliest of ``as_of`` and the days that a submission states; texts that are no date are skipped.

    The head may have been touched much later than the day on which the record was claimed.
    """
    days = [as_of]
    for text in stated:
        try:
            days.append(date.fromisoformat(str(text)[:10]))
        except ValueError:
            continue
    return min(days)


def incumbent(before: date) -> Record | None:
    """The best record that was public before a day; None before the first."""
    earlier = [r for r in load() if r.on < before]
    return min(earlier, key=lambda r: r.bpb, default=None)
