"""The page of a sweep: one file that sorts, filters and searches thousands of heads at once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from markupsafe import Markup

from reports import templating, words
from reports.html.page import assets
from reports.queue.rows import Row
from reports.text import plain, shorten

_NOTES = 4  # findings shown when a row is opened; the audit itself has all


def render(rows: list[Row]) -> bytes:
    """The page as one UTF-8 file; the rows travel inside it as JSON."""
    counts = Counter(row.verdict for row in rows)
    text = (
        templating.html()
        .get_template("queue.html.j2")
        .render(
            total=len(rows),
            counts=[(v, words.VERDICT_LABEL[v], counts[v]) for v in words.VERDICT_ORDER if counts[v]],
            rules=_rule_counts(rows),
            changed=any(row.was for row in rows),
            data=_embed([_row(row) for row in rows]),
            **assets("queue.css", "queue.js"),
        )
    )
    return text.encode("utf-8", "backslashreplace")


def _rule_counts(rows: list[Row]) -> list[tuple[str, int]]:
    counts = Counter(rule.rule for row in rows for rule in row.counting)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _row(row: Row) -> dict[str, Any]:
    """One row for the script; short keys, because there are thousands."""
    return {
        "p": row.pr,
        "h": (row.head or "")[:12],
        "f": plain((row.folder or "").rsplit("/", 1)[-1]),
        "v": row.verdict,
        "k": row.gravity,
        "r": [[r.rule, words.condition_short(r.condition), r.verdict] for r in row.counting],
        "m": shorten(plain(row.message), 240),
        "b": row.claimed_bpb,
        "d": plain(row.submitted_on or "")[:10],
        "g": row.lineage,
        "n": row.lineage_size,
        "w": row.was,
        "c": bool(row.was) and (row.was != row.verdict or row.was_head != (row.head or "")),
        "o": plain(row.run.outcome),
        "x": _notes(row),
    }


def _notes(row: Row) -> list[list[str]]:
    first = {(r.rule, f.message): f for r in row.counting for f in reversed(r.findings)}
    each = dict.fromkeys((r.rule, f.message) for r in row.counting for f in r.findings)
    found = [(rule, first[rule, message]) for rule, message in each][:_NOTES]
    return [
        [
            rule,
            shorten(f"{plain(f.layer or f.path).rsplit('/', 1)[-1]}:{f.line}", 60),
            shorten(plain(row.local(f.message)), 240),
        ]
        for rule, f in found
    ]


def _embed(data: object) -> Markup:
    """JSON inside a ``script`` element: no ``<`` may survive, or the content could end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
