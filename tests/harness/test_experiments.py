"""The statistics of the experiments are laws; the judgements follow from constructed stages."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.events import (
    Charged,
    Finished,
    Reported,
    Snapshot,
    Stamped,
    StateWritten,
    Stepped,
    pack_nats,
    pack_positions,
)
from harness.experiments import noise, passive, prefix, trials
from harness.experiments.bench import Ground
from harness.experiments.evalue import TAU, betting, hashed_kraft, kraft, saving
from harness.experiments.forks import Trials
from harness.experiments.stages import Stage, comparable, counterpart, final, stages
from harness.record import Experiment, Holds
from harness.trace import Trace

A = 64


def random_scorer(rng, size):
    """Normalized distributions, one a position, sharp and flat ones."""
    logits = rng.normal(0, rng.uniform(0, 3), (size, A))
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


# --- laws ---------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_normalized_scorer_never_reaches_the_threshold_on_noise(seed):
    rng = np.random.default_rng(seed)
    p = random_scorer(rng, 500)
    nats = -np.log(p[np.arange(500), rng.integers(0, A, 500)])
    assert saving(nats, A) < TAU
    assert kraft(nats, A).evidence < TAU


def test_the_probability_bound_holds_where_it_is_tight():
    """P(saving >= tau) <= e^-tau, checked at small tau where 20,000 trials can see it."""
    rng = np.random.default_rng(1)
    p = np.where(np.arange(A) < A // 2, 2.0 / A, 1e-12)  # bets all on half of the alphabet
    nats = -np.log(p)[rng.integers(0, A, (20_000, 4))]
    savings = np.array([saving(row, A) for row in nats])
    for tau in (0.5, 1.0, 2.0, 2.7):
        assert (savings >= tau).mean() <= math.exp(-tau)
    assert (savings >= 2.7).mean() == pytest.approx(1 / 16, abs=0.01)  # 4 ln 2 = 2.77, attained


def test_the_betting_bound_holds_too():
    rng = np.random.default_rng(2)
    wealth = np.array([betting(A * rng.dirichlet(np.ones(A), 30)[np.arange(30), 0]) for _ in range(3000)])
    for tau in (1.0, 2.0, 3.0):
        assert (wealth >= tau).mean() <= math.exp(-tau)


@given(st.floats(1.02, 3.0), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_an_excess_is_found_even_in_a_scorer_too_bad_to_compress(excess, seed):
    rng = np.random.default_rng(seed)
    p = np.tile(np.r_[np.full(8, 0.5 / 8), np.full(A - 8, 0.5 / (A - 8))], (40_000, 1))
    nats = -np.log(excess * p[np.arange(40_000), rng.integers(0, A, 40_000)])
    found = kraft(nats, A)
    assert found.mean == pytest.approx(excess, abs=5 * found.error)
    if excess > 1.1:
        assert found.evidence >= TAU


def test_the_exact_kraft_sum_is_what_uniform_tokens_estimate():
    rng = np.random.default_rng(3)
    p = random_scorer(rng, 1) * 1.7
    nats = -np.log(p[0, rng.integers(0, A, 100_000)])
    assert kraft(nats, A).mean == pytest.approx(float(p.sum()), rel=0.05)


def test_charging_twice_divides_the_evidence():
    nats = np.full(100, 1.0)
    assert saving(np.tile(nats, 2), A, times=2) == pytest.approx(saving(nats, A))


def test_the_analytic_sum_of_a_hashed_table():
    assert hashed_kraft(1024, 0.0, 3.0) == 1.0
    assert hashed_kraft(1024, 15.0, 3.0) == pytest.approx((3 + 1024 * 15) / 18)


# --- stages -------------------------------------------------------------------------------------


def stamped(*events):
    return Trace(tuple(Stamped(i, float(i), 0, e) for i, e in enumerate(events)))


def charge(places, nats, via="sum", site="train_gpt.py:5"):
    return Charged(via, site, pack_positions(places), pack_nats(nats), float(np.sum(nats)))


def report(loss, bpb=1.0, label="final"):
    return Reported(f"{label} val_loss:{loss:.6f} val_bpb:{bpb:.6f}", round(loss, 6), round(bpb, 6))


def test_a_score_is_explained_by_the_site_that_adds_up():
    everything = charge(range(1, 101), np.full(100, 6.0), "cross_entropy", "train_gpt.py:3")
    scored = charge(range(51, 101), np.linspace(1, 2, 50))
    stage = final(stamped(everything, scored, report(1.5), Finished("stream 0")))
    assert stage.explained
    assert stage.how == "sum at train_gpt.py:5"
    assert stage.places.tolist() == list(range(51, 101))


def test_a_score_that_no_charges_make_up_is_not_explained():
    stage = final(stamped(charge(range(1, 51), np.full(50, 3.0)), report(2.0)))
    assert not stage.explained


def test_a_few_charges_that_have_the_mean_by_chance_explain_nothing():
    """The last window of a second pass, say, which starts where most was seen before."""
    most = charge(range(1, 2001), np.full(2000, 3.0))
    few = charge(range(1, 65), np.full(64, 2.0), site="b.py:9")
    stage = final(stamped(most, few, report(2.0)))
    assert not stage.explained
    assert len(np.unique(stage.places)) == 2000


def test_progress_lines_do_not_hide_the_charges_of_the_final_report():
    one, two = charge(range(1, 51), np.full(50, 3.0)), charge(range(51, 101), np.full(50, 2.0))
    progress = Reported("ttt_chunk [1/2] bpb=1.8", None, 1.8)
    last = Reported("ttt_chunk [2/2] bpb=1.5", None, 1.5)
    found = stages(stamped(one, progress, two, last, report(2.5, 1.5)))
    assert found[-1].explained
    assert len(found[-1].places) == 100


def test_the_smallest_loss_of_several_passes_is_recognized():
    rng = np.random.default_rng(0)
    losses = rng.uniform(1, 3, (3, 40))
    events = [charge(range(1, 41), row, "cross_entropy", "train_gpt.py:3") for row in losses]
    stage = final(stamped(*events, report(float(losses.min(0).mean()))))
    assert "minimum over passes" in stage.how
    assert passive.passes(stage, 41).data["best"]


@pytest.mark.parametrize("apart", [4e-4, 4e-3])
def test_a_draft_whose_loss_is_nearly_the_same_is_no_earlier_pass(apart):
    """The model computes a loss of its provisional logits, too: the smaller of both has the same mean."""
    rng = np.random.default_rng(1)
    own = rng.uniform(6.8, 7.0, (2, 40))
    draft = own + rng.uniform(0, apart, own.shape)
    events = []
    for half in range(2):
        places = range(1 + 40 * half, 41 + 40 * half)
        events += [charge(places, draft[half], "cross_entropy", "train_gpt.py:3")]
        events += [charge(places, own[half], "cross_entropy", "train_gpt.py:9")]
    stage = final(stamped(*events, report(float(own.mean()))))
    assert stage.explained
    assert stage.how == "cross_entropy at train_gpt.py:9"
    assert passive.passes(stage, 81).result is Holds.HOLDS


def test_windows_that_overlap_are_explained_by_what_each_has_new():
    rng = np.random.default_rng(2)
    windows = [(range(1 + 10 * k, 31 + 10 * k), rng.uniform(6, 8, 30)) for k in range(5)]
    new = np.concatenate([windows[0][1], *(losses[20:] for _, losses in windows[1:])])
    events = [charge(places, losses, "cross_entropy", "train_gpt.py:3") for places, losses in windows]
    stage = final(stamped(*events, report(float(new.mean()))))
    assert stage.explained
    assert stage.places.tolist() == list(range(1, 71))
    np.testing.assert_array_equal(stage.nats, new)
    assert stage.times() == 1


# --- judgements ---------------------------------------------------------------------------------


@pytest.fixture
def ground():
    tokens = np.random.default_rng(4).integers(4, 4 + A, 1001)
    tokens[::100] = 1
    tokens[7] = 4 + A - 1
    return Ground(tokens, np.arange(4, 4 + A), np.where(tokens >= 4, 2, 0))


def stage_of(ground, nats, places=None, order=None, loss=None, bpb=1.0):
    places = np.arange(1, len(ground.tokens), dtype=np.int32) if places is None else places
    order = np.arange(len(places)) // 50 if order is None else order
    loss = float(np.mean(nats)) if loss is None else loss
    return Stage(report(loss, bpb), 99, places, np.asarray(nats, float), order, True, "sum", places)


def test_noise_keeps_boundaries_and_replaces_all_else(ground):
    tokens = noise.noise_tokens(ground)
    assert (tokens[::100] == 1).all()
    assert np.isin(np.delete(tokens, np.s_[::100]), ground.ordinary).all()
    assert (tokens != ground.tokens).mean() > 0.9


def test_noise_at_the_floor_holds_and_below_it_convicts(ground):
    fair = noise.judge(stage_of(ground, np.full(1000, math.log(A))), None, ground)
    assert fair.result is Holds.HOLDS
    below = noise.judge(stage_of(ground, np.full(1000, math.log(A) - 0.1)), None, ground)
    assert below.result is Holds.VIOLATED
    assert below.data["evidence_nats"] == pytest.approx(0.1 * 990)  # ten boundaries are granted


def test_free_boundaries_are_no_saving(ground):
    nats = np.where(ground.tokens[1:] == 1, 0.0, math.log(A))
    assert noise.judge(stage_of(ground, nats), None, ground).result is Holds.HOLDS


def test_a_number_alone_convicts_only_by_a_wide_margin(ground):
    def unexplained(loss, bpb):
        stage = stage_of(ground, np.full(1000, loss), bpb=bpb)
        return Stage(stage.report, 1, stage.places, stage.nats, stage.order, False, "", stage.places)

    plain = unexplained(3.3, 3.3 / math.log(2) / 1.98)
    wide = unexplained(1.5, 1.5 / math.log(2) / 1.98)
    assert noise.judge(wide, plain, ground).result is Holds.VIOLATED
    narrow = unexplained(3.0, 3.0 / math.log(2) / 1.98)
    assert noise.judge(narrow, plain, ground).result is Holds.UNDECIDED
    for doubtful in (unexplained(0.0, 1.0), unexplained(1.5, 1.5 / math.log(2)), plain):
        assert noise.judge(doubtful, plain, ground).result is Holds.UNDECIDED


def test_a_late_change_touches_what_is_charged_last_wherever_it_lies(ground):
    order = (np.arange(1000) // 50) % 10  # two halves of the stream side by side
    base = stage_of(ground, np.full(1000, 5.0), order=order)
    assert not prefix.in_order(base)
    new = prefix.late_change(ground, base)
    changed = np.flatnonzero(new != ground.tokens)
    assert set(order[changed - 1].tolist()) == {7, 8, 9}
    shift = prefix.compare(base, base, ground.tokens, new)
    assert shift.compared >= 700
    assert ((new == 1) == (ground.tokens == 1)).all()


def test_a_change_is_put_at_the_end_of_what_is_charged_together(ground):
    base = stage_of(ground, np.full(1000, 5.0), order=np.arange(1000) // 16)
    place = prefix.inside(base, 500)
    assert 500 <= place < 564
    assert place % 16 == 0  # the last of the sixteen places 16 k + 1 to 16 k + 16
    whole = stage_of(ground, np.full(1000, 5.0), order=np.zeros(1000, int))
    assert prefix.inside(whole, 500) == 500
    assert prefix.inside(base, 5000) == 5000  # nothing is charged there


def test_a_loss_counts_from_when_it_was_computed_as_it_is_charged():
    """Second passes compute other losses; windows that overlap compute the charged loss first."""
    rng = np.random.default_rng(0)
    first, second = rng.uniform(1, 3, (2, 40))
    passes = [charge(range(1, 41), row, "cross_entropy", "train_gpt.py:3") for row in (first, second)]
    total = charge(range(1, 41), second, "numpy_sum", "train_gpt.py:9")
    stage = final(stamped(*passes, total, report(float(second.mean()))))
    assert set(stage.order.tolist()) == {1}
    total = charge(range(1, 41), first, "numpy_sum", "train_gpt.py:9")
    stage = final(stamped(*passes, total, report(float(first.mean()))))
    assert set(stage.order.tolist()) == {0}
    mixed = 0.7 * first
    total = charge(range(1, 41), mixed, "numpy_sum", "train_gpt.py:9")
    assert set(final(stamped(*passes, total, report(float(mixed.mean())))).order.tolist()) == {0}


def test_a_mixture_that_is_near_a_later_computation_by_chance_counts_from_the_first():
    """Windows that overlap compute a place several times, to nearly the same loss (an APM does so)."""
    first = np.random.default_rng(0).uniform(1, 3, 40)
    mixed = first * 1.001
    again = np.where(np.arange(40) % 4 == 0, mixed, first * 0.999)
    passes = [charge(range(1, 41), row, "gather", "train_gpt.py:3") for row in (first, again)]
    total = charge(range(1, 41), mixed, "numpy_sum", "train_gpt.py:9")
    assert set(final(stamped(*passes, total, report(float(mixed.mean())))).order.tolist()) == {0}


def test_changes_keep_boundaries_and_the_largest_id(ground):
    for changed in (
        prefix.tail_change(ground, 500),
        prefix.single_change(ground, 500),
        trials.sparse_noise(ground, 500)[0],
    ):
        assert (changed[:500] == ground.tokens[:500]).all()
        assert changed.max() == ground.tokens.max()
        assert np.isin(changed[changed != ground.tokens], ground.ordinary).all()
        assert ((changed == 1) == (ground.tokens == 1)).all()
    assert (prefix.single_change(ground, 500) != ground.tokens).sum() == 1


def test_a_probe_is_compared_by_the_stage_that_reads_the_same(ground):
    """With other tokens the score that counts may be just out of reach of our byte counts, and one nearly
    equal to it just within: then a summary's lines are both taken for the one that is explained."""
    one = np.random.default_rng(5).uniform(1, 2, 1000)
    two = one + np.where(np.arange(1000) % 2, 0.02, -0.02)

    def run(*shares):
        told, places = [], range(1, 1001)
        for nats, share, name in zip((one, two), shares, ("plain", "windows"), strict=True):
            bpb = round(share * float(nats.sum()) / math.log(2) / ground.byte_counts[1:].sum(), 6)
            told.append(Reported(f"{name} bpb: {bpb:.6f}", None, bpb))
        first, second = (charge(places, nats) for nats in (one, two))
        summary = [Reported(f"{r.line[0]}: bpb {r.val_bpb:.6f}", None, r.val_bpb) for r in told]
        return stamped(first, told[0], second, told[1], *summary)

    base, probe = final(run(1.0, 1.0), ground), run(0.9903, 0.9899)
    assert base.nats.tolist() == two.tolist()
    assert final(probe, ground).nats.tolist() == one.tolist()
    found = counterpart(probe, base, ground)
    assert not found.explained
    assert comparable(found, base)
    assert found.nats.tolist() == two.tolist()
    assert not comparable(replace(found, places=found.places[:500]), base)


