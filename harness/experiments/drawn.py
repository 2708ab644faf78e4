"""Series for the pictures of a report: small, thinned, and decided by nothing that decides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.trace import Trace

Span = tuple[int, str, int, int]
"""An event's number, what it did, and the first and last position it did it to."""

MOST = 240
"""Points of a series; more cannot be told apart in a picture."""
PARTS = 32
"""Parts of the stream over which the Kraft sum is averaged."""


def changed_losses(
    places: NDArray[np.int32], before: NDArray[np.float64], after: NDArray[np.float64]
) -> dict[str, list[float]]:
    """The losses in nats at ``places`` in two runs, by place; those that moved are kept first."""
    moved = np.flatnonzero(before != after)
    others = np.flatnonzero(before == after)
    kept = np.concatenate([_thin(moved, MOST // 2), _thin(others, MOST - MOST // 2)])
    kept = kept[np.argsort(places[kept], kind="stable")]
    return {
        "positions": places[kept].tolist(),
        "before": np.round(before[kept], 6).tolist(),
        "after": np.round(after[kept], 6).tolist(),
    }


def _thin(indices: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return indices[:: max(1, -(-len(indices) // most))]


def kraft_profile(
    places: NDArray[np.int32], nats: NDArray[np.float64], alphabet: int
) -> dict[str, list[float] | float]:
    """The estimated Kraft sum in equal parts of the stream, with a tolerance of four standard errors."""
    if len(places) < 4 * PARTS:
        return {}
    ratio = np.exp(np.clip(math.log(alphabet) - nats, -700.0, 700.0))
    groups = np.array_split(np.argsort(places, kind="stable"), PARTS)
    errors = [float(ratio[g].std(ddof=1)) / math.sqrt(len(g)) for g in groups]
    return {
        "positions": [float(np.median(places[g])) for g in groups],
        "z": [round(float(ratio[g].mean()), 5) for g in groups],
        "tolerance": round(min(max(4 * float(np.median(errors)), 0.02), 0.99), 4),
    }


def timeline(
    trace: Trace, places: NDArray[np.int32], when: NDArray[np.int64], learned: Mapping[int, int], since: int
) -> list[dict[str, Any]]:
    """What happened to validation positions, in order: scored, trained on, scored again after that.

    ``places`` and ``when`` are the charges that count and their event numbers; ``learned`` gives the
    first update on a position. Neighbours of one kind over one range are merged.
    """
    found = [*_scored(places, when, learned), *_trained(trace, since)]
    merged: list[Span] = []
    for number, what, first, last in sorted(found):
        before = merged[-1] if merged else None
        if before and before[1:] == (what, first, last):
            continue
        if before and len(found) > MOST and before[1] == what and first <= before[3] + 1:
            merged[-1] = (before[0], what, min(first, before[2]), max(last, before[3]))
        else:
            merged.append((number, what, first, last))
    kept = merged[:: max(1, -(-len(merged) // MOST))]
    return [{"order": n, "what": what, "first": first, "last": last} for n, what, first, last in kept]


def _scored(places: NDArray[np.int32], when: NDArray[np.int64], learned: Mapping[int, int]) -> Iterator[Span]:
    for number in np.unique(when).tolist():
        here = places[when == number]
        here = here[here >= 0]
        if len(here):
            late = sum(learned.get(int(p), 1 << 62) < number for p in here)
            what = "scored again" if 2 * late > len(here) else "scored"
            yield number, what, int(here.min()), int(here.max())


def _trained(trace: Trace, since: int) -> Iterator[Span]:
    for number, step in trace.updates():
        here = step.where()
        if number > since and len(here):
            yield number, "trained", int(here.min()), int(here.max())
