"""From what checkers returned to one verdict per rule and one for the submission.

A counterexample decides; a static or documentary finding accuses as far as its strength, the rule's
severity and the ruling's standing allow; a complete instrumented run that executed the suspected
lines clears a suspicion. Absence of findings is a pass only where a checker looked at something.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from checkers.finding import Finding, Kind, Strength
from checkers.registry import Checked
from harness.record import Holds, Outcome, RunRecord
from rules.model import Condition, Need, Rule, Severity, Standing, Verdict
from rules.rulebook import Rulebook

_WORST_FIRST = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.REVIEW,
    Verdict.INCONCLUSIVE,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)

# Conditions about the scorer's behaviour: the only ones that experiments on it can refute.
_BEHAVIOURAL = frozenset({Condition.C1, Condition.C2, Condition.C3, Condition.C4})
_OPEN = frozenset({"undecided", "not_run"})


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """The verdict on one rule, with what was looked at and what was set aside.

    ``confidence`` in [0, 1] is that of the strongest finding, or how directly a pass was tested:
    1.0 by experiment, 0.8 by reading code, 0.7 by documents. ``cleared`` holds static suspicions
    that the instrumented run refuted; they are shown, never dropped.
    """

    rule: Rule
    verdict: Verdict
    confidence: float
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    looked_at: str = ""
    kinds: tuple[Need, ...] = ()
    cleared: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on the submission and on every rule in force, in slug order."""

    verdict: Verdict
    rules: tuple[RuleVerdict, ...]
    reason: str = ""
    not_checked: tuple[str, ...] = ()


def decide(
    rulebook: Rulebook,
    checked: Sequence[Checked],
    run: RunRecord | None,
    *,
    strict: bool = False,
    nothing: str | None = None,
) -> Decision:
    """Combine all checkers' results under the rules in force.

    ``run`` is None when no run was asked for; rules that only a run can decide are then
    INCONCLUSIVE by request and do not lower the overall verdict. ``nothing`` says why there is
    nothing to judge, if so: the submission is then NOT_APPLICABLE unless a rule is broken anyway.
    """
    by_slug: dict[str, list[Checked]] = {}
    for item in checked:
        by_slug.setdefault(item.checker.slug, []).append(item)
    rules = tuple(
        _decide_rule(rule, by_slug.get(slug, ()), run, strict)
        for slug, rule in sorted(rulebook.rules.items())
    )
    verdict, reason = _overall(rules, run)
    if nothing is not None and verdict is Verdict.INCONCLUSIVE:
        verdict, reason = Verdict.NOT_APPLICABLE, nothing
    return Decision(verdict, rules, reason, tuple(_not_checked(rules, run)))


def _decide_rule(rule: Rule, items: Sequence[Checked], run: RunRecord | None, strict: bool) -> RuleVerdict:
    crashes = [i.crash for i in items if i.crash]
    if crashes:
        return RuleVerdict(rule, Verdict.ERROR, 0.0, reason=crashes[0].strip().splitlines()[-1])
    results = [(i.checker.kind, i.result) for i in items if i.result is not None]
    findings = _ordered(f for _, r in results for f in r.findings)
    standing, cleared = _clear(rule, findings, run)
    verdict = max((_weight(rule, f, strict) for f in standing), key=_badness, default=Verdict.PASS)
    looked = "; ".join(r.looked_at for _, r in results if r.looked_at)
    kinds = tuple(kind for kind, r in results if r.examined)
    if verdict in (Verdict.FAIL, Verdict.REVIEW):
        best = max(f.confidence for f in standing if _weight(rule, f, strict) is verdict)
        return RuleVerdict(rule, verdict, best, standing, "", looked, kinds, cleared)
    if kinds:
        return RuleVerdict(rule, Verdict.PASS, _pass_confidence(kinds), standing, "", looked, kinds, cleared)
    return _undecided(rule, items, standing, run)


