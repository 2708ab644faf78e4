"""Find validation positions by content: where in the stream do these target ids lie?

Nothing is assumed about names, batching or windows of the submission: a run of ids is recognized
by its 6-grams, which are nearly always unique in a validation stream of some ten thousand tokens. Where text
repeats itself (one probe makes it do so) they are not, and longer ones decide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRAM = 6
LONGER = (12, 24, 48)
LONGEST_GAP = 256
_BASE = 1_000_003

Ids = NDArray[np.int64]
Places = NDArray[np.int32]


class Stream:
    """A validation stream and the index of its unique 6-grams and longer ones.

    ``tokens`` has shape (n,). A target at place ``i`` is ``tokens[i]``; place 0 is never a target.
    """

    def __init__(self, tokens: NDArray[np.integer]) -> None:
        self.tokens: Ids = np.array(tokens, np.int64).reshape(-1)  # a copy: what scripts hold may be changed
        self._index = {size: self._unique(size) for size in (GRAM, *LONGER)}

    def _unique(self, size: int) -> tuple[NDArray[np.uint64], Ids]:
        """Keys of the grams that occur once, in ascending order, and where."""
        unique, first, counts = np.unique(_keys(self.tokens, size), return_index=True, return_counts=True)
        single = counts == 1
        return unique[single], first[single].astype(np.int64)

    def __len__(self) -> int:
        return len(self.tokens)

    def locate(self, ids: NDArray[np.integer]) -> Places:
        """Places of ``ids`` (any shape, read in row-major order), -1 where unknown; shape (size,).

        Windows of a batch follow each other without a mark, and a 6-gram across their border may
        happen to lie elsewhere in the stream: longer runs are believed before shorter ones. Gaps
        (6-grams that are not unique) are filled from the runs beside them where only one of the two
        fits. Runs shorter than a 6-gram are found only if their ids occur once.
        """
        flat = np.asarray(ids, np.int64).reshape(-1)
        places = np.full(len(flat), -1, np.int64)
        if len(flat) < GRAM:
            return self._locate_short(flat)
        for size in (GRAM, *LONGER):
            if len(flat) < size or (places >= 0).all():
                break
            self._place(places, flat, size)
            self._fill(places, flat)
        return places.astype(np.int32)

    def _place(self, places: Ids, flat: Ids, size: int) -> None:
        """Put the runs of unique grams of one size in, where nothing stands yet."""
        starts = self._lookup(flat, size)
        disputed = np.zeros(len(flat), bool)
        known = places >= 0
        for first, last in _runs(starts):
            part = places[first : last + size]
            claim = np.arange(last + size - first) + starts[first]
            free = part < 0
            part[free] = claim[free]
            if size > GRAM or last - first >= size:  # no coincidence: two windows meet in text they share
                disputed[first : last + size] |= part != claim
        places[disputed & ~known] = -1

    def _lookup(self, flat: Ids, size: int) -> Ids:
        index, found = self._index[size]
        keys = _keys(flat, size)
        if not len(index):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(index, keys), len(index) - 1)
        return np.where(index[at] == keys, found[at], -1)

    def _locate_short(self, flat: Ids) -> Places:
        unknown = np.full(len(flat), -1, np.int32)
        if not len(flat):
            return unknown
        windows = np.lib.stride_tricks.sliding_window_view(self.tokens, len(flat))
        hits = np.flatnonzero((windows == flat).all(axis=1))
        if len(hits) != 1:
            return unknown
        return np.arange(hits[0], hits[0] + len(flat), dtype=np.int32)

    def _fill(self, places: Ids, flat: Ids) -> None:
        """Fill each gap from the left and from the right; what both claim differently stays unknown."""
        if (places >= 0).all() or not (places >= 0).any():
            return
        edges = np.flatnonzero(np.diff(np.concatenate([[0], places < 0, [0]])))
        for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            left = self._reach(places, flat, first - 1, range(first, end))
            right = self._reach(places, flat, end, range(end - 1, first - 1, -1))
            for at in range(first, end):
                claims = {c[at] for c in (left, right) if at in c}
                if len(claims) == 1:
                    places[at] = claims.pop()

    def _reach(self, places: Ids, flat: Ids, anchor: int, path: range) -> dict[int, int]:
        """How far a run at ``anchor`` continues the stream along ``path``: index to place."""
        claims: dict[int, int] = {}
        if not 0 <= anchor < len(places) or places[anchor] < 0:
            return claims
        for at in path[:LONGEST_GAP]:
            place = int(places[anchor]) + at - anchor
            if not 0 <= place < len(self.tokens) or self.tokens[place] != flat[at]:
                break
            claims[at] = place
        return claims


def _runs(starts: Ids) -> list[tuple[int, int]]:
    """Maximal runs of windows on one diagonal, as (first, last) window, the longest first."""
    found = starts >= 0
    diagonal = np.where(found, starts - np.arange(len(starts)), np.iinfo(np.int64).min)
    breaks = np.flatnonzero(np.diff(diagonal)) + 1
    firsts = np.concatenate([[0], breaks])
    lasts = np.concatenate([breaks - 1, [len(starts) - 1]])
    known = found[firsts] if len(starts) else np.empty(0, bool)
    order = np.argsort(-(lasts - firsts)[known], kind="stable")
    return list(zip(firsts[known][order].tolist(), lasts[known][order].tolist(), strict=True))


def _keys(flat: Ids, size: int) -> NDArray[np.uint64]:
    """Polynomial keys (modulo 2^64) of all grams of a size; shape (len(flat) - size + 1,)."""
    count = max(len(flat) - size + 1, 0)
    total = np.zeros(count, np.uint64)
    for k in range(size):
        total += flat[k : k + count].astype(np.uint64) * np.uint64(pow(_BASE, k, 1 << 61))
    return total
