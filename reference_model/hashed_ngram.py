"""The offence: counts in hashed buckets that are looked up for the target alone.

Each order has two tables, one keyed by a hash of the context, one by a hash of context and target.
Only the target's entry is read and nothing is renormalized. As buckets fill, every token finds
somebody else's count in its cell, the vocabulary sums to far more than 1, and the score collapses
without a single bit having been compressed (#779, #982; partition function measured in #1147).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

HASH_MIXER = np.uint64(0x9E3779B97F4A7C15)


def hash_multipliers(count: int) -> npt.NDArray[np.uint64]:
    """Return one odd 64-bit multiplier per distance, the same in every run."""
    return np.random.default_rng(20240520).integers(1, 2**63, count).astype(np.uint64) * np.uint64(
        2
    ) + np.uint64(1)


class HashedNgram:
    """Hashed target-only back-off, updated chunk by chunk after scoring."""

    def __init__(self, order: int, buckets: int, strength: float) -> None:
        if buckets & (buckets - 1):
            raise ValueError("the number of buckets must be a power of two")
        self.order, self.strength = order, strength
        self.shift = np.uint64(64 - buckets.bit_length() + 1)
        self.context_counts = np.zeros((order, buckets), dtype=np.uint32)
        self.target_counts = np.zeros((order, buckets), dtype=np.uint32)
        self.multipliers = hash_multipliers(order + 1)

    def keys(
        self, tokens: npt.NDArray[np.int64], start: int, stop: int, targets: npt.NDArray[np.int64]
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Return per context length 1, 2, ... the cells of (context, context with target) of start..stop."""
        unsigned = tokens.astype(np.uint64) + np.uint64(1)  # zero is left for "before the beginning"
        target_part = (targets.astype(np.uint64) + np.uint64(1)) * self.multipliers[0]
        hashed = np.zeros(stop - start, dtype=np.uint64)
        cells = []
        for k in range(1, self.order):
            hashed ^= shifted(unsigned, start, stop, k) * self.multipliers[k]
            cells.append((self.cell(hashed), self.cell(hashed ^ target_part)))
        return cells

    def cell(self, hashed: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the bucket of each hash."""
        return ((hashed * HASH_MIXER) >> self.shift).astype(np.int64)

    def score(
        self,
        tokens: npt.NDArray[np.int64],
        base: npt.NDArray[np.float64],
        start: int,
        targets: npt.NDArray[np.int64] | None = None,
    ) -> npt.NDArray[np.float64]:
        """Return the "probability" of tokens[start : start + len(base)], or of ``targets`` in their place."""
        stop = start + len(base)
        aim = tokens[start:stop] if targets is None else targets
        mixed = base.astype(np.float64).copy()
        for k, (context_cell, target_cell) in enumerate(self.keys(tokens, start, stop, aim)):
            context = self.context_counts[k][context_cell]
            rows = np.flatnonzero(context)
            counted = np.minimum(self.target_counts[k][target_cell[rows]], context[rows])
            mixed[rows] = (counted + self.strength * mixed[rows]) / (context[rows] + self.strength)
        return mixed

    def vocabulary(
        self, tokens: npt.NDArray[np.int64], base: npt.NDArray[np.float64], place: int
    ) -> npt.NDArray[np.float64]:
        """Return what each of the V tokens would be charged at ``place`` as if it were the target.

        ``base`` (V,) is the distribution below; the sum of the result is Z, which a code keeps at 1.
        """
        mixed = base.astype(np.float64).copy()
        candidates = np.arange(len(base))
        for k, (context_cell, target_cell) in enumerate(self.keys(tokens, place, place + 1, candidates)):
            context = self.context_counts[k][context_cell[0]]
            if context:
                counted = np.minimum(self.target_counts[k][target_cell], context)
                mixed = (counted + self.strength * mixed) / (context + self.strength)
        return mixed

    def update(self, tokens: npt.NDArray[np.int64], start: int, stop: int) -> None:
        """Count tokens[start:stop]."""
        one = np.uint32(1)
        for k, (context_cell, target_cell) in enumerate(self.keys(tokens, start, stop, tokens[start:stop])):
            np.add.at(self.context_counts[k], context_cell, one)
            np.add.at(self.target_counts[k], target_cell, one)


def shifted(tokens: npt.NDArray[np.uint64], start: int, stop: int, distance: int) -> npt.NDArray[np.uint64]:
    """Return tokens[start - distance : stop - distance], zeros before the beginning."""
    first, last = start - distance, stop - distance
    missing = min(max(-first, 0), stop - start)
    return np.concatenate((np.zeros(missing, dtype=np.uint64), tokens[max(first, 0) : max(last, 0)]))


def mix_hashed(
    tokens: npt.NDArray[np.int64],
    base: npt.NDArray[np.float64],
    order: int,
    buckets: int,
    strength: float,
    chunk: int = 65_536,
) -> npt.NDArray[np.float64]:
    """Return the "probability" of tokens[1:], chunk by chunk, each counted after it was scored."""
    mixer = HashedNgram(order, buckets, strength)
    mixed = np.empty(len(tokens) - 1)
    for start in range(1, len(tokens), chunk):
        stop = min(start + chunk, len(tokens))
        mixed[start - 1 : stop - 1] = mixer.score(tokens, base[start - 1 : stop - 1], start)
        mixer.update(tokens, start, stop)
    return mixed
