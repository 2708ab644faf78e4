"""Show one counterexample again.

Runs are deterministic, so a counterexample is shown again by running the head again: its name is made
of the experiment and the places involved.
"""

from __future__ import annotations

import json

from harness.record import Experiment, Outcome, RunRecord
from harness.submission import SubmissionError


class NotShownAgainError(SubmissionError):
    """The rerun did not bring up the counterexample that was named; the message says what it did."""


def replayed(record: RunRecord | None, replay: str) -> Experiment:
    """Of a rerun, the violated experiment that ``replay`` names.

    Raises:
        NotShownAgainError: it did not come up.
    """
    if record is None:
        raise NotShownAgainError(f"--replay {replay} needs a run")
    if record.outcome is not Outcome.COMPLETED:
        raise NotShownAgainError(f"{replay} was not reached: {record.blocker or record.outcome}")
    name = replay.rpartition("-")[0]
    for experiment in record.experiments:
        if experiment.replay == replay:
            return experiment
    now = next((e.summary for e in record.experiments if e.name == name), "there is no such experiment")
    raise NotShownAgainError(f"{replay} did not come up again: {now}")


def told(experiment: Experiment) -> str:
    """A counterexample in plain text: what happened, then the numbers that show it."""
    numbers = experiment.data.get("counterexample", experiment.data)
    plain = {k: v for k, v in numbers.items() if not isinstance(v, (list, dict)) or len(v) <= 8}
    lines = [f"{experiment.replay}: {experiment.summary}"]
    return "\n".join([*lines, *(f"  {key}: {json.dumps(value)}" for key, value in plain.items())])
