"""The public JSON is a contract: its keys, its schema, and what an audit becomes in it."""

import json
from datetime import date

import jsonschema
import msgspec
import pytest
from report_samples import HERE, SAMPLES, sample

from checkers.audit import Audit
from checkers.finding import Evidence, Finding, Kind, Location, Strength
from checkers.verdict import Decision, RuleVerdict
from harness.record import Experiment, Holds, Outcome, RunRecord
from harness.submission import Change, FileEntry, Origin, Submission
from harness.unpack import Layer
from reports import json_v1, schema
from rules.model import Authority, Condition, Need, Rule, Ruling, Severity, Standing, Verdict

RULE = Rule(
    slug="score-after-update",
    title="Scored after training on it",
    statement="Score first.",
    condition=Condition.C3,
    severity=Severity.FAIL,
    standing=Standing.SETTLED,
    needs=(Need.STATIC, Need.RUNTIME),
    rulings=(
        Ruling(Authority.COMMUNITY, "said", "https://github.com/openai/parameter-golf/issues/1017"),
        Ruling(
            Authority.ORGANIZER, "ruled", "https://github.com/openai/parameter-golf/pull/1", date(2026, 3, 20)
        ),
    ),
    remedy="Reset.",
    limits="None.",
)
SOURCE = "def score(model):\n    if True:\n        loss = model(x)\n    return loss\n"
FOLDER = "records/track/2026-04-01_X"
SCRIPT = f"{FOLDER}/train_gpt.py"


def an_audit(**changes):
    where = Location(SCRIPT, line=3, column=9, layer=SCRIPT, scope="score", excerpt="loss = model(x)")
    finding = Finding(
        RULE.slug,
        "scored late",
        where,
        Evidence(Kind.STATIC, "seen", {"at": (1, 2), "when": date(2026, 4, 1), "nan": float("nan")}),
        Strength.CONVICTS,
        0.98765,
        related=(Location(f"{FOLDER}/log.txt", line=7, caption="printed", excerpt="x"),),
    )
    verdict = RuleVerdict(RULE, Verdict.FAIL, 0.98765, (finding,), "", "1 site", (Need.STATIC,))
    met = RuleVerdict(RULE, Verdict.PASS, 0.8, (), "", "1 site", (Need.STATIC,))
    submission = Submission(
        origin=Origin.PULL_REQUEST,
        label="#7",
        entries=(FileEntry(SCRIPT, len(SOURCE), "a" * 40, Change.ADDED),),
        folder=FOLDER,
        folders=(FOLDER,),
        entry_script=SCRIPT,
        pr=7,
        head="b" * 40,
        reader=lambda path: SOURCE.encode(),
    )
    made = {
        "submission": submission,
        "layers": (Layer(SCRIPT, SCRIPT, SOURCE, SOURCE),),
        "decision": Decision(
            Verdict.FAIL, (verdict, met), "score-after-update", ("The code was read, not run.",)
        ),
        "edition": "2026.11",
        "as_of": date(2026, 4, 1),
        "command": "golf-audit check",
        "claims": {"log": {"val_bpb": 1.1}},
        "seconds": 1.23456,
    }
    return Audit(**{**made, **changes})


def decoded(**changes):
    return json.loads(json_v1.to_json(an_audit(**changes)))


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_survive_a_round_trip(name):
    audit = sample(name)
    assert json_v1.from_json(json_v1.dump(audit)) == audit
    assert json_v1.from_json(json_v1.dump(audit, indent=0)) == audit


def test_contract_keys_are_always_there():
    record = decoded()
    assert {"schema", "pr", "head", "folder", "verdict", "rules", "claims", "seconds", "run"} <= set(record)
    assert record["schema"] == 1
    rule = record["rules"][0]
    assert {"rule", "condition", "verdict", "confidence", "authority", "findings"} <= set(rule)
    assert (rule["rule"], rule["condition"], rule["authority"]) == (
        RULE.slug,
        "C3_score_before_update",
        "organizer",
    )
    assert {"message", "path", "layer", "line", "evidence"} <= set(rule["findings"][0])
    assert rule["findings"][0]["evidence"]["kind"] == "static"
    assert record["run"]["outcome"] == "skipped"


def test_excerpts_are_the_lines_themselves():
    finding = decoded()["rules"][0]["findings"][0]
    assert finding["excerpt"] == "        loss = model(x)"
    assert finding["related"][0]["excerpt"] == "x"


def test_long_lines_keep_the_checkers_excerpt():
    text = "a\nb\n" + "x = 1; " * 400 + "\n"
    finding = decoded(layers=(Layer(SCRIPT, SCRIPT, text, text),))["rules"][0]["findings"][0]
    assert finding["excerpt"] == "loss = model(x)"


def test_only_rules_that_are_not_met_carry_their_text():
    failed, met = decoded()["rules"]
    assert failed["remedy"] == "Reset."
    assert len(failed["rulings"]) == 2
    assert "remedy" not in met
    assert "rulings" not in met


def test_odd_data_becomes_plain_json():
    data = decoded()["rules"][0]["findings"][0]["evidence"]["data"]
    assert data == {"at": [1, 2], "when": "2026-04-01", "nan": None}


def test_a_run_is_told_by_outcome_and_experiments():
    run = RunRecord(Outcome.BLOCKED, "fla", experiments=(Experiment("noise", Holds.NOT_RUN, "blocked"),))
    record = decoded(run=run)
    assert (record["run"]["outcome"], record["run"]["blocker"]) == ("blocked", "fla")
    assert record["run"]["experiments"][0]["result"] == "not_run"


def test_one_record_is_one_line():
    assert json_v1.to_json(an_audit()).count(b"\n") == 1


def test_the_same_audit_gives_the_same_bytes():
    assert json_v1.to_json(an_audit()) == json_v1.to_json(an_audit())


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_obey_the_published_schema(name):
    published = json.loads(schema.SCHEMA_PATH.read_text())
    validator = jsonschema.Draft202012Validator(published)
    validator.check_schema(published)
    validator.validate(json.loads((HERE / "samples" / f"{name}.json").read_text()))


def test_real_records_obey_the_published_schema():
    published = json.loads(schema.SCHEMA_PATH.read_text())
    for record in (
        decoded(),
        json.loads(json_v1.unreadable(1, "a", "gone")),
        json.loads(json_v1.our_error(1, None, "x")),
    ):
        jsonschema.validate(record, published)


def test_the_schema_refuses_what_is_no_report():
    published = json.loads(schema.SCHEMA_PATH.read_text())
    for wrong in ({"schema": 2}, {**decoded(), "verdict": "MAYBE"}, {**decoded(), "rules": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, published)


def test_the_published_schema_has_not_drifted():
    assert schema.SCHEMA_PATH.read_text() == schema.schema_text()


def test_unknown_keys_are_ignored():
    record = decoded() | {"later": [1]}
    assert json_v1.from_json(json.dumps(record)).pr == 7


@pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b'{"schema": 2}', b"\xff\xfe", b'{"schema":1,"pr":"x"}'])
def test_what_is_no_report_is_refused_in_one_line(raw):
    with pytest.raises(json_v1.ReportError, match="not an audit in JSON version 1") as caught:
        json_v1.from_json(raw)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, msgspec.DecodeError)


def test_our_fault_and_theirs_are_told_apart():
    ours = json_v1.from_json(json_v1.our_error(3, "c" * 40, "TypeError: x"))
    theirs = json_v1.from_json(json_v1.unreadable(3, "c" * 40, "no files"))
    assert (ours.verdict, theirs.verdict) == ("ERROR", "INCONCLUSIVE")
    assert "no files" in theirs.reason