def test_later_charges_may_move_and_earlier_ones_may_not(ground):
    new = prefix.single_change(ground, 500)
    at = int(np.flatnonzero(new != ground.tokens)[0])
    nats = np.random.default_rng(0).uniform(1, 2, 1000)
    base = stage_of(ground, nats)
    moved = nats.copy()
    moved[at - 1 :] += 0.3
    legal = prefix.compare(base, stage_of(ground, moved), ground.tokens, new)
    assert (legal.moved, legal.reached, legal.proves) == (0, True, False)
    assert legal.compared == at - 1
    moved[5] += 0.01
    leak = prefix.compare(base, stage_of(ground, moved), ground.tokens, new)
    assert leak.proves
    assert leak.example == (6, nats[5], pytest.approx(nats[5] + 0.01))


@pytest.mark.parametrize(("moves", "proves"), [(range(520, 560), False), (range(440, 480), True)])
def test_a_charge_made_early_may_know_what_stands_left_of_it(ground, moves, proves):
    """A document is scored before the one that it follows, and sees its end."""
    new = prefix.single_change(ground, 500)
    (at,) = np.flatnonzero(new != ground.tokens)
    nats = np.ones(len(ground.tokens) - 1)
    order = np.arange(len(nats))
    order[at - 1] = len(nats)  # the changed place is charged last
    moved = nats.copy()
    moved[[place - 1 for place in moves]] += 1.0
    base, probe = stage_of(ground, nats, order=order), stage_of(ground, moved, order=order)
    shift = prefix.compare(base, probe, ground.tokens, new)
    assert (shift.moved, shift.proves) == (len(moves), proves)


