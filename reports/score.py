"""How often the audit agrees with the public verdicts: the accuracy table of ``golf-audit score``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

_CAUGHT = frozenset({"FAIL", "REVIEW"})


class ScoreError(ValueError):
    """A results or precedents file cannot be read; the message names file and line."""


class _RuleVerdict(msgspec.Struct):
    rule: str
    condition: str
    verdict: str


class AuditLine(msgspec.Struct):
    """What a line of results.jsonl must hold to be counted."""

    pr: int | None
    verdict: str
    rules: list[_RuleVerdict]


class _Label(msgspec.Struct):
    verdict: str
    mechanism: str
    conditions: list[str]


class PrecedentLine(msgspec.Struct):
    """What a line of the public verdicts must hold."""

    pr: int
    gold: str
    labels: list[_Label]


@dataclass(frozen=True)
class Group:
    """One class of precedents (``valid/organizer``, ``invalid/author``, ...) and its outcomes.

    ``right_condition`` counts caught heads where a condition that the public verdict names is among
    those of the rules that failed or need review; ``with_condition`` counts caught heads whose public
    verdict names any.
    """

    gold: str
    verdicts: Counter[str]
    with_condition: int = 0
    right_condition: int = 0
    misses: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Number of precedents of the class."""
        return sum(self.verdicts.values())

    def share(self, *verdicts: str) -> float:
        """Fraction of the class with one of the verdicts."""
        return sum(self.verdicts[v] for v in verdicts) / self.total if self.total else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The group as JSON-able data."""
        return {
            "gold": self.gold,
            "heads": self.total,
            "verdicts": dict(sorted(self.verdicts.items())),
            "right_condition": self.right_condition,
            "with_condition": self.with_condition,
            "misses": list(self.misses),
        }


@dataclass
class _Tally:
    verdicts: Counter[str] = field(default_factory=Counter)
    with_condition: int = 0
    right_condition: int = 0
    misses: list[str] = field(default_factory=list)


def read_jsonl(path: Path, shape: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """Read one JSON object a line, each with at least the fields of ``shape``.

    Raises:
        ScoreError: the file is not there, holds nothing, or a line is not such an object.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ScoreError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ScoreError(f"{path}: not a text file in UTF-8") from None
    found = [_object(path, number, line, shape) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise ScoreError(f"{path}: empty; one JSON object a line is expected")
    return found


def _object(path: Path, number: int, line: str, shape: type[msgspec.Struct]) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise ScoreError(f"{path}:{number}: not JSON ({error.msg}); one object a line is expected") from None
    if not isinstance(value, dict):
        raise ScoreError(f"{path}:{number}: not a JSON object")
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise ScoreError(f"{path}:{number}: {error}") from None
    return value


def score(results: Sequence[Mapping[str, Any]], precedents: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Compare audits with precedents, class by class. A precedent without a result is "MISSING"."""
    by_pr = {r["pr"]: r for r in results}
    tallies: dict[str, _Tally] = {}
    for precedent in precedents:
        tally = tallies.setdefault(precedent["gold"], _Tally())
        _count(tally, precedent, by_pr.get(precedent["pr"]))
    return [
        Group(gold, t.verdicts, t.with_condition, t.right_condition, tuple(t.misses))
        for gold, t in sorted(tallies.items())
    ]


def _count(tally: _Tally, precedent: Mapping[str, Any], result: Mapping[str, Any] | None) -> None:
    verdict = result["verdict"] if result else "MISSING"
    tally.verdicts[verdict] += 1
    named = named_conditions(precedent)
    found = _found(result) if result else {}
    invalid = precedent["gold"].startswith("invalid")
    right = bool(named & set(found.values()))
    if invalid and verdict in _CAUGHT and named:
        tally.with_condition += 1
        tally.right_condition += right
    wrong = (invalid and (verdict != "FAIL" or (named and not right))) or (
        precedent["gold"].startswith("valid") and verdict in _CAUGHT
    )
    if wrong:
        says = "; ".join(sorted(found)) or "nothing"
        labels = ", ".join(sorted({str(x["mechanism"]) for x in precedent["labels"]}))
        tally.misses.append(f"#{precedent['pr']}: {verdict} ({says}); public: {labels}")


def named_conditions(precedent: Mapping[str, Any]) -> set[str]:
    """The conditions that the verdicts of ``invalid`` on a pull request name."""
    return {c for label in precedent["labels"] if label["verdict"] == "invalid" for c in label["conditions"]}


def _found(result: Mapping[str, Any]) -> dict[str, str]:
    """Slug to condition of the rules that carry the verdict: those that failed, else those to review."""
    if result["verdict"] not in _CAUGHT:
        return {}
    return {r["rule"]: r["condition"] for r in result["rules"] if r["verdict"] == result["verdict"]}
