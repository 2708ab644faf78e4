"""The SQLite file of a sweep: documented tables and the views that a reviewer asks for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from reports.queue.rows import Row, RuleRow
from reports.words import condition_short

SCHEMA = Path(__file__).with_name("schema.sql")
VERSION = 1


def write(rows: Iterable[Row], path: Path) -> None:
    """Write the database anew; an older one stays until the new one is complete."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(partial)) as db:
        db.executescript(SCHEMA.read_text(encoding="utf-8"))
        with db:
            db.execute("INSERT INTO meta VALUES ('schema', ?)", (str(VERSION),))
            for number, row in enumerate(rows, 1):
                _insert(db, number, row)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("ANALYZE")
    partial.replace(path)


def _insert(db: sqlite3.Connection, number: int, row: Row) -> None:
    _many(db, "audits", [_audit(number, row)])
    _many(db, "rules", map(_rule, row.rules), ignore=True)
    _many(db, "rule_verdicts", ((number, r.rule, r.verdict, r.confidence, r.reason) for r in row.rules))
    _many(db, "findings", _findings(number, row))
    _many(
        db,
        "experiments",
        ((None, number, e.name, e.result, e.summary, e.replay) for e in row.run.experiments),
    )


def _many(
    db: sqlite3.Connection, table: str, values: Iterable[tuple[Any, ...]], *, ignore: bool = False
) -> None:
    values = list(values)
    if values:
        marks = ", ".join("?" * len(values[0]))
        verb = "INSERT OR IGNORE" if ignore else "INSERT"
        db.executemany(f"{verb} INTO {table} VALUES ({marks})", values)


def _audit(number: int, row: Row) -> tuple[Any, ...]:
    return (
        number,
        row.pr,
        row.head,
        row.folder,
        row.verdict,
        row.reason,
        row.message,
        row.submitted_on,
        row.claimed_bpb,
        row.script.path if row.script else None,
        row.script.oid if row.script else None,
        row.lineage,
        row.run.outcome,
        row.run.blocker,
        row.seconds,
        row.was,
        row.was_head,
    )


def _rule(rule: RuleRow) -> tuple[Any, ...]:
    return (
        rule.rule,
        rule.title,
        condition_short(rule.condition),
        rule.authority,
        rule.severity,
        rule.standing,
    )


def _findings(number: int, row: Row) -> Iterator[tuple[Any, ...]]:
    for rule in row.rules:
        for f in rule.findings:
            yield (
                None,
                number,
                rule.rule,
                f.fingerprint,
                f.message,
                f.path,
                f.layer,
                f.line,
                f.strength,
                f.confidence,
                f.evidence.kind,
                f.evidence.summary,
                f.reach,
            )