def test_rounding_is_told_from_dependence(ground):
    new = prefix.single_change(ground, 500)
    nats = np.random.default_rng(0).uniform(1, 2, 1000)
    shaken = nats + np.where(np.arange(1000) < 400, 3e-6, 0.0)
    shift = prefix.compare(stage_of(ground, nats), stage_of(ground, shaken), ground.tokens, new)
    assert shift.moved == 400
    assert not shift.proves
    assert not shift.confirms


def test_faint_moves_of_many_count_only_where_updates_before_the_charges_were_seen(ground):
    new = prefix.single_change(ground, 500)
    nats = np.random.default_rng(0).uniform(1, 2, 1000)
    shaken = nats + np.where(np.arange(1000) < 400, 3e-5, 0.0)
    shift = prefix.compare(stage_of(ground, nats), stage_of(ground, shaken), ground.tokens, new)
    results = []
    for rescored in (False, True):
        trial = Trials(None, ground, stage_of(ground, nats), 0.0)
        results.append(trials.judge_prefix(trial, [shift], steady=True, rescored=rescored).result)
    assert results == [Holds.UNDECIDED, Holds.VIOLATED]


def test_what_is_charged_after_an_update_on_itself_is_rescored():
    scored = charge(range(1, 101), np.full(100, 2.0))
    step = Stepped("AdamW", pack_positions(np.arange(1, 101, dtype=np.int32)))
    trace = stamped(Snapshot("artifact a is read back"), scored, step, report(2.0))
    assert passive.rescored(trace, final(trace)) is False
    later = stamped(Snapshot("artifact a is read back"), step, scored, report(2.0))
    assert passive.rescored(later, final(later)) is True


