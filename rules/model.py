"""The vocabulary of rules and verdicts: frozen values, no logic.

Every other package speaks in these terms, so this module imports nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Condition(StrEnum):
    """What a rule protects. C1 to C4 are the definition of a valid score in issue #1017."""

    C1 = "C1_causality"
    C2 = "C2_normalization"
    C3 = "C3_score_before_update"
    C4 = "C4_single_pass"
    DATA = "DATA_access"
    SIZE = "SIZE"
    TIME = "TIME"
    BPB = "BPB_accounting"
    STATS = "STATS"
    FORMAT = "FORMAT"
    REPRO = "REPRO"


class Authority(StrEnum):
    """Who stands behind a ruling, strongest first."""

    ORGANIZER = "organizer"
    AUTHOR = "author"
    COMMUNITY = "community"


class Standing(StrEnum):
    """Whether the ruling is settled. A disputed rule accuses only under ``--strict``."""

    SETTLED = "settled"
    DISPUTED = "disputed"


class Severity(StrEnum):
    """The most a violation of the rule can cost: the score, a reviewer's look, or a remark."""

    FAIL = "fail"
    REVIEW = "review"
    NOTE = "note"


class Need(StrEnum):
    """The kind of examination that can decide a rule."""

    STATIC = "static"
    EVIDENCE = "evidence"
    RUNTIME = "runtime"


class Verdict(StrEnum):
    """The answer for one rule or for a submission."""

    PASS = "PASS"
    REVIEW = "REVIEW"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Ruling:
    """One public statement about a rule: who, when, where, and what it said in our words."""

    authority: Authority
    text: str
    url: str
    on: date | None = None
    second_hand: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One offence. ``slug`` names it so that it reads well after "allow"."""

    slug: str
    title: str
    statement: str
    condition: Condition
    severity: Severity
    standing: Standing
    needs: tuple[Need, ...]
    rulings: tuple[Ruling, ...]
    remedy: str
    limits: str
    tracks: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None

    @property
    def authority(self) -> Authority:
        """The strongest authority among the rulings."""
        order = list(Authority)
        return min((r.authority for r in self.rulings), key=order.index)

    def in_force(self, on: date) -> bool:
        """Tell whether the rule applied on a day (``since`` inclusive, ``until`` exclusive)."""
        return (self.since is None or self.since <= on) and (self.until is None or on < self.until)
