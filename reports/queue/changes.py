"""What changed since the sweep before: a new verdict, a new commit, a new or vanished head."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from reports.queue.rows import Row

Earlier = Mapping[int, tuple[str, str]]


def earlier(database: Path) -> Earlier:
    """Verdict and commit by pull request, from the database an earlier sweep left; empty without one."""
    if not database.exists():
        return {}
    try:
        with closing(sqlite3.connect(database)) as db:
            rows = db.execute("SELECT pr, verdict, head FROM audits WHERE pr IS NOT NULL").fetchall()
    except sqlite3.DatabaseError:
        return {}
    return {int(pr): (str(verdict), str(head or "")) for pr, verdict, head in rows}


def compare(rows: list[Row], before: Earlier) -> list[Row]:
    """Give each row the verdict and commit of the earlier sweep; ``new`` for one it did not have."""
    if not before:
        return rows
    return [_with_earlier(row, before.get(row.pr) if row.pr is not None else None) for row in rows]


def _with_earlier(row: Row, before: tuple[str, str] | None) -> Row:
    verdict, head = before or ("new", "")
    return replace(row, was=verdict, was_head=head)
