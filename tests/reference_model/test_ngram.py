"""The exact n-gram against a dense, token-by-token oracle, and the laws both must obey."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model import exact_ngram
from reference_model.dense_ngram import DenseNgram
from reference_model.exact_ngram import mix_exact, occurrence_ranks
from reference_model.hashed_ngram import HashedNgram, mix_hashed
from reference_model.ngram_logistic import LogisticNgram, apm_confidence, apply_apm

streams = st.lists(st.integers(0, 4), min_size=2, max_size=60).map(np.array)


def naive_rank(tokens: np.ndarray, t: int, k: int) -> int:
    aim = tokens[t - k : t].tolist()
    return sum(tokens[s - k : s].tolist() == aim for s in range(k, t))


@given(streams, st.integers(1, 6))
def test_ranks_count_earlier_occurrences(tokens, longest):
    for k, ranks in enumerate(occurrence_ranks(tokens, longest), start=1):
        expected = [naive_rank(tokens, t, k) if t >= k else 0 for t in range(len(tokens) + 1)]
        assert ranks.tolist() == expected


@given(streams, st.integers(1, 6), st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None)
def test_blocks_and_stretches_change_nothing(tokens, longest, block, stretch):
    base = np.full(len(tokens) - 1, 0.2)
    whole = [ranks.tolist() for ranks in occurrence_ranks(tokens, longest)]
    mixed = mix_exact(tokens, base, longest, 2.0)
    with mock.patch.multiple(exact_ngram, BLOCK=block, STRETCH=stretch):
        assert [ranks.tolist() for ranks in occurrence_ranks(tokens, longest)] == whole
        assert mix_exact(tokens, base, longest, 2.0).tolist() == mixed.tolist()


@given(streams, st.integers(1, 22), st.floats(0.1, 20), st.booleans(), st.integers(0, 3))
@settings(deadline=None)
def test_target_probability_equals_dense_oracle(tokens, order, strength, adaptive, shortest):
    generator = np.random.default_rng(7)
    base = generator.dirichlet(np.ones(5), size=len(tokens) - 1)
    entropy = -(base * np.log(base)).sum(axis=1) if adaptive else None
    fast = mix_exact(
        tokens, base[np.arange(len(base)), tokens[1:]], order, strength, entropy, shortest=shortest
    )
    oracle = DenseNgram(5, order, strength, shortest)
    oracle.observe(int(tokens[0]))
    for i, token in enumerate(tokens[1:].tolist()):
        whole = oracle.distribution(base[i], None if entropy is None else float(entropy[i]))
        assert abs(whole.sum() - 1.0) < 1e-12
        assert fast[i] == pytest.approx(whole[token], rel=1e-9)
        oracle.observe(token)


@given(streams, st.integers(1, 58), st.integers(0, 4))
def test_nothing_before_a_changed_token_moves(tokens, place, value):
    place = min(place, len(tokens) - 1)
    changed = tokens.copy()
    changed[place] = value
    base = np.full(len(tokens) - 1, 0.2)
    before, after = mix_exact(tokens, base, 8, 2.0), mix_exact(changed, base, 8, 2.0)
    assert before[: place - 1].tolist() == after[: place - 1].tolist()


def test_skipped_positions_keep_the_base():
    tokens = np.array([1, 2, 1, 2, 1, 2])
    base = np.full(5, 0.25)
    skip = np.array([False, False, True, False, True])
    mixed = mix_exact(tokens, base, 4, 1.0, skip=skip)
    assert mixed[2] == 0.25
    assert mixed[4] == 0.25
    assert mixed[3] > 0.25


def test_uniform_noise_is_not_compressed():
    tokens = np.random.default_rng(3).integers(0, 64, 20_000)
    losses = -np.log(mix_exact(tokens, np.full(19_999, 1 / 64), 22, 4.0))
    assert losses.sum() > 19_999 * np.log(64) - 30


def test_hashed_counterpart_compresses_the_same_noise():
    tokens = np.random.default_rng(3).integers(0, 64, 20_000)
    losses = -np.log(mix_hashed(tokens, np.full(19_999, 1 / 64), 22, 2**12, 4.0, chunk=2_000))
    assert losses.sum() < 0.8 * 19_999 * np.log(64)


def test_hashed_without_collisions_agrees_with_exact_beyond_the_unigram():
    tokens = np.random.default_rng(5).integers(0, 6, 400)
    base = np.full(399, 1 / 6)
    hashed = mix_hashed(tokens, base, 6, 2**22, 2.0, chunk=1)
    dense = DenseNgram(6, 6, 2.0)
    dense.observe(int(tokens[0]))
    for i, token in enumerate(tokens[1:].tolist()):
        dense.followers.pop((), None)  # the hashed form has no unigram
        assert hashed[i] == pytest.approx(dense.distribution(np.full(6, 1 / 6))[token], rel=1e-9)
        dense.observe(token)


def test_hashed_vocabulary_sum_exceeds_one():
    tokens = np.random.default_rng(3).integers(0, 64, 20_000)
    mixer = HashedNgram(8, 2**10, 4.0)
    mixer.update(tokens, 1, 19_000)
    base = np.full(1, 1 / 64)
    each = [mixer.score(tokens, base, 19_000, np.array([v]))[0] for v in range(64)]
    assert sum(each) > 5
    assert mixer.vocabulary(tokens, np.full(64, 1 / 64), 19_000) == pytest.approx(each)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.floats(0.1, 2), st.floats(0.5, 8))
def test_logistic_mixture_is_a_distribution(history, weight, offset):
    mixer = LogisticNgram(6, weight, offset)
    log_base = np.log(np.array([0.1, 0.2, 0.3, 0.15, 0.25]))
    for token in history:
        whole = mixer.distribution(log_base)
        assert whole.sum() == pytest.approx(1.0, abs=1e-12)
        each = [mixer.probability(log_base, v) for v in range(5)]
        assert each == pytest.approx(whole.tolist(), rel=1e-9)
        mixer.observe(token)


def test_apm_keeps_the_vocabulary_normalized_and_looks_left_only():
    generator = np.random.default_rng(1)
    rows = generator.dirichlet(np.full(6, 0.4), size=300)
    targets = np.array([generator.choice(6, p=row) for row in rows])
    best, top = rows.argmax(axis=1), rows.max(axis=1)
    hit = best == targets
    corrected = apm_confidence(top, hit)
    others = (1 - corrected)[:, None] * rows / (1 - top)[:, None]
    whole = np.where(np.arange(6) == best[:, None], corrected[:, None], others)
    assert np.abs(whole.sum(axis=1) - 1).max() < 1e-12
    assert apply_apm(rows[np.arange(300), targets], top, hit) == pytest.approx(whole[np.arange(300), targets])
    flipped = hit.copy()
    flipped[200] = ~flipped[200]
    assert apm_confidence(top, flipped)[:201].tolist() == corrected[:201].tolist()
