"""The series behind the pictures keep what matters and stay small."""

import numpy as np
import pytest

from harness.events import Stepped, pack_positions
from harness.experiments import drawn


class FakeTrace:
    def __init__(self, *steps):
        self.steps = [(n, Stepped("Adam", pack_positions(np.array(p)))) for n, p in steps]

    def updates(self):
        return self.steps


def test_an_honest_evaluation_is_a_staircase_of_scoring_and_training():
    places, when = np.arange(8, dtype=np.int32), np.repeat([1, 3], 4)
    trace = FakeTrace((2, range(4)), (4, range(4, 8)))
    learned = {0: 2, 1: 2, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 4}
    told = [(e["what"], e["first"], e["last"]) for e in drawn.timeline(trace, places, when, learned, 0)]
    assert told == [("scored", 0, 3), ("trained", 0, 3), ("scored", 4, 7), ("trained", 4, 7)]


def test_scoring_after_training_shows_as_such():
    places, when = np.arange(4, dtype=np.int32), np.full(4, 9)
    told = drawn.timeline(
        FakeTrace((2, range(4)), (3, range(4))), places, when, dict.fromkeys(range(4), 2), 0
    )
    assert [e["what"] for e in told] == ["trained", "scored again"]


def test_long_timelines_are_thinned():
    places, when = np.arange(5000, dtype=np.int32), np.arange(5000) * 2
    trace = FakeTrace(*((2 * n + 1, [n]) for n in range(5000)))
    told = drawn.timeline(trace, places, when, {n: 2 * n + 1 for n in range(5000)}, -1)
    assert 100 < len(told) <= drawn.MOST


def test_losses_that_moved_are_never_thinned_away():
    places = np.arange(10_000, dtype=np.int32)
    before = np.ones(10_000)
    after = before.copy()
    after[7_777] = 2.0
    series = drawn.changed_losses(places, before, after)
    assert 7_777 in series["positions"]
    assert len(series["positions"]) <= drawn.MOST
    assert series["positions"] == sorted(series["positions"])
    assert len(series["positions"]) == len(series["before"]) == len(series["after"])


def test_the_kraft_profile_is_one_for_a_code_and_shows_where_it_is_not():
    generator = np.random.default_rng(5)
    places = np.arange(6400, dtype=np.int32)
    nats = np.full(6400, np.log(1000)) + generator.normal(0, 0.01, 6400)
    nats[3200:] -= np.log(5)
    profile = drawn.kraft_profile(places, nats, 1000)
    assert profile["z"][0] == pytest.approx(1, abs=0.01)
    assert profile["z"][-1] == pytest.approx(5, abs=0.05)
    assert len(profile["positions"]) == drawn.PARTS


def test_too_few_charges_give_no_profile():
    assert drawn.kraft_profile(np.arange(9, dtype=np.int32), np.ones(9), 1000) == {}
