"""A contract for authors who hand over their scorer: the strongest certificate this product can give.

An author offers an object with three methods (``Scorer``). From a sample of validation tokens the
battery then shows, position by position and without statistics: the distribution is complete and
sums to one (exact Z), it is the same whatever the tokens to come (prefix invariance), and a decoder
that has only the scorer gets the sample back from the very bits that were charged (an arithmetic
code in integers, so that nothing rests on rounding).

    class Mine:
        def reset(self) -> None: ...
        def distribution(self, prefix: Sequence[int]) -> Sequence[float]: ...   # probabilities, shape (V,)
        def observe(self, token: int) -> None: ...                              # learn from it, if you do
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness.record import Experiment, Holds

Z_SLACK = 1e-6
"""How far a sum of V single-precision probabilities may lie from 1."""
TOTAL_BITS = 48
"""Integer frequencies sum to 2^48: a symbol of probability 0 still gets 1, which costs at most
V / 2^48 of the mass."""
_STATE_BITS = 62

Counts = NDArray[np.int64]


class Scorer(Protocol):
    """What an author hands over. Equal calls after ``reset`` must give equal results."""

    def reset(self) -> None:
        """Forget everything but the artifact."""
        ...

    def distribution(self, prefix: Sequence[int]) -> Sequence[float]:
        """Probabilities of the next token, shape (V,), given the tokens so far."""
        ...

    def observe(self, token: int) -> None:
        """The token that came next: the scorer may learn from it."""
        ...


@dataclass(frozen=True, slots=True)
class Certificate:
    """The battery's results. ``valid`` if every experiment held; ``nats`` is the charge for the sample."""

    experiments: tuple[Experiment, ...]
    nats: float
    coded_bits: int
    tokens: int

    @property
    def valid(self) -> bool:
        """Whether the score is a code length on this sample."""
        return all(e.result is Holds.HOLDS for e in self.experiments)


def certify(scorer: Scorer, tokens: Sequence[int], seed: int = 0) -> Certificate:
    """Run the whole battery on a sample.

    Raises:
        ValueError: the sample is empty.
    """
    if not len(tokens):
        raise ValueError("a certificate needs at least one token")
    sample = [int(t) for t in tokens]
    rows, kraft = _kraft(scorer, sample)
    nats = _charge(rows, sample)
    prefix = _prefix(scorer, sample, rows, seed)
    coding, bits = _roundtrip(scorer, sample, nats)
    return Certificate((kraft, prefix, coding), nats, bits, len(sample))


def _walk(scorer: Scorer, tokens: Sequence[int]) -> list[NDArray[np.float64]]:
    """The distributions of one pass from left to right."""
    scorer.reset()
    rows = []
    for at, token in enumerate(tokens):
        rows.append(np.asarray(scorer.distribution(tuple(tokens[:at])), np.float64).copy())
        scorer.observe(token)
    return rows


def _charge(rows: list[NDArray[np.float64]], tokens: Sequence[int]) -> float:
    with np.errstate(divide="ignore"):
        return float(-sum(np.log(_entry(row, t)) for row, t in zip(rows, tokens, strict=True)))


def _entry(row: NDArray[np.float64], token: int) -> np.float64:
    return row[token] if 0 <= token < len(row) else np.float64(0.0)


def _kraft(scorer: Scorer, tokens: Sequence[int]) -> tuple[list[NDArray[np.float64]], Experiment]:
    rows = _walk(scorer, tokens)
    sums = np.array([math.fsum(row.tolist()) for row in rows])
    worst = int(np.abs(sums - 1.0).argmax())
    data = {"positions": len(rows), "worst_position": worst, "worst_z": float(sums[worst]), "exact": True}
    negative = next((i for i, row in enumerate(rows) if not np.isfinite(row).all() or (row < 0).any()), None)
    if negative is not None:
        summary = f"position {negative}: an entry is negative or not a number"
        return rows, Experiment(
            "kraft", Holds.VIOLATED, summary, data | {"counterexample": {"position": negative}}
        )
    if abs(sums[worst] - 1.0) > Z_SLACK:
        summary = f"position {worst}: the probabilities sum to {sums[worst]:.6f}"
        case = {"position": worst, "z": float(sums[worst]), "prefix": list(tokens[max(worst - 8, 0) : worst])}
        return rows, Experiment("kraft", Holds.VIOLATED, summary, data | {"counterexample": case})
    return rows, Experiment("kraft", Holds.HOLDS, f"Z = 1 within {Z_SLACK:g} at {len(rows)} positions", data)


