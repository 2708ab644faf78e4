"""N-gram statistics without collisions, mixed so that the whole vocabulary stays normalized.

The distribution of token t is built from the artifact's own p_0 by a recurrence over context lengths
k = 0, 1, ... order - 1 (a Dirichlet back-off):

    p_k(v) = (m_k(v) + a_t * p_(k-1)(v)) / (n_k + a_t)

n_k is how often the last k tokens occurred before t, m_k(v) how often v followed them. Where n_k is
zero nothing happens, and m_k sums to n_k over the vocabulary, so every p_k sums to 1 if p_0 does. The
target's own probability needs two counts per order; nothing else of the vocabulary is touched. The
strength a_t may depend on p_0's entropy, never on the target.

Both counts are ranks: the number of earlier occurrences of one k-gram. Ranks of all positions come
from a refinement of groups of equal k-grams, one stable radix sort per length, in which k-grams that
occur once drop out. Groups are refined in blocks that fit the processor's cache, so that the time for
each repeated k-gram does not grow with the text. Nothing is hashed, so nothing collides, and each rank
looks only to the left.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

TokenArray = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]
Ranks32 = npt.NDArray[np.uint32]
Ints32 = npt.NDArray[np.int32]

BLOCK = 1 << 18  # places refined together: their arrays fill a few megabytes
STRETCH = 1 << 16  # positions mixed together, likewise


def occurrence_ranks(tokens: TokenArray, longest: int) -> Iterator[Ranks32]:
    """Yield for k = 1 .. ``longest`` an array of len(tokens) + 1 ranks.

    Entry t of the k-th array is the number of t' < t with tokens[t'-k:t'] == tokens[t-k:t] (0 where
    t < k). Token ids must be below 65,536. Time per k is linear in the positions whose k-gram repeats,
    of which there are at most as many as tokens.
    """
    small = tokens.astype(np.uint16)
    places = np.arange(1, len(tokens) + 1, dtype=np.int32)
    groups, ranks = np.zeros_like(places), np.zeros_like(places)
    repeated = len(places)
    for length in range(1, longest + 1):
        repeated = refine_groups(small, places[:repeated], groups[:repeated], ranks, length)
        dense = np.zeros(len(tokens) + 1, dtype=np.uint32)
        dense[places[:repeated]] = ranks[:repeated]
        yield dense


def refine_groups(
    tokens: npt.NDArray[np.uint16], places: Ints32, groups: Ints32, ranks: Ints32, length: int
) -> int:
    """Split groups of equal (length - 1)-grams by the token one further back; drop groups of one.

    ``places`` lists ends of k-grams, ascending within each group; groups are numbered in their order.
    The same two things for k = length, and the rank of each place in its group, are written to the
    fronts of the three arrays; returns how many there are.
    """
    kept = first_group = 0
    for start, stop in blocks_of_groups(groups):
        block = refine_block(tokens, places[start:stop], groups[start:stop], length)
        end = kept + len(block[0])
        places[kept:end], groups[kept:end], ranks[kept:end] = block
        groups[kept:end] += np.int32(first_group)
        first_group, kept = first_group + stop - start, end
    return kept


def blocks_of_groups(groups: Ints32) -> Iterator[tuple[int, int]]:
    """Cut ascending group ids into stretches of about ``BLOCK`` that leave every group whole.

    Looks at nothing left of the last stretch, so that the caller may write there.
    """
    start = 0
    while start < len(groups):
        rest = groups[start:]
        stop = start + int(np.searchsorted(rest, rest[min(BLOCK, len(rest)) - 1], side="right"))
        yield start, stop
        start = stop


def refine_block(
    tokens: npt.NDArray[np.uint16], places: Ints32, groups: Ints32, length: int
) -> tuple[Ints32, Ints32, Ints32]:
    """Return places, groups and ranks of one block, refined; its groups are numbered from 0, with gaps."""
    inside = places >= length
    if not inside.all():
        places, groups = places[inside], groups[inside]
    further = tokens[places - length]
    order = np.argsort(further, kind="stable")
    places, groups, further = places[order], groups[order], further[order]
    new = np.ones(len(places), dtype=np.bool_)
    new[1:] = (groups[1:] != groups[:-1]) | (further[1:] != further[:-1])
    starts = np.flatnonzero(new).astype(np.int32)
    sizes = np.diff(starts, append=np.int32(len(places))).astype(np.int32)
    groups = np.cumsum(new, dtype=np.int32) - np.int32(1)
    ranks = np.arange(len(places), dtype=np.int32) - starts[groups]
    if sizes.min(initial=2) > 1:
        return places, groups, ranks
    kept = np.flatnonzero((sizes > 1)[groups])  # taking by index is several times faster than by mask
    return places[kept], groups[kept], ranks[kept]


def strengths(count: int, strength: float, entropy: Probabilities | None) -> Probabilities:
    """Return a_t for each position: constant, or larger where p_0's entropy (nats) is small.

    The entropy-adaptive form doubles the prior's weight for each nat of entropy below two.
    """
    constant: Probabilities = np.broadcast_to(np.float64(strength), (count,))
    if entropy is None:
        return constant
    adaptive: Probabilities = constant * np.exp2(np.clip(2.0 - entropy, -3.0, 3.0))
    return adaptive


def mix_exact(
    tokens: TokenArray,
    base: Probabilities,
    order: int,
    strength: float,
    entropy: Probabilities | None = None,
    skip: npt.NDArray[np.bool_] | None = None,
    shortest: int = 0,
) -> Probabilities:
    """Return the mixed probability of tokens[1:], given the base's probability of each.

    ``base`` and the result have len(tokens) - 1 entries; entry i belongs to tokens[i + 1] and uses
    counts of tokens[: i + 1] alone. ``order`` counts the target: 22 uses contexts up to 21 tokens.
    Positions in ``skip`` (chosen without the target) keep the base untouched, and contexts of fewer
    than ``shortest`` tokens are left to the base, which knows short contexts better than counts do.
    """
    mixed = base.astype(np.float64).copy()
    prior = strengths(len(mixed), strength, entropy)
    context = np.arange(len(tokens) + 1, dtype=np.uint32)  # the empty context occurred t times before t
    for length, pair in enumerate(occurrence_ranks(tokens, order)):
        if length >= shortest:
            apply_order(mixed, context[1:-1], pair[2:], prior, skip)
        context = pair
    return mixed


def apply_order(
    mixed: Probabilities,
    context: Ranks32,
    pair: Ranks32,
    prior: Probabilities,
    skip: npt.NDArray[np.bool_] | None,
) -> None:
    """Apply one step of the recurrence in place where the context was seen before, stretch by stretch."""
    for start in range(0, len(mixed), STRETCH):
        part = slice(start, start + STRETCH)
        apply_to_stretch(
            mixed[part], context[part], pair[part], prior[part], None if skip is None else skip[part]
        )


def apply_to_stretch(
    mixed: Probabilities,
    context: Ranks32,
    pair: Ranks32,
    prior: Probabilities,
    skip: npt.NDArray[np.bool_] | None,
) -> None:
    """Apply one step to positions whose arrays fit the cache together."""
    seen = context > 0 if skip is None else (context > 0) & ~skip
    rows = np.flatnonzero(seen)
    weight = prior[rows]
    blended = mixed[rows]
    blended *= weight
    blended += pair[rows]
    weight += context[rows]
    blended /= weight
    mixed[rows] = blended