def _undecided(
    rule: Rule, items: Sequence[Checked], findings: tuple[Finding, ...], run: RunRecord | None
) -> RuleVerdict:
    reasons = [i.result.inconclusive for i in items if i.result and i.result.inconclusive]
    absent = [i.result.not_applicable for i in items if i.result and i.result.not_applicable]
    if not reasons and absent:
        return RuleVerdict(rule, Verdict.NOT_APPLICABLE, 1.0, findings, absent[0])
    if not reasons and run is None and Need.RUNTIME in rule.needs:
        reasons = ["needs the instrumented run, which was not asked for"]
    reason = reasons[0] if reasons else "no checker of this rule exists yet"
    return RuleVerdict(rule, Verdict.INCONCLUSIVE, 0.0, findings, reason)


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Strongest first, then by place; equal fingerprints get ordinals so that each stays distinct."""
    ranked = sorted(
        findings,
        key=lambda f: (
            list(Strength).index(f.strength),
            -f.confidence,
            f.where.path,
            f.where.line,
            f.message,
        ),
    )
    seen: dict[str, int] = {}
    numbered = []
    for finding in ranked:
        count = seen.get(finding.fingerprint, 0)
        seen[finding.fingerprint] = count + 1
        numbered.append(replace(finding, ordinal=count) if count else finding)
    return tuple(numbered)


def _weight(rule: Rule, finding: Finding, strict: bool) -> Verdict:
    """What one finding is worth under the rule: never more than severity and standing allow."""
    if finding.strength is Strength.REMARK or rule.severity is Severity.NOTE:
        return Verdict.PASS
    disputed = rule.standing is Standing.DISPUTED and not strict
    convicts = finding.strength is Strength.CONVICTS and rule.severity is Severity.FAIL
    return Verdict.FAIL if convicts and not disputed else Verdict.REVIEW


def _clear(
    rule: Rule, findings: tuple[Finding, ...], run: RunRecord | None
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Split findings into those that stand and static suspicions that the run refuted."""
    if run is None or rule.condition not in _BEHAVIOURAL or not _sound(run):
        return findings, ()
    cleared = tuple(f for f in findings if _refuted(f, run))
    return tuple(f for f in findings if f not in cleared), cleared


def _sound(run: RunRecord) -> bool:
    """The black-box experiments that between them cover every static suspicion all held."""
    results = {e.name: e.result.value for e in run.experiments}
    return run.outcome is Outcome.COMPLETED and all(
        results.get(name) == "holds" for name in ("noise", "prefix", "kraft")
    )


def _refuted(finding: Finding, run: RunRecord) -> bool:
    if finding.evidence.kind is not Kind.STATIC or finding.strength is not Strength.SUSPECT:
        return False
    ranges = run.coverage.get(finding.where.layer or finding.where.path, ())
    return any(first <= finding.where.line <= last for first, last in ranges)


def _pass_confidence(kinds: Sequence[Need]) -> float:
    return {Need.RUNTIME: 1.0, Need.STATIC: 0.8, Need.EVIDENCE: 0.7}[
        min(kinds, key=[Need.RUNTIME, Need.STATIC, Need.EVIDENCE].index)
    ]


def _badness(verdict: Verdict) -> int:
    return -_WORST_FIRST.index(verdict)


def _overall(rules: Sequence[RuleVerdict], run: RunRecord | None) -> tuple[Verdict, str]:
    """FAIL, ERROR and REVIEW pass through; otherwise a pass must rest on code that was read."""
    for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.REVIEW):
        hits = [r.rule.slug for r in rules if r.verdict is verdict]
        if hits:
            return verdict, ", ".join(hits)
    read = [r for r in rules if r.verdict is Verdict.PASS and Need.STATIC in r.kinds]
    ran = run is not None and run.outcome is Outcome.COMPLETED
    by_code = [r for r in rules if Need.STATIC in r.rule.needs and Need.EVIDENCE not in r.rule.needs]
    scorer = [r for r in by_code if _about_scores(r.rule) and r.verdict is not Verdict.NOT_APPLICABLE]
    blind = bool(scorer) and all(r.verdict is Verdict.INCONCLUSIVE for r in scorer)
    if not read or (blind and not ran):
        unread = [r.reason for r in scorer or by_code if r.verdict is Verdict.INCONCLUSIVE]
        return Verdict.INCONCLUSIVE, unread[0] if unread else "no scoring code could be read"
    if run is not None and run.outcome is not Outcome.COMPLETED:
        return (
            Verdict.INCONCLUSIVE,
            f"the instrumented run did not finish: {run.blocker or run.outcome.value}",
        )
    return Verdict.PASS, _how_far(run)


def _about_scores(rule: Rule) -> bool:
    """Whether reading decides a rule by the scores that the code takes: without one it has read nothing."""
    return rule.condition is Condition.C3 and rule.severity is Severity.FAIL


def _how_far(run: RunRecord | None) -> str:
    """What a pass rests on; experiments that decided nothing are no part of it."""
    if run is None:
        return "read, not run"
    undecided = [e.name for e in run.experiments if e.result is Holds.UNDECIDED]
    return f"read and run; not decided: {', '.join(undecided)}" if undecided else "read and run"


def _not_checked(rules: Sequence[RuleVerdict], run: RunRecord | None) -> Iterable[str]:
    if run is None:
        yield "The submission's code was read, not run."
    elif run.outcome is not Outcome.COMPLETED:
        yield f"The instrumented run did not finish ({run.blocker or run.outcome.value})."
    else:
        yield from (f"Experiment {e.name}: {e.summary}" for e in run.experiments if e.result.value in _OPEN)
    yield from (f"{r.rule.slug}: {r.reason}" for r in rules if r.verdict is Verdict.INCONCLUSIVE)
