"""Code that runs but is not in the count: helpers, or a plain script counted at a packed size."""

from __future__ import annotations

from collections.abc import Iterator

from checkers.evidence._runs import counted
from checkers.evidence._say import found, plural
from checkers.evidence._size import CAP, Sum, shipped_code, sum_of
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Place, SizeKind, TrainLog

RULE = "uncounted-code"
_SLACK = 2_000  # bytes: a last edit of the script after the run


def check(subject: Subject) -> CheckResult:
    """Compare the counted code with the script and the helpers that are shipped."""
    shipped = shipped_code(subject)
    if shipped is None:
        return cannot_tell("there is no training script to count")
    helpers = _helpers(subject)
    runs = counted(subject)
    findings = [
        *_helper_findings(subject, helpers),
        *_packed(subject, runs[0].log if runs else None, shipped),
    ]
    return examined(1 + len(helpers), f"1 script, {plural(len(helpers), 'helper')}", findings)


def _helpers(subject: Subject) -> dict[str, int]:
    """Files other than the entry script that its layers come from, with their sizes."""
    paths = {layer.path for layer in subject.layers} - {subject.submission.entry_script}
    return {e.path: e.size for e in subject.submission.entries if e.path in paths}


def _helper_findings(subject: Subject, helpers: dict[str, int]) -> Iterator[Finding]:
    """Counted code lives in train_gpt.py; helpers were accepted, so they are a remark (#1412, #1514)."""
    if not helpers:
        return
    total = sum(helpers.values())
    message = (
        f"{plural(len(helpers), 'helper file')} of {total:,} bytes run but do not stand in the counted script"
    )
    first, *rest = sorted(helpers)
    least = _least(subject)
    over = least is not None and least.least + total > CAP
    if over and least is not None:
        message += f"; counted, the artifact has at least {least.least + total:,} bytes"
    related = [(Place(path), f"{helpers[path]:,} bytes") for path in rest[:10]]
    yield found(
        RULE,
        message,
        Place(first),
        Strength.REMARK,
        0.8,
        data={"bytes": total, "over": over},
        related=related,
    )


def _least(subject: Subject) -> Sum | None:
    sums = [s for run in counted(subject) if (s := sum_of(run.log, shipped_code(subject)))]
    return max(sums, key=lambda s: s.least, default=None)


def _packed(subject: Subject, log: TrainLog | None, shipped: int) -> Iterator[Finding]:
    """A plain script counted at a smaller size: practice of merged records from #1626 on."""
    code = next((s for s in log.sizes if s.kind is SizeKind.CODE and s.bytes > 0), None) if log else None
    if code is None or shipped <= code.bytes + _SLACK:
        return
    message = f"the log counts {code.bytes:,} bytes of code, the shipped script has {shipped:,}"
    total = _least(subject)
    if total is not None and total.least - total.code + shipped > CAP:
        message += f"; as shipped the artifact has {total.least - total.code + shipped:,} bytes"
    yield found(
        RULE, message, code.place, Strength.REMARK, 0.8, data={"counted": code.bytes, "shipped": shipped}
    )
