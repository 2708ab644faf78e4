"""Sets of charges that may make up a total: by the line that adds up, by pass, one charge a place."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.events import Charged, pack_nats, pack_positions

Numbered = tuple[int, Charged]
MINIMUM = "minimum over passes"
FIRST = "first computation of every place"
TOTALS = ("sum", "numpy_sum", "item", "added")
_MOST_GROUPS = 5


def candidates(charges: list[Numbered]) -> Iterator[tuple[str, list[Numbered]]]:
    """Sets of charges that may make up the total, likeliest first."""
    groups: dict[tuple[str, str], list[Numbered]] = {}
    for numbered in charges:
        groups.setdefault((numbered[1].via, numbered[1].site), []).append(numbered)
    totals = [k for k in groups if k[0] in TOTALS][:_MOST_GROUPS]
    for size in dict.fromkeys((1, len(totals), *range(2, len(totals)))) if totals else ():
        for keys in itertools.combinations(totals, size):
            chosen = sorted(itertools.chain(*(groups[k] for k in keys)), key=lambda n: n[0])
            yield " + ".join(f"{via} at {site}" for via, site in keys), chosen
            yield "last pass of " + " + ".join(site for _, site in keys), last_pass(chosen)
    for via in ("cross_entropy", "gather"):
        chosen = [n for n in charges if n[1].via == via]
        if chosen:
            yield f"every {via}", chosen
            yield f"last pass of {via}", last_pass(chosen)
    for (via, site), chosen in groups.items():
        if via not in TOTALS:
            yield f"{via} at {site}", chosen
            yield f"last pass of {via} at {site}", last_pass(chosen)
    for via in ("cross_entropy", "gather"):
        chosen = [n for n in charges if n[1].via == via]
        if chosen:
            yield f"{FIRST} by {via}", _first_time(chosen)
            yield f"{MINIMUM} of {via}", _least(chosen)


def without_echoes(charges: list[Numbered]) -> list[Numbered]:
    """Drop a charge that repeats the one before it at the same site (a sum, then a mean, of one array)."""
    kept: list[Numbered] = []
    for number, charge in charges:
        last = kept[-1][1] if kept else None
        if last is None or (last.site, last.positions, last.nats) != (
            charge.site,
            charge.positions,
            charge.nats,
        ):
            kept.append((number, charge))
    return kept


def last_pass(charges: list[Numbered]) -> list[Numbered]:
    """The charges since most positions of a charge were last seen for the first time again."""
    seen: set[int] = set()
    start = 0
    for at, (_, charge) in enumerate(charges):
        places = set(charge.where().tolist()) - {-1}
        if len(places & seen) > 0.5 * len(places) and len(seen) > 4 * len(places):
            start, seen = at, set()
        seen |= places
    return charges[start:]


def _first_time(charges: list[Numbered]) -> list[Numbered]:
    """The charges, each with the places that none before it had: of windows that overlap, what is new."""
    seen, kept = np.empty(0, np.int32), []
    for number, charge in charges:
        places, at = np.unique(charge.where(), return_index=True)
        at = np.sort(at[(places >= 0) & ~np.isin(places, seen, assume_unique=True)])
        if len(at):
            kept.append((number, replace_charge(charge, charge.where()[at], charge.losses()[at])))
            seen = np.union1d(seen, charge.where()[at])
    return kept or charges


def _least(charges: list[Numbered]) -> list[Numbered]:
    """One charge that takes the smallest loss of every position (best of passes); [] for one pass."""
    places, nats, _ = flat(charges)
    by_loss = np.lexsort((nats, places))
    unique, first = np.unique(places[by_loss], return_index=True)
    if len(unique) * 2 > len(places):
        return charges
    number, last = charges[-1]
    best = replace_charge(last, unique, nats[by_loss][first])
    return [(number, best)]


def replace_charge(charge: Charged, places: NDArray[np.int32], nats: NDArray[np.float64]) -> Charged:
    """The same charge with other positions and losses."""
    return Charged(charge.via, charge.site, pack_positions(places), pack_nats(nats), float(nats.sum()))


def flat(charges: list[Numbered]) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Places, losses in nats and event numbers of charges, in their order; padding is left out."""
    places = np.concatenate([c.where() for _, c in charges])
    nats = np.concatenate([c.losses() for _, c in charges])
    order = np.concatenate([np.full(len(c.where()), n, np.int64) for n, c in charges])
    if len(nats) and (nats <= 0).all():
        nats = -nats
    charged = (places >= 0) | (nats != 0)
    return places[charged], nats[charged], order[charged]
