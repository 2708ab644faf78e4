"""How findings, severity, standing and the run combine into verdicts."""

from dataclasses import replace

import pytest

from checkers.finding import (
    Evidence,
    Finding,
    Kind,
    Location,
    Strength,
    cannot_tell,
    examined,
    nothing_to_check,
)
from checkers.registry import Checked, Checker
from checkers.verdict import decide
from harness.record import Experiment, Holds, Outcome, RunRecord
from rules.model import Authority, Condition, Need, Rule, Ruling, Severity, Standing, Verdict
from rules.rulebook import Rulebook

SLUG = "score-after-update"


def rule(severity=Severity.FAIL, standing=Standing.SETTLED, condition=Condition.C3, needs=(Need.STATIC,)):
    ruling = Ruling(Authority.ORGANIZER, "said so", "https://github.com/openai/parameter-golf/pull/1")
    return Rule(SLUG, "t", "s", condition, severity, standing, needs, (ruling,), "r", "l")


def book(*args, **kwargs):
    return Rulebook("test", None, {SLUG: rule(*args, **kwargs)})


def finding(strength=Strength.CONVICTS, kind=Kind.STATIC, line=7, message="found"):
    return Finding(SLUG, message, Location("train_gpt.py", line), Evidence(kind, "e"), strength, 0.9)


def checked(result, kind=Need.STATIC, crash=None):
    return Checked(Checker(SLUG, kind, lambda subject: result), result, crash)


def verdict(results, run=None, strict=False, **rule_kwargs):
    return decide(book(**rule_kwargs), results, run, strict=strict)


def completed(**results):
    named = {"noise": Holds.HOLDS, "prefix": Holds.HOLDS, "kraft": Holds.HOLDS, **results}
    experiments = tuple(Experiment(name, result, name) for name, result in named.items())
    return RunRecord(Outcome.COMPLETED, experiments=experiments, coverage={"train_gpt.py": [[1, 20]]})


@pytest.mark.parametrize(
    ("strength", "severity", "standing", "strict", "expected"),
    [
        (Strength.CONVICTS, Severity.FAIL, Standing.SETTLED, False, Verdict.FAIL),
        (Strength.SUSPECT, Severity.FAIL, Standing.SETTLED, False, Verdict.REVIEW),
        (Strength.REMARK, Severity.FAIL, Standing.SETTLED, False, Verdict.PASS),
        (Strength.CONVICTS, Severity.REVIEW, Standing.SETTLED, False, Verdict.REVIEW),
        (Strength.CONVICTS, Severity.NOTE, Standing.SETTLED, False, Verdict.PASS),
        (Strength.CONVICTS, Severity.FAIL, Standing.DISPUTED, False, Verdict.REVIEW),
        (Strength.CONVICTS, Severity.FAIL, Standing.DISPUTED, True, Verdict.FAIL),
    ],
)
def test_a_finding_is_worth_what_severity_and_standing_allow(strength, severity, standing, strict, expected):
    results = [checked(examined(1, "1 site", [finding(strength)]))]
    assert verdict(results, strict=strict, severity=severity, standing=standing).verdict is expected


def test_no_findings_is_a_pass_only_where_something_was_examined():
    assert verdict([checked(examined(2, "2 sites"))]).verdict is Verdict.PASS
    assert verdict([]).rules[0].verdict is Verdict.INCONCLUSIVE
    assert verdict([]).verdict is Verdict.INCONCLUSIVE


def test_code_in_which_no_score_was_found_is_not_a_pass():
    other = rule(condition=Condition.BPB)
    both = Rulebook("test", None, {SLUG: rule(), "tables": replace(other, slug="tables")})
    table = Checked(Checker("tables", Need.STATIC, lambda subject: None), examined(1, "1 table"), None)
    unseen = checked(cannot_tell("no validation score was found"))
    decision = decide(both, [unseen, table], None)
    assert (decision.verdict, decision.reason) == (Verdict.INCONCLUSIVE, "no validation score was found")
    assert decide(both, [unseen, table], completed()).verdict is Verdict.PASS
    assert decide(both, [checked(examined(1, "1 score")), table], None).verdict is Verdict.PASS


def test_a_checker_that_looked_at_nothing_is_not_a_pass():
    decision = verdict([checked(cannot_tell("the script does not parse"))])
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason == "the script does not parse"
    assert any("does not parse" in line for line in decision.not_checked)


