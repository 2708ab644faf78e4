"""Turn a finished audit into the public JSON. The only module of the package that knows both sides."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any

from checkers.audit import Audit
from checkers.finding import Finding, Location
from checkers.verdict import RuleVerdict
from harness.record import RunRecord
from harness.submission import Submission, SubmissionError
from harness.unpack import Layer
from reports import figures, lineage, shape_v1
from rules.model import Rule, Ruling, Verdict

Texts = Mapping[str, Sequence[str]]

DISTRIBUTION = "parameter-golf-audit"
_LEAD = 2  # lines before an excerpt, so that the statement is seen with what it follows
_MOST_LINES, _MOST_COLUMNS = 6, 160  # of an excerpt; longer lines are shown as the checker shortened them
_WORDY = frozenset({Verdict.FAIL, Verdict.REVIEW, Verdict.ERROR})


def from_audit(audit: Audit, *, fixes: Mapping[str, shape_v1.Fix] | None = None) -> shape_v1.Audit:
    """The public form of an audit."""
    submission = audit.submission
    texts = {x.name: x.text.split("\n") for x in audit.layers}
    rules = tuple(_rule(r, fixes or {}, texts) for r in audit.decision.rules)
    return shape_v1.Audit(
        schema=1,
        pr=submission.pr,
        head=submission.head,
        folder=submission.folder,
        verdict=audit.decision.verdict.value,
        rules=rules,
        claims=_plain_data(audit.claims),
        seconds=round(audit.seconds, 3),
        reason=audit.decision.reason,
        run=_run(audit.run),
        not_checked=audit.decision.not_checked,
        label=submission.label,
        origin=submission.origin.value,
        base=submission.base,
        submitted_on=submission.submitted_on,
        as_of=audit.as_of.isoformat(),
        edition=audit.edition,
        strict=audit.strict,
        command=audit.command,
        versions=versions(),
        folders=submission.folders,
        script=_script(submission, audit.layers),
        layers=tuple(_layer(x) for x in audit.layers),
        files=tuple(_files(submission)),
        figures=figures.collect(audit, rules),
    )


def versions() -> dict[str, str]:
    """The versions that a repeat of the audit depends on."""
    names = {"golf-audit": DISTRIBUTION, "libcst": "libcst", "torch": "torch", "numpy": "numpy"}
    found = {name: _version(package) for name, package in names.items()}
    return {**found, "python": platform.python_version()}


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "from a checkout" if package == DISTRIBUTION else "not installed"


def _rule(result: RuleVerdict, fixes: Mapping[str, shape_v1.Fix], texts: Texts) -> shape_v1.RuleResult:
    rule: Rule = result.rule
    wordy = bool(result.findings or result.cleared) or result.verdict in _WORDY
    return shape_v1.RuleResult(
        rule=rule.slug,
        condition=rule.condition.value,
        verdict=result.verdict.value,
        confidence=round(result.confidence, 3),
        authority=rule.authority.value,
        findings=tuple(_finding(f, fixes, texts) for f in result.findings),
        title=rule.title,
        statement=rule.statement if wordy else "",
        severity=rule.severity.value,
        standing=rule.standing.value,
        reason=result.reason,
        looked_at=result.looked_at,
        kinds=tuple(k.value for k in result.kinds),
        needs=tuple(n.value for n in rule.needs),
        remedy=rule.remedy if wordy else "",
        limits=rule.limits if wordy else "",
        rulings=tuple(_ruling(r) for r in rule.rulings if wordy),
        cleared=tuple(_finding(f, {}, texts) for f in result.cleared),
    )


def _ruling(ruling: Ruling) -> shape_v1.Ruling:
    return shape_v1.Ruling(
        authority=ruling.authority.value,
        text=ruling.text,
        url=ruling.url,
        on=ruling.on.isoformat() if ruling.on else None,
        second_hand=ruling.second_hand,
    )


def _finding(finding: Finding, fixes: Mapping[str, shape_v1.Fix], texts: Texts) -> shape_v1.Finding:
    where = finding.where
    return shape_v1.Finding(
        message=finding.message,
        path=where.path,
        layer=where.layer,
        line=where.line,
        column=where.column,
        end_line=where.end_line,
        scope=where.scope,
        caption=where.caption,
        step=where.step,
        excerpt=_excerpt(where, texts),
        lead=_lead(where, texts),
        evidence=shape_v1.Evidence(
            kind=finding.evidence.kind.value,
            summary=finding.evidence.summary,
            data=_plain_data(finding.evidence.data),
        ),
        strength=finding.strength.value,
        confidence=round(finding.confidence, 3),
        reach=finding.reach,
        fingerprint=finding.fingerprint,
        related=tuple(_place(p, texts) for p in finding.related),
        fix=fixes.get(finding.fingerprint),
    )


def _place(where: Location, texts: Texts) -> shape_v1.Place:
    return shape_v1.Place(
        path=where.path,
        line=where.line,
        layer=where.layer,
        column=where.column,
        end_line=where.end_line,
        scope=where.scope,
        caption=where.caption,
        step=where.step,
        excerpt=_excerpt(where, texts),
        lead=_lead(where, texts),
    )


def _excerpt(where: Location, texts: Texts) -> str:
    """The lines themselves where they are short enough to read, else what the checker quotes."""
    lines = texts.get(where.layer or where.path, [])
    if not 0 < where.line <= len(lines):
        return where.excerpt
    last = min(max(where.end_line, where.line), where.line + _MOST_LINES - 1, len(lines))
    own = [line.rstrip("\r") for line in lines[where.line - 1 : last]]
    if own[0].strip() and all(len(line) <= _MOST_COLUMNS for line in own):
        return "\n".join(own)
    return where.excerpt or own[0][:_MOST_COLUMNS]


def _lead(where: Location, texts: Texts) -> str:
    """The lines right before an excerpt, back to a blank or an unreadably long one."""
    lines = texts.get(where.layer or where.path, [])
    if not 0 < where.line <= len(lines) or len(lines[where.line - 1]) > _MOST_COLUMNS:
        return ""
    kept: list[str] = []
    for line in reversed(lines[max(0, where.line - 1 - _LEAD) : where.line - 1]):
        if not line.strip() or len(line) > _MOST_COLUMNS:
            break
        kept.insert(0, line.rstrip("\r"))
    return "\n".join(kept)


def _run(run: RunRecord | None) -> shape_v1.Run:
    if run is None:
        return shape_v1.Run(outcome="skipped", blocker="not asked for")
    return shape_v1.Run(
        outcome=run.outcome.value,
        blocker=run.blocker,
        profile=run.profile,
        settings={str(k): str(v) for k, v in run.settings.items()},
        reported=dict(run.reported),
        experiments=tuple(
            shape_v1.Experiment(
                name=e.name,
                result=e.result.value,
                summary=e.summary,
                data=_plain_data(e.data),
                replay=e.replay,
            )
            for e in run.experiments
        ),
        sandbox=run.sandbox,
        notes=run.notes,
        seconds=round(run.seconds, 3),
    )


def _layer(layer: Layer) -> shape_v1.LayerInfo:
    return shape_v1.LayerInfo(
        name=layer.name,
        path=layer.path,
        how=layer.how,
        language=layer.language,
        lines=layer.text.count("\n") + 1,
        bytes=len(layer.text.encode("utf-8", "surrogatepass")),
        parent=layer.parent,
        problem=layer.problem,
    )


def _files(submission: Submission) -> Iterable[shape_v1.FileInfo]:
    for entry in submission.entries:
        yield shape_v1.FileInfo(
            path=entry.path,
            size=entry.size,
            oid=entry.oid,
            change=entry.change.value,
            problem=entry.problem,
        )


def _script(submission: Submission, layers: tuple[Layer, ...]) -> shape_v1.Script | None:
    path = submission.entry_script
    if path is None:
        return None
    oid = next((e.oid for e in submission.entries if e.path == path), "")
    texts = [x.text for x in layers if x.language == "python"]
    try:
        sketch = lineage.sketch("\n".join(texts) if texts else submission.text(path))
    except SubmissionError:
        sketch = ()
    return shape_v1.Script(path=path, oid=oid, sketch=sketch)


def _plain_data(value: Any) -> Any:
    """Copy nested data with only what JSON knows; anything else becomes its text."""
    if isinstance(value, Mapping):
        return {str(k): _plain_data(v) for k, v in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Iterable):
        return [_plain_data(v) for v in value]
    return str(value)