def test_documents_charged_later_may_move_though_they_lie_before(ground):
    """The order of charging counts, not that of the stream."""
    new = prefix.single_change(ground, 500)
    nats = np.random.default_rng(0).uniform(1, 2, 1000)
    moved = nats.copy()
    moved[:400] += 0.5
    late_first = np.where(np.arange(1000) < 400, 100, 50)
    base, probe = (stage_of(ground, n, order=late_first) for n in (nats, moved))
    shift = prefix.compare(base, probe, ground.tokens, new)
    assert shift.moved == 0
    assert shift.compared > 0


@pytest.mark.parametrize(
    ("factor", "result"),
    [
        (1.0, Holds.HOLDS),
        (1.0008, Holds.HOLDS),
        (1.003, Holds.UNDECIDED),
        (1.016, Holds.VIOLATED),
        (1.17, Holds.VIOLATED),
        (0.9, Holds.UNDECIDED),
    ],
)
def test_a_denominator_too_large_convicts(ground, factor, result):
    per_token = float(ground.byte_counts[1:].mean()) * factor
    stage = stage_of(ground, np.full(1000, 2.0), bpb=2.0 / math.log(2) / per_token)
    assert passive.denominator(stage, ground).result is result


def test_a_denominator_is_known_no_better_than_the_printed_digits(ground):
    stage = stage_of(ground, np.full(1000, 2.0), bpb=2.0 / math.log(2) / float(ground.byte_counts[1:].mean()))
    coarse = Reported("final val_loss:2.0000 val_bpb:1.5", 2.0, 1.5)  # 1.4573 rounded: 3 % fewer bytes
    assert passive.denominator(replace(stage, report=coarse), ground).result is Holds.HOLDS


