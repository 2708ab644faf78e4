"""What the report tests share: the sample audits, and golden files."""

import os
from pathlib import Path

from msgspec.structs import replace

from reports.json_v1 import from_json
from reports.shape_v1 import Audit, Evidence, Finding, Place, RuleResult, Ruling, Run

HERE = Path(__file__).parent
SAMPLES = ("fail_run", "review_packed", "pass_read", "inconclusive")
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" onload='x' ```` \n# @everyone "
    "[x](javascript:alert(3)) ![y](https://evil.example/y) | \u202e\x1b[31m {{ 7*7 }} {% raw %} ${x} "
    "]]> &#60;b&#62;"
)


def sample(name: str) -> Audit:
    return from_json((HERE / "samples" / f"{name}.json").read_bytes())


def assert_golden(name: str, content: bytes) -> None:
    """Compare with tests/reports/golden/NAME; GOLDEN=write makes the files anew, to be read in the diff."""
    path = HERE / "golden" / name
    if os.environ.get("GOLDEN") == "write":
        path.write_bytes(content)
    assert content.decode() == path.read_text(encoding="utf-8"), f"{name} changed; GOLDEN=write if meant"


def with_text(text: str, verdict: str = "FAIL", findings: int = 1) -> Audit:
    """An audit in which everything a submission or a forged file controls says ``text``."""
    place = {
        "path": text,
        "layer": text,
        "line": 3,
        "column": 2,
        "scope": text,
        "caption": text,
        "excerpt": text,
    }
    finding = Finding(
        message=text,
        evidence=Evidence(kind="static", summary=text + ".", data={text: text, "replay": text}),
        strength="convicts",
        confidence=0.9,
        reach=text,
        fingerprint="0123456789abcdef0123",
        related=(Place(**place),),
        **place,
    )
    rule = RuleResult(
        rule="score-after-update",
        condition="C3_score_before_update",
        verdict=verdict,
        confidence=0.9,
        authority="organizer",
        findings=(finding,) * findings,
        title=text,
        statement=text,
        reason=text,
        looked_at=text,
        remedy=text,
        limits=text,
        rulings=(Ruling(authority=text, text=text, url=text, on=text),),
        cleared=(finding,),
    )
    return replace(
        sample("fail_run"),
        rules=(rule,),
        verdict=verdict,
        reason=text,
        folder=text,
        head=text,
        label=text,
        claims={text: {text: text}, "readme": {text: [text]}},
        not_checked=(text,),
        command=text,
        versions={text: text},
        run=Run(outcome="blocked", blocker=text, notes=(text,), sandbox=text, profile=text),
    )
