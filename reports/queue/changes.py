"""What changed since the sweep before: a new verdict, a new commit, a new or vanished head."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from reports.queue.rows import Row


class Past(NamedTuple):
    """One head in the earlier database: its verdict and commit then, and what had been before that."""

    verdict: str
    head: str
    was: str = ""
    was_head: str = ""


Earlier = Mapping[int, Past]
_NEW = Past("new", "")
_PASTS = "SELECT pr, verdict, coalesce(head, ''), was_verdict, was_head FROM audits WHERE pr IS NOT NULL"


def earlier(database: Path) -> Earlier:
    """What each pull request had in the database that an earlier sweep left; empty without one."""
    if not database.exists():
        return {}
    try:
        with closing(sqlite3.connect(database)) as db:
            rows = db.execute(_PASTS).fetchall()
    except sqlite3.DatabaseError:
        return {}
    return {int(pr): Past(*map(str, past)) for pr, *past in rows}


def compare(rows: list[Row], before: Earlier) -> list[Row]:
    """Give each row the verdict and commit of the earlier sweep; ``new`` for one it did not have.

    A sweep that only repeats the earlier one goes on telling what that one had changed.
    """
    if not before:
        return rows
    pasts = [before.get(row.pr, _NEW) if row.pr is not None else _NEW for row in rows]
    repeated = all(past[:2] == (row.verdict, row.head or "") for row, past in zip(rows, pasts, strict=True))
    return [
        _with_earlier(row, past[2:] if repeated else past[:2]) for row, past in zip(rows, pasts, strict=True)
    ]


def _with_earlier(row: Row, was: tuple[str, str]) -> Row:
    return replace(row, was=was[0], was_head=was[1])
