"""What a checker says: a finding, where it is, how sure it is, and what proves it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Strength(StrEnum):
    """What a finding is enough for. The rule's severity and standing can only lower it."""

    CONVICTS = "convicts"
    SUSPECT = "suspect"
    REMARK = "remark"


class Kind(StrEnum):
    """The sort of evidence behind a finding."""

    STATIC = "static"
    COUNTEREXAMPLE = "counterexample"
    MEASUREMENT = "measurement"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a source layer or file. Lines and columns count from 1; 0 means unknown."""

    path: str
    line: int = 0
    column: int = 0
    end_line: int = 0
    layer: str | None = None  # harness.unpack.Layer.name, None for logs and documents
    scope: str = ""  # dotted name of the enclosing definition
    caption: str = ""  # "scored here", "trained there"
    step: int = 0  # when it happens among the places of its finding, from 1; 0 where order says nothing
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What proves a finding. ``data`` is JSON-able; its keys depend on ``kind`` and are documented
    in ``docs/json.md``."""

    kind: Kind
    summary: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of one rule, with exactly one primary place and captioned related ones.

    ``confidence`` in [0, 1] says how sure the checker is that what it describes happens;
    ``reach`` says under which settings the code runs and how that is known.
    """

    rule: str
    message: str
    where: Location
    evidence: Evidence
    strength: Strength
    confidence: float
    related: tuple[Location, ...] = ()
    reach: str = ""
    ordinal: int = 0

    @property
    def fingerprint(self) -> str:
        """Identity that survives shifted lines: rule, layer depth, scope, normalized text, ordinal."""
        depth = (self.where.layer or "").count("!")
        text = re.sub(r"\s+", " ", self.where.excerpt or self.message).strip()
        key = "\x1f".join([self.rule, str(depth), self.where.scope, text, str(self.ordinal)])
        return hashlib.sha256(key.encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one checker did: how many things it looked at and what it found.

    Exactly one of these holds: ``not_applicable`` gives a reason, ``inconclusive`` gives a reason
    (findings may still be listed), or ``examined`` > 0. ``examined == 0`` without a reason is a bug.
    ``looked_at`` words the examined things ("3 score sites", "2 logs").
    """

    examined: int = 0
    findings: tuple[Finding, ...] = ()
    looked_at: str = ""
    not_applicable: str | None = None
    inconclusive: str | None = None


def nothing_to_check(reason: str) -> CheckResult:
    """The rule does not concern this submission."""
    return CheckResult(not_applicable=reason)


def cannot_tell(reason: str, findings: tuple[Finding, ...] = ()) -> CheckResult:
    """The rule concerns it, but what is needed to decide is missing."""
    return CheckResult(inconclusive=reason, findings=findings)


def examined(count: int, looked_at: str, findings: tuple[Finding, ...] | list[Finding] = ()) -> CheckResult:
    """The checker looked at ``count`` things; no findings means the rule holds there."""
    return CheckResult(examined=count, looked_at=looked_at, findings=tuple(findings))


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Word a count: ``1 log``, ``3 logs``, ``2 minima``."""
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"
