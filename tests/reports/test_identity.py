"""A finding keeps its fingerprint when lines shift, from the file on disk to SARIF."""

import json

import pytest

import audit
from harness.folder import load_folder
from reports import json_v1, sarif
from tests.checkers.static_cases import CASES

CASE = CASES / "rescored-validation" / "violates_second_stage_with_the_mutated_weights.py"


def results(folder):
    done = audit.audit(load_folder(folder), audit.Options(run=False))
    log = json.loads(sarif.render(json_v1.from_json(json_v1.to_json(done))))
    return [r for r in log["runs"][0]["results"] if r["ruleId"] == "rescored-validation"]


def start(result):
    return result["locations"][0]["physicalLocation"]["region"]["startLine"]


def written(folder, text):
    folder.mkdir()
    (folder / "train_gpt.py").write_text(text)
    return results(folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The results for a case, and for the same case seven lines further down."""
    base, text = tmp_path_factory.mktemp("identity"), CASE.read_text()
    return written(base / "plain", text), written(base / "shifted", "# a line\n" * 7 + text)


def test_fingerprints_are_stable_under_line_shifts(pair):
    plain, shifted = pair
    lines = [[start(r) for r in rows] for rows in (plain, shifted)]
    assert plain
    assert [line + 7 for line in lines[0]] == lines[1]
    assert [r["partialFingerprints"] for r in plain] == [r["partialFingerprints"] for r in shifted]


def test_the_flow_goes_from_the_first_score_over_training_to_the_second(pair):
    (steps,) = (
        [s["location"] for s in r["codeFlows"][0]["threadFlows"][0]["locations"]] for r in pair[0][:1]
    )
    said = [s["message"]["text"] for s in steps if "called" not in s["message"]["text"]]
    assert [("before" in s, "gradient" in s, "reported" in s) for s in said] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
