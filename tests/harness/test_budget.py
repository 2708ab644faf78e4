"""Training shards may be opened until the artifact is read back; without one, until scoring begins."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from harness.events import FileRead, Scrambled, Snapshot, Stamped, Stepped, pack_positions
from harness.experiments.budget import budget
from harness.experiments.trials import Volley, other_training
from harness.record import Holds
from harness.trace import Trace
from tests.harness.test_experiments import charge, report
from tests.harness.test_experiments_on_scripts import CALIBRATED, run, script

STEP = Stepped("AdamW", pack_positions([]), "train_gpt.py:9", 3)
SHARD = FileRead("/data/fineweb_train_000001.bin", "training")
ARTIFACT = FileRead("/run/final_model.ptz", "artifact")
CHARGE = charge(range(1, 101), np.linspace(1, 2, 100))


def judged(*events):
    """The verdict on these events, and a report of the score that the charges among them make up."""
    listed = [Snapshot("first charge after training"), *events, report(1.5)]
    main = Trace(tuple(Stamped(i, float(i), 0, e) for i, e in enumerate(listed)))
    order = np.array([n for n, e in enumerate(listed) if e is CHARGE])
    return budget(main, SimpleNamespace(order=order))


@pytest.mark.parametrize(
    ("events", "result"),
    [
        ((SHARD, STEP, ARTIFACT, CHARGE), Holds.HOLDS),
        ((SHARD, STEP, SHARD, ARTIFACT, CHARGE), Holds.HOLDS),  # calibration in training time
        ((SHARD, STEP, ARTIFACT, SHARD, CHARGE), Holds.VIOLATED),
        ((SHARD, STEP, CHARGE), Holds.HOLDS),
        ((SHARD, STEP, CHARGE, SHARD, CHARGE), Holds.VIOLATED),
        ((SHARD, STEP, SHARD, CHARGE), Holds.UNDECIDED),  # of which time is the calibration?
        ((SHARD, STEP, SHARD, CHARGE, SHARD, CHARGE), Holds.UNDECIDED),
        ((SHARD, CHARGE), Holds.UNDECIDED),  # the steps of this framework are not seen
        ((SHARD, STEP), Holds.UNDECIDED),  # nor are its charges
    ],
)
def test_where_no_artifact_is_read_back_training_ends_with_its_last_step(events, result):
    assert judged(*events).result is result


def test_a_shard_fetched_ahead_while_the_score_is_made_accuses_nobody():
    opened = judged(SHARD, STEP, CHARGE, SHARD, CHARGE)
    lost = SimpleNamespace(start=lambda **how: -1, stage=lambda stream: (None, None), ending=lambda: "")
    assert other_training(lost, opened, None).result is Holds.UNDECIDED


def test_charges_that_stand_while_nothing_was_wiped_show_no_round_trip():
    def volley(*events):
        trace = Trace(tuple(Stamped(i, 0.0, 3, e) for i, e in enumerate(events)))
        return Volley(SimpleNamespace(), wiped=True, clean=True, trace=trace)

    assert volley().roundtrip().result is Holds.UNDECIDED
    assert volley(Scrambled(0)).roundtrip().result is Holds.UNDECIDED
    assert volley(Scrambled(2)).roundtrip().result is Holds.HOLDS


MIDWAY = """
def evaluate(model, val):
    total, count = 0.0, 0
    for at, (inputs, targets) in enumerate(windows(val)):
        with torch.no_grad():
            if at == 4:
                model.head.bias += 0.1 * torch.bincount(load("train")[:512], minlength=VOCAB).float().sqrt()
            total += F.cross_entropy(model(inputs), targets, reduction="sum").item()
        count += len(targets)
    return total, count
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("evaluate", "result"),
    [(CALIBRATED, Holds.UNDECIDED), (MIDWAY, Holds.VIOLATED)],
    ids=["before", "midway"],
)
def test_calibration_where_nothing_is_read_back_counts_once_scoring_has_begun(evaluate, result, tmp_path):
    kept = '    torch.save(model.state_dict(), "final_model.pt")\n'
    kept += '    model.load_state_dict(torch.load("final_model.pt"))\n'
    found = run(tmp_path, script(tmp_path, evaluate, (kept, ""))).experiments
    assert found["roundtrip"].result is Holds.UNDECIDED
    assert found["budget"].result is result
    assert (found["budget"].data.get("charges_moved", 0) > 0) is (result is Holds.VIOLATED)
