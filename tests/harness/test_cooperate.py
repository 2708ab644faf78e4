"""The contract for authors: legal scorers certified, every offence shown with a counterexample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cooperate import TOTAL_BITS, certify, decode, encode, frequencies
from harness.record import Holds

V = 11


class Counts:
    """Adaptive Laplace counts: legal."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.counts = np.ones(V)

    def distribution(self, prefix):
        return self.counts / self.counts.sum()

    def observe(self, token: int) -> None:
        self.counts[token] += 1


class Unnormalized(Counts):
    """Divides by less than the sum."""

    def distribution(self, prefix):
        return self.counts / (self.counts.sum() - 0.5)


class Remembering(Counts):
    """Keeps what it saw in an earlier pass: two passes in disguise."""

    def __init__(self) -> None:
        self.counts = np.ones(V)

    def reset(self) -> None:
        pass


class Peeking(Counts):
    """Knows the sample."""

    def __init__(self, sample) -> None:
        self.sample, self.at = sample, 0
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.at = 0

    def distribution(self, prefix):
        row = np.full(V, 0.2 / V)
        row[self.sample[len(prefix)]] += 0.8
        return row


class Moody(Counts):
    """Not the same twice."""

    def distribution(self, prefix):
        row = self.counts + np.random.default_rng().random(V)
        return row / row.sum()


SAMPLE = np.random.default_rng(5).choice(V, 200, p=np.arange(1, V + 1) / (V * (V + 1) / 2)).tolist()


def test_adaptive_counts_are_a_code():
    certificate = certify(Counts(), SAMPLE)
    assert certificate.valid
    assert {e.name for e in certificate.experiments} == {"kraft", "prefix", "coding"}
    assert certificate.nats / np.log(2) <= certificate.coded_bits <= certificate.nats / np.log(2) + 2.5


def test_a_missing_normalization_is_found_at_its_worst_position():
    certificate = certify(Unnormalized(), SAMPLE)
    kraft = certificate.experiments[0]
    assert kraft.result is Holds.VIOLATED
    assert kraft.data["counterexample"]["position"] == 0  # 11 / 10.5 is the largest sum
    assert kraft.data["worst_z"] == pytest.approx(11 / 10.5)


@pytest.mark.parametrize("scorer", [Remembering(), Moody()])
def test_what_survives_a_reset_breaks_the_prefix_or_the_decoder(scorer):
    certificate = certify(scorer, SAMPLE)
    assert not certificate.valid
    assert certificate.experiments[1].result is Holds.VIOLATED


def test_a_scorer_that_knows_the_sample_is_not_caught_by_itself():
    """The limit: what is hidden in the scorer is artifact. It must be counted there, not here."""
    assert certify(Peeking(SAMPLE), SAMPLE).valid


def test_no_certificate_for_nothing():
    with pytest.raises(ValueError, match="at least one token"):
        certify(Counts(), [])


rows = st.lists(st.floats(0, 1), min_size=2, max_size=40).filter(lambda r: sum(r) > 1e-3)


@given(rows)
def test_frequencies_are_positive_and_fill_the_total(row):
    counts = frequencies(np.array(row) / sum(row))
    assert (counts >= 1).all()
    assert int(counts.sum()) == 1 << TOTAL_BITS


@given(st.lists(st.integers(0, V - 1), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_the_decoder_returns_what_was_coded(tokens):
    bits = encode(Counts(), tokens)
    assert set(bits) <= {0, 1}
    assert decode(Counts(), bits, len(tokens)) == tokens


@given(st.lists(st.integers(0, V - 1), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_the_code_is_as_long_as_the_charge(tokens):
    certificate = certify(Counts(), tokens)
    charged = certificate.nats / np.log(2)
    assert charged - 1e-6 <= certificate.coded_bits <= charged + 2.0 + 1e-3 * len(tokens)


def test_a_distribution_above_one_leaves_no_room():
    with pytest.raises(ValueError, match="no room"):
        frequencies([0.9, 0.9, 0.9])
