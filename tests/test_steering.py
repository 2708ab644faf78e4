"""What reading suspects decides how far the run trains."""

from pathlib import Path

import pytest

import audit
from harness import runner
from harness.folder import load_folder
from harness.record import Outcome, RunRecord

CASES = Path(__file__).parent / "cases" / "validation-in-training"


@pytest.fixture
def steps_of(monkeypatch, tmp_path):
    """Audit a script with runs that end in these outcomes; the steps that each of them was to make."""

    def call(case, *outcomes):
        tried, ends = [], iter(outcomes)

        def run(submission, layers, logs, options):
            tried.append((options.steps, options.train.tokens))
            return RunRecord(next(ends), "why")

        monkeypatch.setattr(runner, "run", run)
        (tmp_path / "train_gpt.py").write_text((CASES / case).read_text())
        done = audit.audit(load_folder(tmp_path), audit.Options())
        assert done.run.outcome is outcomes[-1]
        return tried

    return call


def test_training_suspected_of_validation_goes_further_over_fewer_tokens(steps_of):
    ((steps, tokens),) = steps_of("violates_mixed_into_the_batch.py", Outcome.COMPLETED)
    assert steps > runner.STEPS
    assert tokens < runner.RunOptions().train.tokens
    assert steps * 1024 > tokens  # the smallest steps that runs make, too, pass over all of it


def test_a_run_that_fails_that_way_is_made_as_usual(steps_of):
    tried = steps_of("violates_mixed_into_the_batch.py", Outcome.CRASHED, Outcome.COMPLETED)
    assert [steps for steps, _ in tried] == [runner.REACHING_STEPS, runner.STEPS]


def test_no_suspicion_leaves_the_run_as_it_is(steps_of):
    tried = steps_of("complies_validation_loss_is_only_printed.py", Outcome.COMPLETED)
    assert tried == [(runner.STEPS, runner.RunOptions().train.tokens)]
