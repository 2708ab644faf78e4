"""The entry pipeline for the picture: what the simulated run did to data and weights, in order."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from checkers.facts import Did, Event, Facts
from reports.shape_v1 import Finding, RuleResult, Stage

MOST = 24
_ROLES = {
    Did.UPDATE: "update",
    Did.COUNT: "update",
    Did.CHARGE: "score",
    Did.SAVE: "save",
    Did.LOAD: "load",
    Did.REPORT: "report",
}


@dataclass
class _Step:
    """Events of one role in one function under one call from the entry."""

    role: str
    scope: str
    event: Event
    spans: set[tuple[str, int, int]] = field(default_factory=set)


def stages(facts: Facts, rules: Sequence[RuleResult]) -> tuple[Stage, ...]:
    """The steps of the pipeline, at most MOST, each with the findings that lie in it."""
    places = [place for rule in rules for finding in rule.findings for place in _places(finding)]
    return tuple(_stage(step, places) for step in _steps(facts))


def _places(finding: Finding) -> list[tuple[str, str, int]]:
    """Fingerprint, layer and line of every place of a finding."""
    primary = (finding.fingerprint, finding.layer or finding.path, finding.line)
    return [primary, *((finding.fingerprint, p.layer or p.path, p.line) for p in finding.related)]


def _steps(facts: Facts) -> list[_Step]:
    found: dict[tuple[str, str, int], _Step] = {}
    for event in facts.of(*_ROLES):
        role = _role(facts, event)
        if not role:
            continue
        scope = event.module.qualified(event.node) or "module"
        key = (role, scope, _line(event.calls[0][1]) if event.calls else 0)
        step = found.setdefault(key, _Step(role, scope, event))
        step.spans.add((event.module.layer.name, _line(event.node), _end(event.node)))
    steps = list(found.values())
    last_report = next((s for s in reversed(steps) if s.role == "report"), None)
    kept = [s for s in steps if s.role != "report" or s is last_report]
    return kept if len(kept) <= MOST else [*kept[: MOST - 1], kept[-1]]


def _role(facts: Facts, event: Event) -> str:
    """What the event means for the score; nothing for training losses and for prints without a score."""
    sources = {str(k[1] if k[0] == "fixed" else k[0]) for k in facts.keys(event.bits)}
    validation = "val" in sources
    if event.kind in (Did.UPDATE, Did.COUNT):
        return "update" if validation else "train"
    if event.kind is Did.CHARGE:
        return "score" if validation else ""
    if event.kind is Did.REPORT:
        return "report" if "score" in sources else ""
    return _ROLES[event.kind]


def _stage(step: _Step, places: Iterable[tuple[str, str, int]]) -> Stage:
    inside = {
        fingerprint
        for fingerprint, layer, line in places
        if any(layer == name and first <= line <= last for name, first, last in step.spans)
    }
    module = step.event.module
    return Stage(
        name=step.scope,
        role=step.role,
        path=module.layer.name,
        line=_line(step.event.node),
        fingerprints=tuple(sorted(inside)),
    )


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def _end(node: ast.AST) -> int:
    return int(getattr(node, "end_lineno", 0) or _line(node))
