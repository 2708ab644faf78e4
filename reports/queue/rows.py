"""One row for each audited head, with only what the queue shows, read in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from reports import lineage, words
from reports.json_v1 import ReportError
from reports.shape_v1 import Experiment, Finding, Script


class RuleRow(msgspec.Struct, frozen=True):
    """What the queue keeps of the verdict on one rule."""

    rule: str
    condition: str
    verdict: str
    confidence: float = 0.0
    authority: str = ""
    title: str = ""
    severity: str = ""
    standing: str = ""
    reason: str = ""
    findings: tuple[Finding, ...] = ()


class RunRow(msgspec.Struct, frozen=True):
    """What the queue keeps of the run."""

    outcome: str = "skipped"
    blocker: str | None = None
    experiments: tuple[Experiment, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """One head. ``lineage`` is 0 without a script; ``was`` is the verdict of the earlier sweep."""

    verdict: str
    pr: int | None = None
    head: str | None = None
    folder: str | None = None
    reason: str = ""
    submitted_on: str | None = None
    seconds: float = 0.0
    claims: dict[str, Any] = {}
    rules: tuple[RuleRow, ...] = ()
    run: RunRow = RunRow()
    script: Script | None = None
    lineage: int = 0
    lineage_size: int = 0
    was: str = ""
    was_head: str = ""

    @property
    def counting(self) -> tuple[RuleRow, ...]:
        """The rules that fail or ask for a look, worst first."""
        hits = [r for r in self.rules if r.verdict in {"FAIL", "REVIEW"}]
        return tuple(sorted(hits, key=_rule_key))

    @property
    def gravity(self) -> int:
        """What the rules behind the verdict touch: 0 the score itself, 1 a limit, 2 the form."""
        return words.gravity({r.condition for r in self.rules if r.verdict == self.verdict})

    @property
    def message(self) -> str:
        """The worst finding, or why there is none."""
        first = next((f for r in self.counting for f in r.findings), None)
        return self.local(first.message) if first else self.reason

    def local(self, text: str) -> str:
        """The text with paths as they are inside the record folder."""
        return text.replace(f"{self.folder}/", "") if self.folder else text

    @property
    def claimed_bpb(self) -> float | None:
        """The claimed score, wherever it is stated first; zero is what a template says at the start."""
        for source in ("submission.json", "submission_json", "readme", "log"):
            claims = self.claims.get(source)
            value = claims.get("val_bpb") if isinstance(claims, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
                return float(value)
        return None


def _rule_key(rule: RuleRow) -> tuple[int, int, str]:
    return (
        words.rank(rule.verdict, words.VERDICT_ORDER),
        words.condition_rank(rule.condition),
        rule.rule,
    )


def read_rows(path: Path) -> list[Row]:
    """Read the records of a sweep in file order.

    Raises:
        ReportError: a line is not a record; the message names the line.
    """
    return list(_decode(path))


def _decode(path: Path) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(Row)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip() in {b"", b"{}"}:
                continue
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise ReportError(f"{path.name}:{number}: not an audit record: {error}") from None


def same_lineage(rows: list[Row]) -> list[Row]:
    """Number the groups of identical and nearly identical scripts."""
    oids = [r.script.oid if r.script else "" for r in rows]
    sketches = [r.script.sketch if r.script else () for r in rows]
    numbers = lineage.group(oids, sketches)
    sizes = Counter(numbers)
    return [
        replace(row, lineage=n, lineage_size=sizes[n] if n else 0)
        for row, n in zip(rows, numbers, strict=True)
    ]
