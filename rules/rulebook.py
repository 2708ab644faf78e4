"""Load ``rules/book/*.toml`` into rules, refusing anything malformed, duplicated or orphaned."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from rules.model import Authority, Condition, Need, Rule, Ruling, Severity, Standing

BOOK = Path(__file__).parent / "book"
EDITION = "2026.11"


class RulebookError(ValueError):
    """A rule file is wrong; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules in force on a day, by slug, in slug order."""

    edition: str
    as_of: date | None
    rules: dict[str, Rule]

    def __getitem__(self, slug: str) -> Rule:
        try:
            return self.rules[slug]
        except KeyError:
            raise RulebookError(f"no rule is called {slug!r}; `golf-audit rules` lists them") from None

    def __contains__(self, slug: object) -> bool:
        return slug in self.rules


_REQUIRED = ("title", "statement", "condition", "severity", "needs", "remedy", "limits", "rulings")


def load(as_of: date | None = None, book: Path = BOOK) -> Rulebook:
    """Read the rulebook; with ``as_of``, keep the rules in force on that day.

    Raises:
        RulebookError: a file does not parse, lacks a key or holds an unknown value.
    """
    every = _load_all(book)
    kept = {s: r for s, r in every.items() if as_of is None or r.in_force(as_of)}
    return Rulebook(EDITION, as_of, kept)


@lru_cache(maxsize=4)
def _load_all(book: Path) -> dict[str, Rule]:
    paths = sorted(book.glob("*.toml"))
    if not paths:
        raise RulebookError(f"{book}: no rule files found")
    return {p.stem: _read(p) for p in paths}


def _read(path: Path) -> Rule:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RulebookError(f"{path.name}: {error}") from None
    missing = [key for key in _REQUIRED if key not in raw]
    if missing:
        raise RulebookError(f"{path.name}: missing {', '.join(missing)}")
    try:
        return _rule(path.stem, raw)
    except (ValueError, TypeError, KeyError) as error:
        raise RulebookError(f"{path.name}: {error}") from None


def _rule(slug: str, raw: dict[str, Any]) -> Rule:
    _refuse_unknown(raw, {*_REQUIRED, "standing", "tracks", "since", "until"})
    rulings = tuple(_ruling(entry) for entry in raw["rulings"])
    if not rulings:
        raise ValueError("a rule needs at least one ruling")
    return Rule(
        slug=slug,
        title=raw["title"],
        statement=raw["statement"].strip(),
        condition=Condition(raw["condition"]),
        severity=Severity(raw["severity"]),
        standing=Standing(raw.get("standing", "settled")),
        needs=tuple(Need(n) for n in raw["needs"]),
        rulings=rulings,
        remedy=raw["remedy"].strip(),
        limits=raw["limits"].strip(),
        tracks=tuple(raw.get("tracks", ())),
        since=raw.get("since"),
        until=raw.get("until"),
    )


def _refuse_unknown(raw: dict[str, Any], known: set[str]) -> None:
    unknown = set(raw) - known
    if unknown:
        raise ValueError(f"unknown key {', '.join(sorted(unknown))}")


def _ruling(raw: dict[str, Any]) -> Ruling:
    _refuse_unknown(raw, {"authority", "text", "url", "on", "second_hand"})
    return Ruling(
        authority=Authority(raw["authority"]),
        text=raw["text"].strip(),
        url=raw["url"],
        on=raw.get("on"),
        second_hand=raw.get("second_hand", False),
    )
