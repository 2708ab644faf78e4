"""The queue: every head of a sweep in one page and one database, made from ``results.jsonl``."""

from __future__ import annotations

from pathlib import Path

from reports.queue import changes, database, page
from reports.queue.rows import read_rows, same_lineage

RESULTS, DATABASE, PAGE = "results.jsonl", "queue.sqlite", "index.html"


def write_queue(out: Path) -> list[Path]:
    """Write ``index.html`` and ``queue.sqlite`` next to ``results.jsonl``; return their paths.

    What changed is told against the database that an earlier sweep left in the same folder.
    """
    rows = same_lineage(read_rows(out / RESULTS))
    rows = changes.compare(rows, changes.earlier(out / DATABASE))
    database.write(rows, out / DATABASE)
    (out / PAGE).write_bytes(page.render(rows))
    return [out / PAGE, out / DATABASE]
