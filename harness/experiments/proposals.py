"""Likely tokens in place of uniform ones: Kraft sums where a scorer bets on what comes next.

A cache bets where text repeats itself. So the stream is made to repeat one passage, and some of its
tokens are drawn: half of them uniformly, half from the tokens that followed the same context before.
(Uniform draws alone seldom hit the one token that a cache believes in, and estimate its sum badly.)
With ``q`` the probability of the draw, ``p / q`` has the Kraft sum for its expectation, whatever ``q`` is,
as long as it depends on the prefix alone; so only scorers that charge from left to right are judged.
The same holds within any set of places that is chosen by the prefix alone. A gate that looks at its
target sums to more than one in one such set and to less in another, and to one on average: so the bet
is placed set by set.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.experiments import prefix
from harness.experiments.bench import Ground, Tokens
from harness.experiments.evalue import Kraft, estimate, ratios
from harness.experiments.stages import Stage

EVERY = 6
PASSAGES = 16
"""How many times the repeated passage would fill the stream."""
ORDERS = 5
"""Longest context, in tokens, whose followers are drawn from."""
SEED = 59
_SURE = 0.6

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Proposal:
    """A stream with draws in it. ``log_q`` and ``cells`` are parallel to ``places``, which ascend.

    ``cells`` names partitions of the places; a label depends on nothing but the tokens before.
    """

    tokens: Tokens
    places: Tokens
    log_q: NDArray[np.float64]
    cells: dict[str, Labels]


class _Followers:
    """Which tokens of an alphabet have followed each context of up to ``ORDERS`` tokens."""

    def __init__(self, alphabet: Tokens) -> None:
        self._allowed = frozenset(alphabet.tolist())
        self._counts: dict[tuple[int, ...], Counter[int]] = {}

    def note(self, tokens: list[int], place: int) -> None:
        """The token at ``place`` has become known."""
        if tokens[place] in self._allowed:
            for order in range(1, min(ORDERS, place) + 1):
                context = tuple(tokens[place - order : place])
                self._counts.setdefault(context, Counter())[tokens[place]] += 1

    def at(self, before: list[int]) -> list[Counter[int]]:
        """The followers of the contexts that end ``before``, the longest context first."""
        contexts = (tuple(before[k:]) for k in range(len(before)))
        return [self._counts[c] for c in contexts if c in self._counts]


def draw(ground: Ground, start: int, seed: int = SEED) -> Proposal:
    """From ``start`` on, repeat the passage before it, with a draw in place of every sixth token."""
    rng = np.random.default_rng([seed, start])
    alphabet = prefix.familiar(ground)
    open_places = np.flatnonzero(prefix.changeable(ground, max(start, 1)))
    chosen = set(open_places[seed % EVERY :: EVERY].tolist())
    followers, text = _Followers(alphabet), _repeated(ground, open_places).tolist()
    tokens = list(text)
    log_q, likeliest = [], []
    for place in range(len(text)):
        if place in chosen:
            known = followers.at(tokens[max(0, place - ORDERS) : place])
            token = _one(rng, known, alphabet)
            log_q.append(math.log(_share(token, known, len(alphabet))))
            likeliest.append(known[0].most_common(1)[0] + (known[0].total(),) if known else (-1, 0, 1))
            tokens[place] = token
        followers.note(tokens, place)
    places = np.array(sorted(chosen), np.int64)
    return Proposal(np.array(tokens, np.int64), places, np.array(log_q), _cells(likeliest, ground))


def _repeated(ground: Ground, places: Tokens) -> Tokens:
    """The stream with the passage ahead of the first of ``places`` again and again in these places."""
    text = ground.tokens.copy()
    if len(places):
        allowed = np.flatnonzero(prefix.changeable(ground, 1))
        passage = allowed[allowed < places[0]][-(len(text) // PASSAGES) :]
        text[places] = np.resize(text[passage], len(places)) if len(passage) else text[places]
    return text


def _one(rng: np.random.Generator, known: list[Counter[int]], alphabet: Tokens) -> int:
    if not known or rng.random() < 0.5:
        return int(rng.choice(alphabet))
    counts = known[int(rng.integers(len(known)))]
    shares = np.array(list(counts.values())) / counts.total()
    return int(rng.choice(np.array(list(counts)), p=shares))


def _share(token: int, known: list[Counter[int]], size: int) -> float:
    """Probability with which ``_one`` draws a token."""
    if not known:
        return 1.0 / size
    return 0.5 / size + 0.5 * sum(c[token] / c.total() for c in known) / len(known)


def _cells(likeliest: list[tuple[int, int, int]], ground: Ground) -> dict[str, Labels]:
    """Partitions by the token that followed the longest known context most often."""
    ids, counts, totals = (np.array(column, np.int64) for column in zip(*likeliest, strict=True))
    sure = np.where(ids < 0, 0, 1 + (counts > _SURE * totals))
    cells = {"all": np.zeros(len(ids), np.int64), "by how sure": sure}
    if ground.word_starts is not None:
        starts = ground.word_starts[np.maximum(ids, 0)].astype(np.int64)
        cells["by how sure and whether it begins a word"] = np.where(ids < 0, 0, 2 * sure + starts)
    return cells


def judge(proposal: Proposal, stage: Stage | None) -> dict[str, Any]:
    """Numbers of a run on the proposal; empty where its charges are not known.

    ``evidence_nats`` is the logarithm of the mean, over the partitions, of the wealth from betting in
    every cell by itself.
    """
    if stage is None or not stage.explained or not prefix.in_order(stage):
        return {}
    places, nats, _ = stage.first()
    _, at, here = np.intersect1d(proposal.places, places, return_indices=True)
    if not len(at):
        return {}
    ratio = ratios(nats[here], proposal.log_q[at])
    sums = {name: _by_cell(ratio, labels[at]) for name, labels in proposal.cells.items()}
    wealth = {name: sum(cell.evidence for cell in cells) for name, cells in sums.items()}
    top = max(wealth, key=lambda name: wealth[name])
    spread = sum(math.exp(w - wealth[top]) for w in wealth.values()) / len(wealth)
    data = _numbers(estimate(ratio)) | {"evidence_nats": wealth[top] + math.log(spread), "cells": top}
    best = max(sums[top], key=lambda cell: cell.evidence)
    return data | {f"best_cell_{k}": v for k, v in _numbers(best).items()}


def _by_cell(ratio: NDArray[np.float64], labels: Labels) -> list[Kraft]:
    """An estimate, with its bet, for every cell apart."""
    return [estimate(ratio[labels == label]) for label in np.unique(labels)]


def _numbers(shown: Kraft) -> dict[str, Any]:
    return {"mean": shown.mean, "error": shown.error, "count": shown.count}
