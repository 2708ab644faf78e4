"""Forks: their charges are found by their turn, and none is begun that could not end in time."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness.events import Charged, Reported, Snapshot, Stamped, pack_nats, pack_positions
from harness.experiments.alignment import align
from harness.experiments.bench import Ground
from harness.experiments.forks import Trials
from harness.experiments.prefix import single_change
from harness.experiments.stages import counterpart, final
from harness.record import Experiment, Holds
from harness.trace import Trace

TOKENS = np.random.default_rng(4).integers(4, 68, 401)
GROUND = Ground(TOKENS, np.arange(4, 68), np.full(401, 2))
ONE = np.random.default_rng(5).uniform(1, 2, 400)
TWO = ONE + np.where(np.arange(400) % 2, 0.02, -0.02)
"""Two evaluations with one mean: of plain and of sliding windows, say."""


def evaluation(nats, name, site="train_gpt.py:9"):
    """Charges of four batches at one line, then the report."""
    places = np.arange(1, 401).reshape(4, 100)
    batches = zip(places, nats.reshape(4, 100), strict=True)
    charges = [Charged("sum", site, pack_positions(p), pack_nats(n), float(n.sum())) for p, n in batches]
    loss = float(nats.mean())
    return [*charges, Reported(f"{name} val_loss: {loss:.4f}", round(loss, 4), None)]


def trace(*events):
    return Trace(tuple(Stamped(i, float(i), 0, e) for i, e in enumerate(events)))


PLAIN = trace(
    *evaluation(ONE + 3, "in training"),
    Snapshot("artifact model.ptz is read back"),
    *evaluation(ONE, "plain"),
    *evaluation(TWO, "windows"),
)
SINCE = 5


def test_a_stage_that_the_sum_confuses_with_another_is_found_by_its_turn():
    base = final(PLAIN, GROUND)
    probe = trace(*evaluation(ONE, "plain"), *evaluation(TWO, "windows"))
    confused = counterpart(trace(*evaluation(ONE, "plain")), base, GROUND)
    assert confused.nats.tolist() == ONE.tolist()
    found = align(confused, base, PLAIN, SINCE, probe)
    assert found.aligned
    assert found.nats.tolist() == TWO.tolist()
    assert found.order.tolist() == base.order.tolist()


@pytest.mark.parametrize(
    "probe",
    [
        trace(*evaluation(ONE, "plain"), *evaluation(TWO, "windows", "train_gpt.py:12")),
        trace(*evaluation(ONE, "plain"), *evaluation(TWO, "windows")[2:]),
        trace(*evaluation(TWO, "windows")),
    ],
    ids=["other-line", "fewer", "one-of-two"],
)
def test_runs_that_charge_in_other_turns_are_left_as_they_are(probe):
    base = final(PLAIN, GROUND)
    stage = counterpart(probe, base, GROUND)
    assert align(stage, base, PLAIN, SINCE, probe) is stage


def test_only_equal_charges_are_counterparts_without_their_turn():
    """Where two evaluations may have been confused, a difference accuses nobody, and equality stands."""
    base = final(PLAIN, GROUND)
    session = SimpleNamespace(clock=lambda: 0.0)
    trials = Trials(session, GROUND, base, 1.0)
    new = single_change(GROUND, 300)

    def shift(nats):
        return trials.compared(counterpart(trace(*evaluation(nats, "windows")), base, GROUND), new)

    assert shift(TWO).moved == 0
    assert shift(ONE) is None


@pytest.mark.parametrize(("clock", "ending"), [(10.0, "score"), (181.0, "the time of the run was used up")])
def test_what_is_open_for_want_of_time_says_so(clock, ending):
    session = SimpleNamespace(clock=lambda: clock)
    trial = Trials(session, GROUND, final(PLAIN, GROUND), 180.0)
    opened = Experiment("repeat", Holds.UNDECIDED, "the unchanged fork did not reach the score")
    assert trial.timed(opened).summary.endswith(ending)
    held = Experiment("repeat", Holds.HOLDS, "forks repeat the charges exactly")
    assert trial.timed(held) is held


def test_a_fork_that_could_not_end_in_time_is_not_begun():
    session = SimpleNamespace(clock=lambda: 150.0, start=lambda tokens, **how: 3)
    stage = final(PLAIN, GROUND)
    assert Trials(session, GROUND, stage, 180.0, cost=40.0).start() == 3
    trial = Trials(session, GROUND, stage, 180.0, cost=110.0)
    assert trial.start() == -1
    opened = Experiment("kraft", Holds.UNDECIDED, "the charges of replaced tokens could not be followed")
    assert trial.timed(opened).summary.endswith("used up (30 s left, a fork takes 110 s)")
