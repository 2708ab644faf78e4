"""JUnit XML for CI: one test case a rule, so that any CI server shows the verdicts."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from reports import words
from reports.shape_v1 import Audit, RuleResult

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(audit: Audit) -> bytes:
    """A ``testsuite`` in which FAIL is a failure, ERROR an error, and what was not decided is skipped.

    REVIEW passes with a note in ``system-out``: it accuses nobody, so it must not break a build.
    """
    rules = sorted(audit.rules, key=lambda r: (words.condition_rank(r.condition), r.rule))
    counts = {v: str(sum(r.verdict == v for r in rules)) for v in words.VERDICT_ORDER}
    skipped = str(int(counts["INCONCLUSIVE"]) + int(counts["NOT_APPLICABLE"]))
    suite = ET.Element(
        "testsuite",
        name=_clean(f"golf-audit {audit.label}".strip()),
        tests=str(len(rules)),
        failures=counts["FAIL"],
        errors=counts["ERROR"],
        skipped=skipped,
        time=f"{audit.seconds:.3f}",
    )
    for rule in rules:
        _case(suite, rule)
    ET.indent(suite)
    written: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _case(suite: ET.Element, rule: RuleResult) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=_clean(rule.condition), name=_clean(rule.rule), time="0"
    )
    text = "\n".join(f"{f.layer or f.path}:{f.line}: {f.message}" for f in rule.findings)
    if rule.verdict == "FAIL":
        ET.SubElement(case, "failure", message=_clean(rule.title)).text = _clean(text)
    elif rule.verdict == "ERROR":
        ET.SubElement(case, "error", message=_clean(rule.reason))
    elif rule.verdict in {"INCONCLUSIVE", "NOT_APPLICABLE"}:
        ET.SubElement(case, "skipped", message=_clean(rule.reason))
    elif text:
        ET.SubElement(case, "system-out").text = _clean(f"{rule.verdict}\n{text}")


def _clean(text: str) -> str:
    """Drop characters that XML 1.0 cannot carry in any form."""
    return _NOT_XML.sub("\ufffd", text)
