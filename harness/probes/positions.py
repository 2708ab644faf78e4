"""Find validation positions by content: where in the stream do these target ids lie?

Nothing is assumed about names, batching or windows of the submission: a run of ids is recognized
by its 6-grams, which are nearly always unique in a validation stream of some ten thousand tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRAM = 6
_BASE = 1_000_003

Ids = NDArray[np.int64]
Places = NDArray[np.int32]


class Stream:
    """A validation stream and the index of its unique 6-grams.

    ``tokens`` has shape (n,). A target at place ``i`` is ``tokens[i]``; place 0 is never a target.
    """

    def __init__(self, tokens: NDArray[np.integer]) -> None:
        self.tokens: Ids = np.asarray(tokens, np.int64).reshape(-1)
        keys = _keys(self.tokens)
        unique, first, counts = np.unique(keys, return_index=True, return_counts=True)
        single = counts == 1
        self._keys, self._first = unique[single], first[single].astype(np.int64)

    def __len__(self) -> int:
        return len(self.tokens)

    def locate(self, ids: NDArray[np.integer]) -> Places:
        """Places of ``ids`` (any shape, read in row-major order), -1 where unknown; shape (size,).

        Short gaps next to a located run (6-grams that are not unique) are filled where the ids
        continue the stream. Runs shorter than a 6-gram are found only if their ids occur once.
        """
        flat = np.asarray(ids, np.int64).reshape(-1)
        places = np.full(len(flat), -1, np.int64)
        if len(flat) < GRAM:
            return self._locate_short(flat)
        starts = self._lookup(_keys(flat))
        for k in range(GRAM):
            part = places[k : len(starts) + k]
            free = (part < 0) & (starts >= 0)
            part[free] = starts[free] + k
        self._grow(places, flat)
        return places.astype(np.int32)

    def _lookup(self, keys: NDArray[np.uint64]) -> Ids:
        if not len(self._keys):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._first[at], -1)

    def _locate_short(self, flat: Ids) -> Places:
        unknown = np.full(len(flat), -1, np.int32)
        if not len(flat):
            return unknown
        windows = np.lib.stride_tricks.sliding_window_view(self.tokens, len(flat))
        hits = np.flatnonzero((windows == flat).all(axis=1))
        if len(hits) != 1:
            return unknown
        return np.arange(hits[0], hits[0] + len(flat), dtype=np.int32)

    def _grow(self, places: Ids, flat: Ids) -> None:
        """Extend located runs over neighbours that continue the stream (at most 64 places a side)."""
        if (places >= 0).all() or not (places >= 0).any():
            return
        for step in (1, -1):
            for _ in range(64):
                near = np.roll(places, step)
                near[0 if step == 1 else -1] = -1
                want = near + step
                ok = (places < 0) & (near >= 0) & (want >= 0) & (want < len(self.tokens))
                ok[ok] = self.tokens[want[ok]] == flat[ok]
                if not ok.any():
                    break
                places[ok] = want[ok]

    def find_array(self, ids: NDArray[np.integer]) -> int | None:
        """Offset in the stream at which the whole of a long array lies, or None."""
        size = len(ids)
        if size < 4 * GRAM or size > len(self.tokens):
            return None
        head = np.asarray(ids[: 4 * GRAM], np.int64)
        at = self._lookup(_keys(head))
        for k, start in enumerate(at.tolist()):
            offset = start - k
            if start >= 0 and 0 <= offset <= len(self.tokens) - size:
                same = np.array_equal(np.asarray(ids, np.int64), self.tokens[offset : offset + size])
                return offset if same else None
        return None


def _keys(flat: Ids) -> NDArray[np.uint64]:
    """Polynomial keys (modulo 2^64) of all 6-grams; shape (size - 5,)."""
    size = max(len(flat) - GRAM + 1, 0)
    total = np.zeros(size, np.uint64)
    for k in range(GRAM):
        total += flat[k : k + size].astype(np.uint64) * np.uint64(pow(_BASE, k, 1 << 61))
    return total
