"""A counterexample is shown again under its name, or the rerun says why not."""

import pytest

from harness.record import Experiment, Holds, Outcome, RunRecord
from harness.replay import NotShownAgainError, replayed, told

CASE = {"changed_places": [7], "charged_place": 3, "nats_before": 1.5, "nats_after": 2.5}
PREFIX = Experiment(
    "prefix", Holds.VIOLATED, "a charge moved", {"counterexample": CASE, "series": [0] * 99}, "prefix-ab12"
)
QUIET = Experiment("prefix", Holds.HOLDS, "equal to the last bit")


def test_the_named_counterexample_is_found_and_told_with_its_numbers():
    again = replayed(RunRecord(Outcome.COMPLETED, experiments=(QUIET, PREFIX)), "prefix-ab12")
    text = told(again)
    assert text.splitlines()[0] == "prefix-ab12: a charge moved"
    assert "nats_before: 1.5" in text
    assert "series" not in text


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "needs a run"),
        (RunRecord(Outcome.BLOCKED, "missing package: fla"), "missing package: fla"),
        (RunRecord(Outcome.COMPLETED, experiments=(QUIET,)), "did not come up again: equal to the last bit"),
        (RunRecord(Outcome.COMPLETED), "there is no such experiment"),
    ],
)
def test_a_counterexample_that_does_not_recur_is_one_line(record, reason):
    with pytest.raises(NotShownAgainError, match=reason) as caught:
        replayed(record, "prefix-ab12")
    assert "\n" not in str(caught.value)
