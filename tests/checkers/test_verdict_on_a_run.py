"""A clean run clears a static suspicion only where the suspected lines ran: end to end."""

import pytest

from checkers.finding import Evidence, Finding, Kind, Location, Strength, examined
from checkers.registry import Checked, Checker
from checkers.verdict import decide
from harness.record import Outcome, RunRecord
from rules.model import Need, Verdict
from tests.checkers.test_verdict import SLUG, book
from tests.harness.test_experiments_on_scripts import BASE
from tests.harness.toy_run import run

IDLE = "\n\ndef never(model, val):\n    return model(val)\n\n\ndef main"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The honest script, with a function that nobody calls: its text and the record of its run."""
    folder = tmp_path_factory.mktemp("ran")
    text = BASE.read_text().replace("\n\ndef main", IDLE, 1)
    assert "def never" in text
    (folder / "script.py").write_text(text)
    done = run(folder, folder / "script.py", seconds=200.0)
    assert done.problem == ""
    layers = done.experiments["coverage"].data["layers"]
    record = RunRecord(Outcome.COMPLETED, experiments=tuple(done.experiments.values()), coverage=layers)
    return text.splitlines(), record


def verdict_on(line, record):
    where = Location("train_gpt.py", line)
    suspicion = Finding(SLUG, "suspicious", where, Evidence(Kind.STATIC, "e"), Strength.SUSPECT, 0.6)
    result = examined(1, "1 site", [suspicion])
    return decide(book(), [Checked(Checker(SLUG, Need.STATIC, lambda _: result), result, None)], record)


def line_of(text, what):
    return next(number for number, line in enumerate(text, 1) if what in line)


@pytest.mark.slow
def test_a_suspicion_on_the_scoring_path_is_cleared_by_the_run(ran):
    text, record = ran
    decision = verdict_on(line_of(text, 'reduction="sum"'), record)
    assert decision.verdict is Verdict.PASS
    assert len(decision.rules[0].cleared) == 1


@pytest.mark.slow
def test_a_suspicion_on_lines_that_did_not_run_stays(ran):
    text, record = ran
    decision = verdict_on(line_of(text, "return model(val)"), record)
    assert decision.verdict is Verdict.REVIEW
    assert decision.rules[0].cleared == ()
