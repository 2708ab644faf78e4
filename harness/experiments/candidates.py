"""A Kraft violation that a person can follow: a few tokens at one place that share more than everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from harness.experiments.forks import Trials
from harness.experiments.stages import Stage
from harness.experiments.trials import Volley
from harness.record import Experiment, Holds

CANDIDATES = 8
TOGETHER = 2
"""Forks at a time: the machine that is promised has two cores."""


def exemplify(kraft: Experiment, volley: Volley) -> Experiment:
    """Add to a violated experiment the place at which some candidates sum to more than one, if found.

    Each candidate is one fork in which the token of the place, and nothing else, is replaced.
    """
    place = _place(volley)
    if kraft.result is not Holds.VIOLATED or place is None:
        return kraft
    charges = _charges(volley.trials, place)
    total = float(np.exp(-np.array(list(charges.values()))).sum()) if charges else 0.0
    case: dict[str, Any] = {"place": place, "charges": {str(v): c for v, c in charges.items()}, "sum": total}
    if total <= 1.0:
        return replace(kraft, data=kraft.data | {"candidates": case})
    told = f"; at position {place} {len(charges)} of the candidate tokens alone share {total:.2f}"
    return replace(kraft, summary=kraft.summary + told, data=kraft.data | {"counterexample": case})


def _place(volley: Volley) -> int | None:
    """The replaced place that was charged least: where an improbable token was believed most."""
    if volley.many is None or not volley.many.explained:
        return None
    places, nats, _ = volley.many.first()
    replaced = np.isin(places, volley.replaced)
    return int(places[replaced][nats[replaced].argmin()]) if replaced.any() else None


def _charges(trials: Trials, place: int) -> dict[int, float]:
    """Nats charged at ``place`` for the commonest tokens so far; any choice bounds the sum from below."""
    before = trials.ground.tokens[:place]
    ids, counts = np.unique(before[np.isin(before, trials.ground.ordinary)], return_counts=True)
    drawn = ids[np.argsort(-counts, kind="stable")][:CANDIDATES].tolist()
    found: dict[int, float] = {}
    for at in range(0, len(drawn), TOGETHER):
        if trials.left() < 2 * max(trials.session.seconds.values(), default=0.0):
            break
        group = drawn[at : at + TOGETHER]
        streams = [(token, trials.start(_with(trials, place, token))) for token in group]
        for token, stream in streams:
            nats = _at(trials.stage(stream)[1], place)
            if nats is not None:
                found[token] = nats
    return found


def _with(trials: Trials, place: int, token: int) -> Any:
    changed = trials.ground.tokens.copy()
    changed[place] = token
    return changed


def _at(stage: Stage | None, place: int) -> float | None:
    """The first charge of a place."""
    if stage is None or not stage.explained:
        return None
    places, nats, _ = stage.first()
    here = nats[places == place]
    return float(here[0]) if len(here) else None