def test_what_a_log_lacks_is_no_reason_why_no_code_was_read():
    unlogged = [checked(cannot_tell("no log says so"), Need.EVIDENCE)]
    decision = verdict(unlogged, needs=(Need.STATIC, Need.EVIDENCE))
    assert (decision.verdict, decision.reason) == (Verdict.INCONCLUSIVE, "no scoring code could be read")
    assert verdict([checked(cannot_tell("no layer could be parsed"))]).reason == "no layer could be parsed"


def test_not_applicable_is_kept_apart_from_inconclusive():
    assert verdict([checked(nothing_to_check("no n-gram"))]).rules[0].verdict is Verdict.NOT_APPLICABLE


def test_a_crash_is_our_error_and_never_the_authors():
    decision = verdict([checked(None, crash="Traceback\nKeyError: 'x'\n")])
    assert decision.verdict is Verdict.ERROR
    assert decision.rules[0].reason == "KeyError: 'x'"


def test_a_conviction_stands_beside_an_error_in_another_rule():
    both = Rulebook("test", None, {SLUG: rule(), "other": rule()})
    crash = Checked(Checker("other", Need.STATIC, lambda s: examined(1, "")), None, "boom")
    assert decide(both, [checked(examined(1, "", [finding()])), crash], None).verdict is Verdict.FAIL


def test_a_complete_run_over_the_suspected_line_clears_a_suspicion_and_keeps_it_in_its_own_pile():
    results = [checked(examined(1, "", [finding(Strength.SUSPECT)]))]
    decision = verdict(results, completed())
    assert decision.verdict is Verdict.PASS
    assert [f.message for f in decision.rules[0].cleared] == ["found"]


@pytest.mark.parametrize(
    "run",
    [
        completed(kraft=Holds.UNDECIDED),
        completed(noise=Holds.VIOLATED),
        RunRecord(Outcome.TIMEOUT, coverage={"train_gpt.py": [[1, 20]]}),
    ],
)
def test_an_incomplete_or_unsound_run_clears_nothing(run):
    assert verdict([checked(examined(1, "", [finding(Strength.SUSPECT)]))], run).verdict is Verdict.REVIEW


def test_lines_that_the_run_did_not_execute_stay_suspect():
    results = [checked(examined(1, "", [finding(Strength.SUSPECT, line=99)]))]
    assert verdict(results, completed()).verdict is Verdict.REVIEW


def test_a_run_clears_behaviour_but_not_documents_or_sizes():
    results = [checked(examined(1, "", [finding(Strength.SUSPECT)]))]
    assert verdict(results, completed(), condition=Condition.SIZE).verdict is Verdict.REVIEW


def test_an_unfinished_run_is_never_a_pass():
    run = RunRecord(Outcome.BLOCKED, blocker="needs mamba_ssm")
    decision = verdict([checked(examined(1, "1 site"))], run)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "needs mamba_ssm" in decision.reason


def test_a_rule_that_only_a_run_decides_is_inconclusive_by_request_without_lowering_the_rest():
    both = Rulebook("test", None, {SLUG: rule(), "z-noise": rule(needs=(Need.RUNTIME,))})
    decision = decide(both, [checked(examined(1, "1 site"))], None)
    assert decision.verdict is Verdict.PASS
    assert decision.rules[1].verdict is Verdict.INCONCLUSIVE
    assert "not asked for" in decision.rules[1].reason


def test_findings_are_ordered_strongest_first_and_twins_get_ordinals():
    twins = [finding(Strength.SUSPECT), finding(Strength.SUSPECT, line=9), finding()]
    found = verdict([checked(examined(1, "", twins))]).rules[0].findings
    assert [f.strength for f in found] == [Strength.CONVICTS, Strength.SUSPECT, Strength.SUSPECT]
    assert len({f.fingerprint for f in found}) == 3


def test_a_change_without_record_or_script_is_not_applicable_unless_a_rule_is_broken_anyway():
    nothing = "neither a record folder nor a training script"
    empty = decide(book(), [checked(cannot_tell("no script"))], None, nothing=nothing)
    assert (empty.verdict, empty.reason) == (Verdict.NOT_APPLICABLE, nothing)
    broken = [checked(examined(1, "", [finding()]))]
    assert decide(book(), broken, None, nothing=nothing).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (None, "read, not run"),
        (completed(), "read and run"),
        (completed(prefix=Holds.UNDECIDED), "read and run; not decided: prefix"),
    ],
)
def test_a_pass_says_what_it_rests_on(run, said):
    decision = verdict([checked(examined(1, "1 site"))], run)
    assert (decision.verdict, decision.reason) == (Verdict.PASS, said)
