"""Claims of a README: score tables by seed (either way round), means, and headline lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.logs.records import Claim, Measure, Place

_MAX_LINES = 20_000
_LINE = 2_000
_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_NUMBER = re.compile(r"(?<![\w.#-])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?")
_SEED_HEAD = re.compile(r"\bseed\b|^run$", re.IGNORECASE)
_SEED_NAME = re.compile(r"\bseed[ =:#_]*(\d{1,10})\b", re.IGNORECASE)
_MEAN = re.compile(r"\b(mean|average|avg)\b|\u03bc|x\u0304", re.IGNORECASE)
_HEADLINE = re.compile(
    r"val[_ ]bpb`?\**\s*(?:[:=\u2248]|of|is|\()?\s*\**`?\s*(\d\.\d{3,10})(?!\d)", re.IGNORECASE
)
_HEADS: tuple[tuple[re.Pattern[str], Measure], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), measure)
    for pattern, measure in (
        (r"\u0394|delta|\bstd\b|\bgain\b|improv|\bvs\b|\bdiff|saving", Measure.BPB_STD),
        (r"bpb", Measure.BPB),
        (r"(val.?)?loss|nats", Measure.LOSS),
        (
            r"artifact|total.*(size|bytes)|bytes.*total|submission.*(size|bytes)|^size|^bytes|size \("
            r"|compressed.size",
            Measure.TOTAL_BYTES,
        ),
        (r"eval.*(time|s\b)|ttt.*time", Measure.EVAL_SECONDS),
        (r"train.*(time|\(s|wall)", Measure.TRAIN_SECONDS),
    )
)


@dataclass(frozen=True, slots=True)
class Table:
    """A Markdown table: its heading cells, and its rows with their line numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def claims(path: str, text: str) -> tuple[Claim, ...]:
    """Read what a README states about scores, sizes and times."""
    lines = [line[:_LINE] for line in text.splitlines()[:_MAX_LINES]]
    found: list[Claim] = []
    for table in tables(lines):
        found.extend(_by_row(path, table, lines))
        found.extend(_by_column(path, table, lines))
        found.extend(_by_key(path, table, lines))
    found.extend(_headlines(path, lines))
    return tuple(found)


def tables(lines: list[str]) -> Iterator[Table]:
    """Find the tables of a Markdown text."""
    index = 1
    while index < len(lines):
        if "|" in lines[index - 1] and "|" in lines[index] and _RULE.match(lines[index]):
            end = index + 1
            while end < len(lines) and "|" in lines[end]:
                end += 1
            rows = tuple((n + 1, _cells(lines[n])) for n in range(index + 1, end))
            yield Table(_cells(lines[index - 1]), rows)
            index = end
        index += 1


def _cells(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return tuple(re.sub(r"[*`~]", "", cell).strip() for cell in inner.split("|"))


def _by_row(path: str, table: Table, lines: list[str]) -> Iterator[Claim]:
    """One row a seed: the seed stands in the column that is headed so, or in the first."""
    seed_at = next((i for i, head in enumerate(table.head) if _SEED_HEAD.search(head)), None)
    if seed_at is None:
        return
    kinds = [_kind(head) for head in table.head]
    for line, cells in table.rows:
        if len(cells) <= seed_at:
            continue
        seed = _seed_cell(cells[seed_at])
        if seed is None and not _MEAN.search(cells[seed_at]):
            continue
        for at, cell in enumerate(cells[: len(kinds)]):
            kind = kinds[at]
            if kind and at != seed_at:
                place = Place(path, line, lines[line - 1].strip()[:300])
                yield from _cell_claim(kind, cell, table.head[at], place, seed)


def _by_column(path: str, table: Table, lines: list[str]) -> Iterator[Claim]:
    """One column a seed: the measure stands in the first cell of the row."""
    seeds = {i: int(m[1]) for i, head in enumerate(table.head) if (m := _SEED_NAME.search(head))}
    if len(seeds) < 2:
        return
    means = {i for i, head in enumerate(table.head) if _MEAN.search(head)}
    for line, cells in table.rows:
        kind = _kind(cells[0]) if cells else None
        if not kind:
            continue
        place = Place(path, line, lines[line - 1].strip()[:300])
        for at, cell in enumerate(cells):
            if at in seeds or at in means:
                yield from _cell_claim(kind, cell, cells[0], place, seeds.get(at))


def _by_key(path: str, table: Table, lines: list[str]) -> Iterator[Claim]:
    """Two columns: the measure and its value. Scores are left to the headlines, which say whose they are."""
    if len(table.head) != 2:
        return
    for line, cells in table.rows:
        kind = _kind(cells[0]) if len(cells) == 2 else None
        if kind is Measure.TOTAL_BYTES:
            place = Place(path, line, lines[line - 1].strip()[:300])
            yield from _cell_claim(kind, cells[1], cells[0], place, None)


def _kind(head: str) -> Measure | None:
    return next((measure for pattern, measure in _HEADS if pattern.search(head)), None)


def _seed_cell(cell: str) -> int | None:
    named = _SEED_NAME.search(cell)
    plain = re.match(r"(\d{1,10})(?:\s|$|\()", cell)
    return int(named[1]) if named else int(plain[1]) if plain else None


def _cell_claim(kind: Measure, cell: str, head: str, place: Place, seed: int | None) -> Iterator[Claim]:
    found = _NUMBER.search(cell)
    if not found or kind is Measure.BPB_STD or cell[found.end() :].lstrip().startswith("%"):
        return
    decimals = (found[2] or ".")[1:]
    value = float(found[1].replace(",", "") + (found[2] or ""))
    scale = _scale(kind, cell, head, value)
    if scale is None:
        return
    yield Claim(kind, value * scale, head[:80], place, seed, len(decimals), cell[:80])


def _scale(kind: Measure, cell: str, head: str, value: float) -> float | None:
    """The factor to bytes or seconds; None where the number cannot be what the heading says."""
    unit = f"{cell} {head}"
    if kind in (Measure.BPB, Measure.LOSS):
        return 1.0 if 0.0 < value < 30.0 else None
    if kind is Measure.TOTAL_BYTES:
        if value >= 100_000:
            return 1.0
        return 2.0**20 if "MiB" in unit else 1e6 if re.search(r"MB", unit) and value < 1000 else None
    return 0.001 if re.search(r"\bms\b|\d\s*ms", unit) else 60.0 if re.search(r"\d\s*min", unit) else 1.0


def _headlines(path: str, lines: list[str]) -> Iterator[Claim]:
    for number, line in enumerate(lines, 1):
        if "|" in line or len(line) > 600:
            continue
        for match in list(_HEADLINE.finditer(line))[:4]:
            place = Place(path, number, line.strip()[:300])
            named = _SEED_NAME.search(line)
            decimals = len(match[1].partition(".")[2])
            yield Claim(
                Measure.BPB,
                float(match[1]),
                "text",
                place,
                int(named[1]) if named else None,
                decimals,
                line.strip()[:120],
            )
