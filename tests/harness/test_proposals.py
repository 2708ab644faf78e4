"""Draws from likely followers: what they are drawn with, and which sums they tell apart."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from harness.events import Reported
from harness.experiments import proposals
from harness.experiments.bench import Ground
from harness.experiments.evalue import TAU
from harness.experiments.stages import Stage
from harness.experiments.trials import MORE, Trials, Volley, kraft_sum
from harness.probes.positions import Stream
from harness.record import Experiment, Holds

A = 200


@pytest.fixture(scope="module")
def ground():
    tokens = np.random.default_rng(4).integers(4, 4 + A, 4001)
    tokens[::100] = 1
    tokens[7] = 4 + A - 1
    starts = np.arange(4 + A) % 3 == 0
    return Ground(tokens, np.arange(4, 4 + A), np.where(tokens >= 4, 2, 0), starts)


@pytest.fixture(scope="module")
def drawn(ground):
    return proposals.draw(ground, 1000)


def charged(tokens, rule):
    """The stage of a scorer on ``tokens``; ``rule(p, target)`` is what it charges as probability.

    Honest under the identity: counts of what followed the token before, over a uniform base.
    """
    counts: dict[int, Counter[int]] = defaultdict(Counter)
    nats = []
    for before, target in zip(tokens.tolist(), tokens[1:].tolist(), strict=False):
        seen = counts[before]
        share = seen.total() / (seen.total() + 1.0)
        mixed = (1 - share) / (4 + A) + share * (seen[target] / seen.total() if seen else 0.0)
        nats.append(-math.log(rule(mixed, target, seen)))
        seen[target] += 1
    places = np.arange(1, len(tokens), dtype=np.int32)
    report = Reported("", float(np.mean(nats)), 1.0)
    return Stage(report, 1, places, np.array(nats), places.astype(np.int64), True, "sum", places)


def test_draws_keep_what_the_changes_keep(ground, drawn):
    assert (drawn.tokens[:1000] == ground.tokens[:1000]).all()
    assert ((drawn.tokens == 1) == (ground.tokens == 1)).all()
    assert drawn.tokens.max() == ground.tokens.max()
    assert len(drawn.places) > 2900 / proposals.EVERY
    assert all(len(labels) == len(drawn.places) for labels in drawn.cells.values())


@pytest.mark.parametrize("seed", range(4))
def test_every_window_of_a_stream_that_repeats_a_passage_is_located(ground, seed):
    """The passage itself stands in the repeats, too, with draws in it: runs of six seldom tell them apart."""
    tokens, window = proposals.draw(ground, 1000, seed).tokens, 64
    stream = Stream(tokens)
    for at in range(1, len(tokens) - window, window):
        found = stream.locate(tokens[at : at + window])
        known = found >= 0
        assert known.mean() > 0.9
        assert (found[known] == np.arange(at, at + window)[known]).all()


def test_the_shares_of_a_draw_sum_to_one():
    alphabet = np.arange(4, 4 + A)
    known = [Counter({5: 3, 9: 1}), Counter({9: 2})]
    total = sum(proposals._share(v, known, A) for v in alphabet.tolist())
    assert total == pytest.approx(1.0)
    rng = np.random.default_rng(0)
    nines = np.mean([proposals._one(rng, known, alphabet) == 9 for _ in range(4000)])
    assert nines == pytest.approx(proposals._share(9, known, A), abs=0.03)


def test_an_honest_cache_sums_to_one(drawn):
    told = proposals.judge(drawn, charged(drawn.tokens, lambda p, v, seen: p))
    assert abs(told["mean"] - 1.0) < 4 * told["error"]
    assert told["evidence_nats"] < 3


def test_a_choice_between_two_experts_by_the_target_is_found(drawn):
    generous = charged(drawn.tokens, lambda p, v, seen: max(p, 1.0 / (4 + A)))
    assert proposals.judge(drawn, generous)["evidence_nats"] > TAU


def test_a_gate_that_looks_at_its_target_is_found_in_the_places_where_it_gains(drawn):
    """It sums to more than one after some contexts and to less after others."""
    cells = drawn.cells["by how sure and whether it begins a word"]
    sums = np.where(cells % 2 == 1, 1.6, 0.4)
    nats = -(drawn.log_q + np.log(sums))
    places = drawn.places.astype(np.int32)
    report = Reported("", float(nats.mean()), 1.0)
    told = proposals.judge(drawn, Stage(report, 1, places, nats, places, True, "sum", places))
    assert told["mean"] < 1.0
    assert told["best_cell_mean"] == pytest.approx(1.6)
    assert told["evidence_nats"] > TAU


def test_a_scorer_that_jumps_about_is_not_judged(drawn):
    stage = charged(drawn.tokens, lambda p, v, seen: p)
    turned = Stage(stage.report, 1, stage.places, stage.nats, stage.order[::-1], True, "sum", stage.places)
    assert proposals.judge(drawn, turned) == {}


class Session:
    """Hands out a started probe's tokens as its stream."""

    def __init__(self):
        self.seconds = {3: 0.1}

    def start(self, tokens):
        return tokens

    def clock(self):
        return 0.0


class Scored(Trials):
    """Trials whose probes are charged by ``rule``, each at once."""

    rule = staticmethod(lambda p, v, seen: p)

    def stage(self, stream):
        return None, charged(stream, self.rule)


@pytest.fixture(scope="module")
def small():
    tokens = np.random.default_rng(6).integers(4, 4 + A, 1301)
    tokens[7] = 4 + A - 1
    return Ground(tokens, np.arange(4, 4 + A), None, np.arange(4 + A) % 3 == 0)


def judged(small, rule, noise=None):
    trials = Scored(Session(), small, charged(small.tokens, rule), 1e9)
    trials.rule = rule
    proposal = proposals.draw(small, 340)
    volley = Volley(trials, wiped=False, proposal=proposal, likely=charged(proposal.tokens, rule))
    return kraft_sum(volley, noise)


LUCKY = Experiment(
    "noise", Holds.HOLDS, "", {"kraft_mean": 1.1, "kraft_error": 0.1, "kraft_evidence_nats": 15.0}
)


def test_promising_evidence_is_followed_up_until_it_decides(small):
    """A sum of 1.6 is not clear from some hundred and fifty draws; wealth won from fresh ones multiplies."""
    shown = judged(small, lambda p, v, seen: 1.6 * p)
    assert 3 < shown.data["likely_evidence_nats"] < TAU
    assert shown.result is Holds.VIOLATED
    assert 1 <= shown.data["drawn_again"] <= MORE


def test_an_honest_scorer_is_not_drawn_for_again(small):
    shown = judged(small, lambda p, v, seen: p)
    assert shown.result is Holds.HOLDS
    assert "drawn_again" not in shown.data


def test_luck_of_an_honest_scorer_does_not_grow(small):
    """Fresh draws from a scorer that sums to one win nothing on average, however the first ones fell."""
    shown = judged(small, lambda p, v, seen: p, LUCKY)
    assert shown.data["drawn_again"] >= 1
    assert shown.data["together_nats"] < 20
    assert shown.result is Holds.HOLDS


def test_a_sample_whose_charges_cannot_be_followed_ends_the_drawing(small, monkeypatch):
    """To pass over some samples and go on would be to choose among them."""
    monkeypatch.setattr(Scored, "stage", lambda self, stream: (None, None))
    shown = judged(small, lambda p, v, seen: 1.6 * p)
    assert "drawn_again" not in shown.data
    assert shown.result is Holds.HOLDS