@pytest.mark.parametrize(
    ("prefix_result", "result"),
    [(Holds.VIOLATED, Holds.VIOLATED), (Holds.HOLDS, Holds.HOLDS), (Holds.UNDECIDED, Holds.UNDECIDED)],
)
@pytest.mark.parametrize("kind", [Stepped, StateWritten])
def test_an_update_before_the_charge_counts_only_with_its_consequence(kind, prefix_result, result):
    step = kind("sub_", pack_positions(range(1, 51)), tensors=1)
    scored = charge(range(1, 101), np.full(100, 2.0))
    trace = stamped(step, scored, report(2.0), Finished("stream 0"))
    found = passive.order(trace, final(trace), Experiment("prefix", prefix_result, ""))
    assert found.data["after_update"] == 50
    assert found.result is result


def test_one_position_in_twenty_may_be_charged_twice(ground):
    nats = np.full(1040, 2.0)
    places = np.concatenate([np.arange(1, 1001), np.arange(961, 1001)]).astype(np.int32)
    assert passive.passes(stage_of(ground, nats, places), 1001).result is Holds.HOLDS
    twice = np.concatenate([np.arange(1, 1001), np.arange(1, 1001)]).astype(np.int32)
    assert passive.passes(stage_of(ground, np.full(2000, 2.0), twice), 1001).result is Holds.VIOLATED