def _prefix(
    scorer: Scorer, tokens: Sequence[int], rows: list[NDArray[np.float64]], seed: int, changes: int = 4
) -> Experiment:
    """Change the tokens from t on, for several t; the distributions up to t must be the same bits."""
    rng = np.random.default_rng(seed)
    alphabet = len(rows[0])
    cuts = sorted({0, *rng.integers(0, len(tokens), changes).tolist(), len(tokens) - 1})
    for cut in cuts:
        other = [*tokens[:cut], *rng.integers(0, alphabet, len(tokens) - cut).tolist()]
        for at, row in enumerate(_walk(scorer, other)[: cut + 1]):
            if not np.array_equal(row, rows[at]):
                case = {"changed_from": cut, "position": at, "tokens": other[cut : cut + 8]}
                summary = f"tokens from {cut} on were changed; the distribution at {at} is another"
                return Experiment("prefix", Holds.VIOLATED, summary, {"counterexample": case, "cuts": cuts})
    told = f"distributions equal to the last bit ahead of {len(cuts)} changes"
    return Experiment("prefix", Holds.HOLDS, told, {"cuts": cuts})


def _roundtrip(scorer: Scorer, tokens: Sequence[int], nats: float) -> tuple[Experiment, int]:
    """Encode with one pass of the scorer, decode with another that sees only what it has decoded."""
    try:
        bits = encode(scorer, tokens)
        decoded = decode(scorer, bits, len(tokens))
    except (ValueError, OverflowError) as error:
        return Experiment("coding", Holds.VIOLATED, f"no code can be built: {error}"), 0
    data = {"bits": len(bits), "charged_bits": nats / math.log(2), "tokens": len(tokens)}
    if decoded != list(tokens):
        at = next(i for i, (a, b) in enumerate(zip(decoded, tokens, strict=True)) if a != b)
        summary = f"the decoder went astray at position {at}"
        return Experiment(
            "coding", Holds.VIOLATED, summary, data | {"counterexample": {"position": at}}
        ), len(bits)
    if len(bits) > nats / math.log(2) + _overhead(len(tokens)):
        summary = f"the code takes {len(bits)} bits where {nats / math.log(2):.1f} were charged"
        return Experiment("coding", Holds.VIOLATED, summary, data), len(bits)
    told = f"{len(tokens)} tokens decoded from {len(bits)} bits; {nats / math.log(2):.1f} were charged"
    return Experiment("coding", Holds.HOLDS, told, data), len(bits)


def _overhead(tokens: int) -> float:
    """Bits by which the integer code may exceed the charge: two to end it, and rounding of frequencies."""
    return 2.0 + 1e-3 * tokens


# --- the integer arithmetic coder ---------------------------------------------------------------


def frequencies(row: Sequence[float] | NDArray[np.float64]) -> Counts:
    """Integers of at least 1 that sum to ``2**TOTAL_BITS``, in proportion to a distribution.

    Raises:
        ValueError: an entry is negative or not finite, or nothing is left for the last symbol.
    """
    mass = np.asarray(row, np.float64)
    if not len(mass) or not np.isfinite(mass).all() or (mass < 0).any():
        raise ValueError("an entry of the distribution is negative or not a number")
    free = (1 << TOTAL_BITS) - len(mass)
    counts = np.floor(mass * free).astype(np.int64) + 1
    short = (1 << TOTAL_BITS) - int(counts.sum())
    top = int(counts.argmax())
    counts[top] += short
    if counts[top] < 1:
        raise ValueError(f"the distribution sums to {mass.sum():.6f}: there is no room in the code")
    return counts


