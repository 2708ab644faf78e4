"""Prefix invariance: a charge made before x_t was charged must not know x_t.

"Before" is the order of charging, which need not be the order of the stream: documents may be
scored in any fixed order. Within one charge (a batch), places left of the first change count as
before. Only what lies left of the change accuses: a charge made early may know tokens to its left
that are charged later (a document scored before the one that it follows, whose end it sees, #457),
for in the order of the stream that is a code. Arithmetic on one thread is deterministic, so a legal
scorer's charges are equal to the last bit; what differs by less than ``ROUNDING`` is put down to
kernels that round by shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.experiments import drawn
from harness.experiments.bench import Ground, Tokens
from harness.experiments.stages import Stage

ROUNDING = 1e-4
"""Nats. Single-precision kernels differ by some 1e-6 when shapes differ; offenders move by 1e-3 and more."""
FAINT = 1e-5
"""Nats: twenty times the last digit of a loss in single precision."""
MANY = 100
SEED = 41


@dataclass(frozen=True)
class Shift:
    """What a change of the tokens at ``changed`` did to the charges made before.

    ``compared`` charges were compared; ``moved`` of them moved at all. Of those left of the change moved
    ``clear`` by more than ``ROUNDING``, ``faint`` by more than ``FAINT``, at most by ``largest`` nats;
    ``example`` is (place, before, after) of that one.
    ``reached`` says that a changed token was charged in its changed form; ``series`` is for a picture.
    """

    changed: tuple[int, ...]
    compared: int
    moved: int
    clear: int
    largest: float
    example: tuple[int, float, float] | None
    reached: bool
    series: dict[str, list[float]] = field(default_factory=dict, compare=False, repr=False)
    faint: int = 0

    @property
    def proves(self) -> bool:
        """Whether this alone shows dependence on the future."""
        return self.reached and self.clear > 0 and (self.clear >= 3 or self.largest > 10 * ROUNDING)

    @property
    def confirms(self) -> bool:
        """Whether this shows the consequence of updates before the charges that were seen besides."""
        return self.proves or (self.reached and self.faint >= MANY)


def familiar(ground: Ground) -> Tokens:
    """Ordinary ids up to the largest of the stream: replacing by them leaves the largest as it is."""
    kept: Tokens = ground.ordinary[ground.ordinary <= ground.tokens.max()]
    return kept


def changeable(ground: Ground, start: int) -> NDArray[np.bool_]:
    """Places from ``start`` on whose token may be replaced: boundaries stay, and so does the largest id,
    because scripts take the size of the vocabulary from it, which is no use of the future."""
    later = np.arange(len(ground.tokens)) >= start
    usual = np.isin(ground.tokens, ground.ordinary) & (ground.tokens != ground.tokens.max())
    both: NDArray[np.bool_] = later & usual
    return both


def tail_change(ground: Ground, start: int, seed: int = SEED) -> Tokens:
    """Replace every ordinary token from place ``start`` on by noise."""
    noise = np.random.default_rng([seed, start]).choice(familiar(ground), len(ground.tokens))
    return np.where(changeable(ground, start), noise, ground.tokens).astype(np.int64)


def single_change(ground: Ground, place: int, seed: int = SEED) -> Tokens:
    """Replace the token nearest after ``place`` that may be changed by another one."""
    at = int(np.flatnonzero(changeable(ground, place))[0])
    others = familiar(ground)
    changed = ground.tokens.copy()
    changed[at] = np.random.default_rng([seed, at]).choice(others[others != ground.tokens[at]])
    return changed


def in_order(base: Stage) -> bool:
    """Whether the stream is charged from left to right (places of one charge count as in order)."""
    places, _, order = base.first()
    return not (np.diff(order[np.argsort(places, kind="stable")]) < 0).any()


def inside(base: Stage, start: int, reach: int = 64) -> int:
    """A place near ``start`` that is charged together with as many places to its left as possible.

    What is fitted to a whole window before it is charged shows nowhere else.
    """
    when = np.full(int(base.places.max(initial=0)) + reach + 2, -1, np.int64)
    places, _, order = base.first()
    when[places] = order
    options = [t for t in range(start, min(start + reach, len(when))) if when[t] >= 0]
    together = [int((when[max(t - reach, 0) : t] == when[t]).sum()) for t in options]
    return options[int(np.argmax(together))] if options else start


def late_change(ground: Ground, base: Stage, seed: int = SEED) -> Tokens:
    """Replace by noise what is charged last: a quarter of the charges, wherever in the stream it lies.

    For scorers that take the documents in another order, a change from some place on would come
    before nearly every charge.
    """
    places, _, order = base.first()
    late = np.zeros(len(ground.tokens), bool)
    if len(order):
        late[places[order >= np.quantile(order, 0.75)]] = True
    noise = np.random.default_rng(seed).choice(familiar(ground), len(ground.tokens))
    return np.where(changeable(ground, 1) & late, noise, ground.tokens).astype(np.int64)


def compare(base: Stage, probe: Stage, old: Tokens, new: Tokens) -> Shift:
    """Compare the charges of two runs of one stage that differ in the validation tokens."""
    changed = np.flatnonzero(old != new)
    before, nats = _before(base, changed)
    reached = bool(np.isin(probe.places, changed).any())
    after = _match(base, probe, before)
    same = np.isfinite(after)
    every = np.abs(after[same] - nats[same])
    places = base.places[before][same]
    delta = np.where(places < changed.min(initial=len(old)), every, 0.0)
    example = None
    if len(delta) and delta.max() > 0:
        top = int(delta.argmax())
        example = (int(places[top]), float(nats[same][top]), float(after[same][top]))
    return Shift(
        tuple(changed[:8].tolist()),
        len(delta),
        int((every > 0).sum()),
        int((delta > ROUNDING).sum()),
        float(delta.max()) if len(delta) else 0.0,
        example,
        reached,
        drawn.changed_losses(places, nats[same], after[same]),
        int((delta > FAINT).sum()),
    )


def _before(base: Stage, changed: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Indices and nats of the charges made before any changed position was charged."""
    hit = np.isin(base.places, changed)
    if not hit.any():
        return np.empty(0, np.int64), np.empty(0)
    moment = base.order[hit].min()
    left = base.places < changed.min()
    known = base.places >= 0
    chosen = np.flatnonzero(known & ((base.order < moment) | ((base.order == moment) & left)) & ~hit)
    return chosen, base.nats[chosen]


def _match(base: Stage, probe: Stage, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """The probe's nats for the same charge: same rank in the stage, same place; NaN where there is none.

    Both runs follow the same path until they part, so the ranks agree; where the numbers of charges
    differ, the same occurrence of the same place stands in.
    """
    if len(base.places) == len(probe.places):
        same = base.places[chosen] == probe.places[chosen]
        return np.where(same, probe.nats[chosen], np.nan)
    table: dict[tuple[int, int], float] = {}
    for place, turn, value in zip(
        probe.places.tolist(), _turns(probe.places), probe.nats.tolist(), strict=True
    ):
        table[place, turn] = value
    turns = _turns(base.places)
    return np.array([table.get((int(base.places[i]), turns[i]), np.nan) for i in chosen])


def _turns(places: NDArray[np.int32]) -> list[int]:
    """How often each place was charged before, for every charge."""
    seen: dict[int, int] = {}
    turns = []
    for place in places.tolist():
        turns.append(seen.get(place, 0))
        seen[place] = turns[-1] + 1
    return turns
