"""SARIF 2.1.0, for code hosts and editors. Paths are relative to the root of the repository.

Findings inside packed scripts point at the packed file, line 1, and name the layer as a logical
location: no viewer can open a layer. "Scored here, trained there" becomes a code flow.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from reports import words
from reports.shape_v1 import Audit, Finding, Fix, Place, RuleResult
from reports.text import plain, ruling_url, visible

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
INFORMATION = "https://github.com/openai/parameter-golf"
_ROOT = "SRCROOT"

Node = dict[str, Any]


def render(audit: Audit) -> bytes:
    """One SARIF log with one run, indented, with a final newline."""
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(audit)]}
    return json.dumps(log, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _run(audit: Audit) -> Node:
    rules = sorted(audit.rules, key=lambda r: r.rule)
    index = {rule.rule: number for number, rule in enumerate(rules)}
    results = [_result(r, f, index[r.rule]) for r in rules for f in r.findings]
    run: Node = {
        "tool": {"driver": _driver(audit, rules)},
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the challenge's repository."}}},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "invocations": [_invocation(audit)],
        "properties": {"verdict": audit.verdict, "reason": plain(audit.reason), "schema": 1},
    }
    if audit.head:
        run["versionControlProvenance"] = [
            {"repositoryUri": INFORMATION, "revisionId": plain(audit.head), "mappedTo": {"uriBaseId": _ROOT}}
        ]
    return run


def _driver(audit: Audit, rules: list[RuleResult]) -> Node:
    return {
        "name": "golf-audit",
        "semanticVersion": _semantic(audit.versions.get("golf-audit", "")),
        "informationUri": INFORMATION,
        "rules": [_rule(r) for r in rules],
        "properties": {"rulebook": audit.edition, "asOf": audit.as_of or ""},
    }


def _semantic(version: str) -> str:
    numbers = version.split("+")[0].split(".")
    return version if len(numbers) == 3 and all(n.isdigit() for n in numbers) else "0.0.0"


def _rule(rule: RuleResult) -> Node:
    node: Node = {
        "id": rule.rule,
        "name": "".join(part.capitalize() for part in rule.rule.split("-")),
        "shortDescription": {"text": plain(rule.title or rule.rule)},
        "defaultConfiguration": {"level": "error" if rule.severity == "fail" else "warning"},
        "properties": {
            "tags": [words.condition_short(rule.condition), rule.authority, rule.standing],
            "verdict": rule.verdict,
        },
    }
    if rule.statement:
        node["fullDescription"] = {"text": plain(rule.statement)}
    if rule.remedy:
        node["help"] = {"text": plain(f"{rule.remedy} {rule.limits}")}
    links = [ruling_url(r.url) for r in rule.rulings if ruling_url(r.url)]
    if links:
        node["helpUri"] = links[0]
    return node


def _result(rule: RuleResult, finding: Finding, index: int) -> Node:
    node: Node = {
        "ruleId": rule.rule,
        "ruleIndex": index,
        "level": _level(rule, finding),
        "kind": "fail",
        "message": {"text": _message(finding)},
        "locations": [_location(finding)],
        "partialFingerprints": {"golfAudit/v1": finding.fingerprint},
        "rank": round(100 * min(max(finding.confidence, 0.0), 1.0), 1),
        "properties": {
            "strength": finding.strength,
            "evidence": finding.evidence.kind,
            "summary": plain(finding.evidence.summary),
            "reach": plain(finding.reach),
        },
    }
    if finding.related:
        node["relatedLocations"] = [
            {**_location(place), "id": number, "message": {"text": plain(place.caption or "related")}}
            for number, place in enumerate(finding.related, 1)
        ]
    if finding.related and finding.evidence.kind != "document":
        node["codeFlows"] = [_flow(finding)]
    if finding.fix:
        node["fixes"] = [_fix(finding.fix)]
    return node


def _level(rule: RuleResult, finding: Finding) -> str:
    if finding.strength == "remark" or rule.verdict not in {"FAIL", "REVIEW"}:
        return "note"
    return "error" if rule.verdict == "FAIL" and finding.strength == "convicts" else "warning"


def _message(finding: Finding) -> str:
    inside = f" (in the unpacked layer {finding.layer}, line {finding.line})" if _packed(finding) else ""
    return plain(finding.message + inside) or "finding"


def _packed(place: Finding | Place) -> bool:
    return place.layer is not None and place.layer != place.path


def _location(place: Finding | Place) -> Node:
    physical: Node = {"artifactLocation": {"uri": _uri(place.path), "uriBaseId": _ROOT}}
    region = _region(place)
    if region:
        physical["region"] = region
    node: Node = {"physicalLocation": physical}
    names = [n for n in (place.layer if _packed(place) else None, place.scope) if n]
    if names:
        node["logicalLocations"] = [{"fullyQualifiedName": plain("::".join(names))}]
    return node


def _uri(path: str) -> str:
    return quote(path.lstrip("/"), safe="/-._~!$&'()*+,;=@")


def _region(place: Finding | Place) -> Node:
    if _packed(place):
        return {"startLine": 1}
    if place.line < 1:
        return {}
    region: Node = {"startLine": place.line}
    if place.column > 0:
        region["startColumn"] = place.column
    if place.end_line > place.line:
        region["endLine"] = place.end_line
    if place.excerpt:
        region["snippet"] = {"text": visible(place.excerpt, keep_newlines=True)}
    return region


def _flow(finding: Finding) -> Node:
    """How the offence comes about: the places by their step; where none has one, the primary one last."""
    places: list[Finding | Place] = [*finding.related, finding]
    turns = sorted(places, key=lambda place: place.step)
    locations = [
        {"executionOrder": number, "location": {**_location(place), "message": {"text": _caption(place)}}}
        for number, place in enumerate(turns, 1)
    ]
    return {"threadFlows": [{"locations": locations}]}


def _caption(place: Finding | Place) -> str:
    said = place.caption or (place.message if isinstance(place, Finding) else "")
    return plain(said) or "step"


def _fix(fix: Fix) -> Node:
    replacement = {
        "deletedRegion": {"startLine": fix.start_line, "endLine": fix.end_line},
        "insertedContent": {"text": fix.replacement},
    }
    change = {
        "artifactLocation": {"uri": _uri(fix.path), "uriBaseId": _ROOT},
        "replacements": [replacement],
    }
    return {"description": {"text": plain(fix.description)}, "artifactChanges": [change]}


def _invocation(audit: Audit) -> Node:
    node: Node = {
        "executionSuccessful": audit.verdict != "ERROR",
        "toolExecutionNotifications": [
            {"level": "note", "message": {"text": plain(text)}} for text in audit.not_checked
        ],
    }
    if audit.command:
        node["commandLine"] = plain(audit.command)
    return node