class _Interval:
    """A code interval in integers of ``_STATE_BITS`` bits (Witten, Neal and Cleary 1987)."""

    def __init__(self) -> None:
        self.low, self.high = 0, (1 << _STATE_BITS) - 1

    def narrow(self, below: int, count: int) -> None:
        """Keep the part of a symbol whose frequencies span [below, below + count)."""
        width = self.high - self.low + 1
        self.high = self.low + ((width * (below + count)) >> TOTAL_BITS) - 1
        self.low += (width * below) >> TOTAL_BITS


_HALF = 1 << (_STATE_BITS - 1)
_QUARTER = 1 << (_STATE_BITS - 2)


def encode(scorer: Scorer, tokens: Sequence[int]) -> list[int]:
    """Code a sample with the scorer's own distributions; returns bits.

    Raises:
        ValueError: a distribution leaves no room for a code, or a token is outside it.
    """
    interval, bits, waiting = _Interval(), list[int](), 0
    scorer.reset()
    for at, token in enumerate(tokens):
        counts = frequencies(scorer.distribution(tuple(tokens[:at])))
        if not 0 <= token < len(counts):
            raise ValueError(f"token {token} is outside the alphabet of {len(counts)}")
        interval.narrow(int(counts[:token].sum()), int(counts[token]))
        waiting = _shift_out(interval, bits, waiting)
        scorer.observe(token)
    last = int(interval.low >= _QUARTER)
    bits += [last, *([1 - last] * (waiting + 1))]
    return bits


def _shift_out(interval: _Interval, bits: list[int], waiting: int) -> int:
    """Write the bits that are settled; count those that wait for the next settled one."""
    while True:
        if interval.high < _HALF or interval.low >= _HALF:
            bit = int(interval.low >= _HALF)
            bits += [bit, *([1 - bit] * waiting)]
            waiting = 0
        elif interval.low >= _QUARTER and interval.high < 3 * _QUARTER:
            bit, waiting = -1, waiting + 1
        else:
            return waiting
        _double(interval, bit)


def _double(interval: _Interval, bit: int) -> int:
    """Magnify the interval; returns what was subtracted from its ends."""
    offset = {0: 0, 1: _HALF, -1: _QUARTER}[bit]
    interval.low = 2 * (interval.low - offset)
    interval.high = 2 * (interval.high - offset) + 1
    return offset


def decode(scorer: Scorer, bits: Sequence[int], count: int) -> list[int]:
    """Decode ``count`` tokens with a scorer that sees only what has been decoded.

    Raises:
        ValueError: a distribution leaves no room for a code.
    """
    interval, tokens = _Interval(), list[int]()
    source = iter(bits)
    value = 0
    for _ in range(_STATE_BITS):
        value = 2 * value + next(source, 0)
    scorer.reset()
    for _ in range(count):
        counts = frequencies(scorer.distribution(tuple(tokens)))
        ends = np.cumsum(counts)
        width = interval.high - interval.low + 1
        aim = (((value - interval.low + 1) << TOTAL_BITS) - 1) // width
        token = int(np.searchsorted(ends, aim, side="right"))
        interval.narrow(int(ends[token] - counts[token]), int(counts[token]))
        value = _shift_in(interval, value, source)
        tokens.append(token)
        scorer.observe(token)
    return tokens


def _shift_in(interval: _Interval, value: int, source: object) -> int:
    """Follow the encoder's magnifications with the code value."""
    while True:
        if interval.high < _HALF or interval.low >= _HALF:
            bit = int(interval.low >= _HALF)
        elif interval.low >= _QUARTER and interval.high < 3 * _QUARTER:
            bit = -1
        else:
            return value
        offset = _double(interval, bit)
        value = 2 * (value - offset) + next(source, 0)  # type: ignore[call-overload]
