"""The view of an audit: every order, sentence and choice a reader sees, made once for all formats.

`build` reads only the public JSON. Renderers lay out what they find here and escape it for their
format; they neither sort nor word.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reports import claims, words
from reports.items import Item, items, local, ordered
from reports.shape_v1 import Audit, RuleResult, Run


@dataclass(frozen=True, slots=True)
class ConditionLine:
    """One line of the table of conditions."""

    short: str
    name: str
    protects: str
    verdict: str
    sentence: str


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule in the appendix: what was looked at and with what result."""

    rule: str
    title: str
    condition: str
    verdict: str
    sentence: str
    findings: int


@dataclass(frozen=True, slots=True)
class ExperimentLine:
    """One experiment of the run."""

    name: str
    result: str
    summary: str
    replay: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything a renderer needs, ordered and worded."""

    title: str
    verdict: str
    label: str
    headline: str
    because: str
    counted: str
    subject: tuple[tuple[str, str], ...]
    checked: tuple[str, ...]
    conditions: tuple[ConditionLine, ...]
    items: tuple[Item, ...]
    remarks: tuple[Item, ...]
    cleared: tuple[Item, ...]
    rules: tuple[RuleLine, ...]
    experiments: tuple[ExperimentLine, ...]
    claims: claims.Table
    would_change: tuple[str, ...]
    not_checked: tuple[str, ...]
    caveats: tuple[str, ...]
    notes: tuple[str, ...]
    run_failed: bool
    provenance: tuple[tuple[str, str], ...]
    command: str


def build(audit: Audit) -> View:
    """Word and order one audit."""
    rules = sorted(audit.rules, key=_rule_key)
    pairs = ordered(rules)
    found = tuple(items([p for p in pairs if p[1].strength != "remark"], audit))
    cleared = [(r, f) for r in rules for f in r.cleared]
    return View(
        title=_title(audit),
        verdict=audit.verdict,
        label=words.VERDICT_LABEL[audit.verdict],
        headline=words.headline(audit.verdict, {r.condition for r in rules if r.verdict == "FAIL"}),
        because=_because(audit, found),
        counted=_counted(found),
        subject=tuple(_subject(audit)),
        checked=tuple(_checked(audit)),
        conditions=tuple(_conditions(rules)),
        items=found,
        remarks=tuple(items([p for p in pairs if p[1].strength == "remark"], audit)),
        cleared=tuple(items(cleared, audit)),
        rules=tuple(_rule_line(r) for r in rules),
        experiments=tuple(_experiments(audit)),
        claims=claims.table(audit.claims),
        would_change=tuple(_would_change(audit, rules)),
        not_checked=tuple(_not_checked(audit)),
        caveats=tuple(_caveats(audit)),
        run_failed=audit.run.outcome not in {"completed", "skipped"},
        notes=tuple(dict.fromkeys(audit.run.notes)),
        provenance=tuple(_provenance(audit)),
        command=words.repeatable(audit.command),
    )


def _rule_key(rule: RuleResult) -> tuple[int, int, str]:
    return (
        words.rank(rule.verdict, words.VERDICT_ORDER),
        words.condition_rank(rule.condition),
        rule.rule,
    )


def _title(audit: Audit) -> str:
    folder = (audit.folder or audit.label or "submission").rsplit("/", 1)[-1]
    name = f"#{audit.pr}" if audit.pr is not None else folder
    return f"{name} at {audit.head[:9]}" if audit.head else name


def _because(audit: Audit, found: tuple[Item, ...]) -> str:
    counting = [i for i in found if i.verdict == audit.verdict]
    if audit.verdict in {"FAIL", "REVIEW"} and counting:
        rules = list(dict.fromkeys(i.rule for i in counting))
        return f"{words.count(len(counting), 'finding')} under {words.listed(rules)}"
    return audit.reason


def _counted(found: tuple[Item, ...]) -> str:
    """``4 violations, 1 suspicion``: for readers who see the list itself below."""
    strengths = Counter(item.strength for item in found)
    return ", ".join(words.count(number, strength) for strength, number in strengths.items())


def _not_checked(audit: Audit) -> list[str]:
    """What stays open; rules and experiments that share a reason share a line."""
    slugs = {r.rule for r in audit.rules} | {f"Experiment {e.name}" for e in audit.run.experiments}
    by_reason: dict[str, list[str]] = {}
    for line in dict.fromkeys(audit.not_checked):
        slug, separator, reason = line.partition(": ")
        known = bool(separator) and slug in slugs
        by_reason.setdefault(reason if known else line, []).extend([slug] if known else [])
    return [f"{words.listed(rules)}: {reason}" if rules else reason for reason, rules in by_reason.items()]


def _subject(audit: Audit) -> list[tuple[str, str]]:
    rows = [
        ("Pull request", f"#{audit.pr}" if audit.pr is not None else ""),
        ("Commit", audit.head or ""),
        ("Record folder", audit.folder or "none"),
        ("Script", _inside(audit.script.path, audit.folder) if audit.script else "none"),
        ("Submitted", (audit.submitted_on or "")[:10]),
    ]
    return [(name, value) for name, value in rows if value]


def _inside(path: str, folder: str | None) -> str:
    return path.removeprefix(f"{folder}/") if folder else path


def _checked(audit: Audit) -> list[str]:
    read = [x for x in audit.layers if x.problem is None]
    lines = sum(x.lines for x in read)
    said = [
        f"Read: {words.count(len(read), 'source layer')} with {words.count(lines, 'line')}"
        + (f", {len(audit.layers) - len(read)} unreadable" if len(read) < len(audit.layers) else "")
        + f"; {words.count(len(audit.files), 'file')} of the change.",
        _ran(audit.run),
    ]
    if audit.run.experiments:
        done = [e for e in audit.run.experiments if e.result in {"holds", "violated"}]
        said.append(
            f"Measured: {words.count(len(done), 'experiment')} decided of {len(audit.run.experiments)}."
        )
    decided = [r for r in audit.rules if r.verdict in {"PASS", "FAIL", "REVIEW"}]
    said.append(f"Judged: {len(decided)} of {words.count(len(audit.rules), 'rule')} in force.")
    return said


def _ran(run: Run) -> str:
    if run.outcome == "skipped":
        return f"Run: no ({run.blocker or 'skipped'}); the code was read, not executed."
    why = f" ({run.blocker})" if run.blocker else ""
    return f"Run: the submission's own code {words.OUTCOME.get(run.outcome, run.outcome)}{why}."


def _conditions(rules: list[RuleResult]) -> list[ConditionLine]:
    present = sorted({r.condition for r in rules}, key=words.condition_rank)
    return [_condition_line(c, [r for r in rules if r.condition == c]) for c in present]


def _condition_line(condition: str, rules: list[RuleResult]) -> ConditionLine:
    short, name, protects = words.CONDITIONS.get(condition, (condition, condition, ""))
    by_verdict = {v: [r.rule for r in rules if r.verdict == v] for v in words.VERDICT_ORDER}
    decided = [v for v in ("FAIL", "ERROR", "REVIEW", "PASS") if by_verdict[v]]
    left = "INCONCLUSIVE" if by_verdict["INCONCLUSIVE"] else "NOT_APPLICABLE"
    return ConditionLine(short, name, protects, decided[0] if decided else left, _sentence(by_verdict))


def _sentence(by_verdict: dict[str, list[str]]) -> str:
    parts = [
        f"violated: {words.listed(by_verdict['FAIL'])}" if by_verdict["FAIL"] else "",
        f"to be looked at: {words.listed(by_verdict['REVIEW'])}" if by_verdict["REVIEW"] else "",
        f"auditor error: {words.listed(by_verdict['ERROR'])}" if by_verdict["ERROR"] else "",
        f"{words.count(len(by_verdict['PASS']), 'rule')} checked and held" if by_verdict["PASS"] else "",
        f"{len(by_verdict['INCONCLUSIVE'])} not decided" if by_verdict["INCONCLUSIVE"] else "",
        f"{len(by_verdict['NOT_APPLICABLE'])} not applicable" if by_verdict["NOT_APPLICABLE"] else "",
    ]
    return "; ".join(p for p in parts if p)


def _rule_line(rule: RuleResult) -> RuleLine:
    said = rule.reason or (f"looked at {rule.looked_at}" if rule.looked_at else "")
    how = words.examined(rule.kinds)
    return RuleLine(
        rule=rule.rule,
        title=rule.title,
        condition=words.condition_short(rule.condition),
        verdict=rule.verdict,
        sentence="; ".join(x for x in (said, how) if x),
        findings=len(rule.findings),
    )


def _experiments(audit: Audit) -> list[ExperimentLine]:
    order = ("violated", "undecided", "not_run", "holds")
    return [
        ExperimentLine(e.name, words.RESULT.get(e.result, e.result), local(e.summary, audit), e.replay or "")
        for e in sorted(audit.run.experiments, key=lambda e: words.rank(e.result, order))
    ]


def _would_change(audit: Audit, rules: list[RuleResult]) -> list[str]:
    """What is fair to say to somebody who wants another verdict; remedies stand with the findings."""
    failed = [r for r in rules if r.verdict == "FAIL"]
    said = [_what_clears(failed)] if failed else []
    said += list(dict.fromkeys(_what_settles(r, audit.run) for r in rules if r.verdict == "REVIEW"))
    if audit.verdict == "INCONCLUSIVE":
        said.append(f"The verdict would be decided once this is resolved: {audit.reason}.")
    if audit.verdict == "PASS" and audit.run.outcome != "completed":
        said.append("An instrumented run could still find a counterexample; this audit only read the code.")
    elif audit.verdict == "PASS":
        said.append(
            "A counterexample at places or under settings that the experiments did not touch, or a log or "
            "file that contradicts the claim."
        )
    return said


_SHOWN_WRONG = {
    "counterexample": "for a counterexample, that the run here charged otherwise than the reported "
    "evaluation does",
    "measurement": "for a measurement, that the run here measured something other than the reported score",
    "static": "for a finding read in the code, that the reported run had settings under which these lines do "
    "not run or do something else (its log or its command would show them)",
    "document": "for a finding read in documents, the log or file that it overlooked",
}


def _what_clears(failed: list[RuleResult]) -> str:
    kinds = {f.evidence.kind for r in failed for f in r.findings if f.strength == "convicts"}
    shown = "; ".join(_SHOWN_WRONG[k] for k in words.EVIDENCE_ORDER if k in kinds)
    remedied = f"The remedies above, for {words.listed([r.rule for r in failed])}"
    return f"{remedied}. Or, if a finding is wrong, showing so: {shown}." if shown else f"{remedied}."


def _what_settles(rule: RuleResult, run: Run) -> str:
    if rule.standing == "disputed":
        return f"{rule.rule}: the rule is disputed; a ruling by an organizer would settle it."
    if run.outcome == "skipped" and "runtime" in rule.needs:
        return f"{rule.rule}: an instrumented run (without --no-run) would clear or confirm it."
    return f"{rule.rule}: {rule.remedy}" if rule.remedy else f"{rule.rule}: a reviewer's reading."


def _caveats(audit: Audit) -> list[str]:
    said = [words.CAVEAT]
    if audit.strict:
        said.append("Strict audit: disputed rules accuse as settled ones do.")
    if audit.run.outcome == "completed":
        said.append(
            "The code ran at a reduced size on a CPU; the experiments test the scorer, not the claimed score."
        )
    unread = [x.name for x in audit.layers if x.problem]
    if unread:
        said.append(f"Could not be read: {words.listed(unread)}.")
    return said


def _provenance(audit: Audit) -> list[tuple[str, str]]:
    rows = [
        ("Rulebook", f"{audit.edition}, as of {audit.as_of}" if audit.as_of else audit.edition),
        ("Versions", ", ".join(f"{k} {v}" for k, v in sorted(audit.versions.items()))),
        ("Sandbox", audit.run.sandbox),
        ("Settings", words.PROFILE.get(audit.run.profile, "") if audit.run.outcome != "skipped" else ""),
        ("Time", f"{audit.seconds:.1f} s"),
    ]
    return [(name, value) for name, value in rows if value]
