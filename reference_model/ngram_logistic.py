"""Logistic mixing and an adaptive probability map, both over the whole vocabulary.

Logistic: the odds of tokens that followed the longest known context are raised by their counts,

    p(v) = p_0(v) * (1 + m(v) / b) ** w / Z,     Z = 1 + sum over seen v of p_0(v) * ((1 + m(v)/b)**w - 1)

and since the factor is 1 for every token not seen there, Z needs the seen ones alone.

Adaptive probability map (APM): how often was the likeliest token right when it had about this
probability? The answer replaces its probability, and all others are scaled to what is left.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reference_model.exact_ngram import Probabilities

APM_BUCKETS = 32


class LogisticNgram:
    """Followers of every context up to ``order - 1`` tokens; mixes with the longest one known."""

    def __init__(self, order: int, weight: float, offset: float) -> None:
        self.order, self.weight, self.offset = order, weight, offset
        self.followers: dict[tuple[int, ...], dict[int, int]] = {}
        self.recent: list[int] = []

    def counts(self) -> dict[int, int]:
        """Return the counts after the longest known context, nothing where none is known."""
        for length in range(len(self.recent), 0, -1):
            known = self.followers.get(tuple(self.recent[-length:]))
            if known:
                return known
        return {}

    def factors(self, counts: dict[int, int]) -> Probabilities:
        """Return what the probability of each seen token is multiplied by before normalization."""
        raised: Probabilities = (1.0 + np.array(list(counts.values())) / self.offset) ** self.weight
        return raised

    def probability(self, log_base: Probabilities, target: int) -> float:
        """Return the target's probability; touches the seen tokens and the target only."""
        counts = self.counts()
        own = float(np.exp(log_base[target]))
        if not counts:
            return own
        excess = np.exp(log_base[list(counts)]) * (self.factors(counts) - 1.0)
        raised: float = (1.0 + counts.get(target, 0) / self.offset) ** self.weight
        return own * raised / (1.0 + float(excess.sum()))

    def distribution(self, log_base: Probabilities) -> Probabilities:
        """Return the whole mixed distribution, for inspection and for a decoder."""
        counts = self.counts()
        mixed = np.exp(log_base)
        mixed[list(counts)] *= self.factors(counts)
        normalized: Probabilities = mixed / mixed.sum()
        return normalized

    def observe(self, token: int) -> None:
        """Count ``token`` after each of its contexts; call it after the token was charged."""
        for length in range(1, len(self.recent) + 1):
            counts = self.followers.setdefault(tuple(self.recent[-length:]), {})
            counts[token] = counts.get(token, 0) + 1
        self.recent = [*self.recent, token][-(self.order - 1) :]


def apm_confidence(top: Probabilities, hit: npt.NDArray[np.bool_], rate: float = 8.0) -> Probabilities:
    """Return the corrected probability of the likeliest token at each position.

    ``top`` is its probability, ``hit`` whether it was the target; hits count only from earlier
    positions of the same bucket of ``top``, with ``top`` itself as ``rate`` pseudo-observations.
    """
    bucket = np.minimum((top * APM_BUCKETS).astype(np.int64), APM_BUCKETS - 1)
    order = np.argsort(bucket, kind="stable")
    starts = np.searchsorted(bucket[order], np.arange(APM_BUCKETS))[bucket[order]]
    running = np.concatenate(([0.0], np.cumsum(hit[order], dtype=np.float64)))
    places = np.arange(len(top))
    corrected = np.empty(len(top))
    hits, trials = running[places] - running[starts], places - starts
    corrected[order] = (hits + rate * top[order]) / (trials + rate)
    return np.clip(corrected, 1e-6, 1.0 - 1e-6)


def apply_apm(target: Probabilities, top: Probabilities, hit: npt.NDArray[np.bool_]) -> Probabilities:
    """Return the target's probability after the APM; the whole vocabulary sums to 1 as before."""
    corrected = apm_confidence(top, hit)
    rest = (1.0 - corrected) / np.maximum(1.0 - top, 1e-12)
    return np.where(hit, corrected, target * rest)
