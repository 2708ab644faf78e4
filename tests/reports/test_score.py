"""The accuracy table counts what it says, and refuses files it cannot read."""

import pytest

from reports.score import AuditLine, PrecedentLine, ScoreError, read_jsonl, score


def precedent(pr, gold, *conditions):
    label = {"verdict": gold.split("/")[0], "conditions": list(conditions), "mechanism": "m"}
    return {"pr": pr, "gold": gold, "labels": [label]}


def result(pr, verdict, *rules):
    return {
        "pr": pr,
        "verdict": verdict,
        "rules": [{"rule": f"rule-{c}", "condition": c, "verdict": v} for c, v in rules],
    }


def test_right_condition_counts_only_rules_that_carry_the_verdict():
    results = [
        result(1, "FAIL", ("C1_causality", "FAIL"), ("SIZE", "REVIEW")),
        result(2, "FAIL", ("SIZE", "FAIL"), ("C1_causality", "REVIEW")),
        result(3, "PASS"),
    ]
    precedents = [precedent(n, "invalid/author", "C1_causality") for n in (1, 2, 3)]
    (group,) = score(results, precedents)
    assert (group.total, group.with_condition, group.right_condition) == (3, 2, 1)
    assert group.share("FAIL") == pytest.approx(2 / 3)
    assert [m.split(":")[0] for m in group.misses] == ["#2", "#3"]


def test_a_valid_head_that_is_accused_is_a_miss():
    (group,) = score([result(1, "REVIEW", ("SIZE", "REVIEW"))], [precedent(1, "valid/organizer")])
    assert group.misses == ("#1: REVIEW (rule-SIZE); public: m",)


def test_a_precedent_without_a_result_is_missing_not_passed():
    (group,) = score([], [precedent(1, "valid/organizer")])
    assert group.verdicts == {"MISSING": 1}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"pr": 1, "gold": "valid/organizer", "labels": []}\nnonsense\n', r"lines.jsonl:2: not JSON"),
        (b"[]\n", r"lines.jsonl:1: not a JSON object"),
        (b'\n{"pr": 1}\n', r"lines.jsonl:2: .*gold"),
        (b'{"pr": "x", "gold": "valid/author", "labels": []}\n', r"lines.jsonl:1: .*pr"),
        (b"\n", r"lines.jsonl: empty"),
        (b"\x80\x81", r"lines.jsonl: not a text file"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_by_line(tmp_path, content, says):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(content)
    with pytest.raises(ScoreError, match=says):
        read_jsonl(path, PrecedentLine)


def test_a_line_cut_off_in_a_sweep_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"pr": 1, "verdict": "PASS", "rules": []}\n{"pr": 2, "ver')
    with pytest.raises(ScoreError, match=r"results.jsonl:2: not JSON"):
        read_jsonl(path, AuditLine)
    with pytest.raises(ScoreError, match="No such file"):
        read_jsonl(tmp_path / "absent", AuditLine)
