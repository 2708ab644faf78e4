"""From a suspicious node to a finding: place, reach, strength and evidence in one form."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from checkers.facts import Did, Facts, Runs
from checkers.facts.values import VAL
from checkers.finding import (
    CheckResult,
    Evidence,
    Finding,
    Kind,
    Location,
    Strength,
    cannot_tell,
    nothing_to_check,
)


def finding(
    facts: Facts,
    rule: str,
    node: ast.AST,
    message: str,
    *,
    caption: str = "",
    related: Iterable[Location] = (),
    confidence: float = 0.9,
    strength: Strength = Strength.CONVICTS,
    data: dict[str, Any] | None = None,
) -> Finding:
    """A static finding at a node. Code that only may run is suspected, never convicted."""
    reach = facts.reaches(node)
    if strength is Strength.CONVICTS and reach.runs is not Runs.YES:
        strength = Strength.SUSPECT
    return Finding(
        rule=rule,
        message=message,
        where=facts.place(node, caption),
        evidence=Evidence(Kind.STATIC, message, data or {}),
        strength=strength,
        confidence=confidence,
        related=tuple(related),
        reach=reach.why,
    )


def unreadable(facts: Facts) -> CheckResult | None:
    """The answer when nothing can be analyzed: no script, none that parses, or a defect of ours."""
    if not facts.modules:
        return nothing_to_check("the submission has no training script")
    if all(m.problem for m in facts.modules):
        return cannot_tell("no layer of the script could be parsed")
    if facts.failure:
        return cannot_tell(f"the simulation failed, which is a defect of the tool: {facts.failure}")
    return None


def unscored(facts: Facts) -> CheckResult:
    """The answer where no score was found behind any printed number, with what is known of why."""
    outside = next((m.problem for m in facts.modules if m.problem), "")
    reads = any(e.bits & VAL for e in facts.of(Did.READ))
    why = outside or ("" if reads else "the script, as it is started, reads no validation tokens")
    return cannot_tell(
        "no validation score was found that reaches a printed number" + (f": {why}" if why else "")
    )


def numbered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding per place, with ordinals for equal texts so that each has its own fingerprint."""
    kept: dict[tuple[str, str | None, int, int], Finding] = {}
    for f in findings:
        kept.setdefault((f.where.path, f.where.layer, f.where.line, f.where.column), f)
    seen: dict[str, int] = {}
    out = []
    for f in kept.values():
        number = seen[f.fingerprint] = seen.get(f.fingerprint, -1) + 1
        out.append(replace(f, ordinal=number))
    return tuple(out)
