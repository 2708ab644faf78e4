"""Groups of identical and nearly identical scripts, so that one decision serves many heads.

A script is reduced to a MinHash sketch of its token 5-grams (Broder 1997): the share of equal
entries in two sketches estimates the Jaccard similarity of the two sets, with a standard error of
sqrt(s(1-s)/64), about 0.04 at s = 0.9. Names and numbers count, comments and spacing do not.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

PERMUTATIONS = 64
_BANDS = 16  # 16 bands of 4: pairs with similarity 0.9 meet in some band with p > 0.9999
SIMILAR = 0.9
_GRAM = 5  # tokens in a row
_HALF = np.uint64(32)
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, as in Fibonacci hashing
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.]*|[^\s\w]")
_COMMENT = re.compile(r"\s#[^\n]*")  # to the end of the line


def sketch(source: str, permutations: int = PERMUTATIONS) -> tuple[int, ...]:
    """The MinHash sketch of a source text: ``permutations`` integers below 2^32; empty if too short."""
    digests = _grams(_TOKEN.findall(_COMMENT.sub("", f"\n{source}")))
    if not len(digests):
        return ()
    # Multiply-shift hashing: the product wraps around at 2^64 and its upper half is kept.
    return tuple(int(((a * digests + b) >> _HALF).min()) for a, b in _multipliers(permutations))


def _grams(tokens: Sequence[str]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of every run of ``_GRAM`` tokens: the distinct tokens' hashes, weighted by place."""
    count = len(tokens) - _GRAM + 1
    if count < 1:
        return np.empty(0, np.uint64)
    numbers = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    places = np.fromiter(map(numbers.__getitem__, tokens), np.int64, len(tokens))
    hashed = b"".join([hashlib.blake2b(t.encode(), digest_size=8).digest() for t in numbers])
    words = np.frombuffer(hashed, dtype=">u8").astype(np.uint64)[places]
    grams = np.zeros(count, np.uint64)
    for place, (weight, _) in enumerate(_multipliers(_GRAM)):
        grams += weight * words[place : place + count]
    return (grams ^ (grams >> _HALF)) * _MIX  # sums keep the low bits of their terms; spread them


@lru_cache(maxsize=2)
def _multipliers(count: int) -> tuple[tuple[np.uint64, np.uint64], ...]:
    """Pairs of an odd factor and an offset, the same in every process."""
    rng = np.random.default_rng(1997)
    odd = rng.integers(0, 1 << 63, size=count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    offset = rng.integers(0, 1 << 63, size=count, dtype=np.uint64)
    return tuple(zip(odd, offset, strict=True))


def similarity(one: Sequence[int], other: Sequence[int]) -> float:
    """The estimated Jaccard similarity of two sketches, 0 where either is missing."""
    if not one or len(one) != len(other):
        return 0.0
    return sum(x == y for x, y in zip(one, other, strict=True)) / len(one)


def group(oids: Sequence[str], sketches: Sequence[Sequence[int]]) -> list[int]:
    """Give each script a group number: equal blobs, and what is similar to the first of a group, share it.

    Similarity to the first member counts, not to any: in a community that edits one another's scripts,
    chains of small changes lead from every script to every other. Groups count from 1 in the order of
    their first members; 0 is for scripts without identity.
    """
    blobs: dict[str, int] = {}
    bands: dict[tuple[int, ...], list[int]] = defaultdict(list)  # the first members that have a band
    roots: list[int] = []
    for index, (oid, values) in enumerate(zip(oids, sketches, strict=True)):
        root = blobs[oid] if oid in blobs else _nearest(index, sketches, bands)
        roots.append(root)
        if oid:
            blobs[oid] = root
        if root == index:
            for band in _bands_of(values):
                bands[band].append(index)
    return _numbered(roots, oids, sketches)


def _bands_of(values: Sequence[int]) -> list[tuple[int, ...]]:
    width = len(values) // _BANDS
    return [(n, *values[n * width : (n + 1) * width]) for n in range(_BANDS if width else 0)]


def _nearest(
    index: int, sketches: Sequence[Sequence[int]], bands: Mapping[tuple[int, ...], Sequence[int]]
) -> int:
    """The most similar first member of a group, the script itself if none is similar enough."""
    mine = sketches[index]
    met = dict.fromkeys(first for band in _bands_of(mine) for first in bands.get(band, ()))
    near = max(met, key=lambda first: similarity(mine, sketches[first]), default=index)
    return near if similarity(mine, sketches[near]) >= SIMILAR else index


def _numbered(roots: list[int], oids: Sequence[str], sketches: Sequence[Sequence[int]]) -> list[int]:
    numbers: dict[int, int] = {}
    return [
        numbers.setdefault(root, len(numbers) + 1) if oid or values else 0
        for root, oid, values in zip(roots, oids, sketches, strict=True)
    ]
