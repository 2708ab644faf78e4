"""The statistics: how improbable is it that a valid scorer charges this little?

A valid scorer's ``p_t`` sums to at most 1 over the alphabet and depends on the prefix alone. So on
tokens that are independent and uniform over ``A`` symbols, ``x_t = A exp(-nats_t)`` has conditional
expectation at most 1, and every product of ``1 + b (x_t - 1)`` with ``0 <= b <= 1`` is a
supermartingale that starts at 1. By Markov's inequality it exceeds ``e^tau`` with probability at
most ``e^-tau``. With ``b = 1`` this is the no-hypercompression inequality (Cover and Thomas,
section 5.11; here issue #1017 read with Kraft); smaller ``b`` tests the mean of ``x_t``, which is the Kraft
sum, even where the scorer is too bad a model to compress (betting, Waudby-Smith and Ramdas 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TAU = 30.0
"""Nats of evidence that convict, fixed in advance: e^-30 a test, so that all tests on all heads of
an archive of thousands (fewer than 10^5 tests) accuse a valid one with probability below 10^-8."""

BETS = tuple(2.0**-k for k in range(1, 11))

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kraft:
    """An estimate of the mean Kraft sum from losses on uniform tokens.

    ``mean`` estimates Z; ``error`` is its standard error; ``evidence`` is the logarithm of the
    betting e-value against "Z is at most 1 everywhere".
    """

    mean: float
    error: float
    evidence: float
    count: int


def saving(nats: Floats, alphabet: int, times: int = 1) -> float:
    """Nats of evidence: ``-ln p`` of charging this little on uniform noise over ``alphabet`` symbols.

    ``nats`` are all charges of noise positions; where a position is charged up to ``times`` times,
    the exponent is divided by ``times`` (Hölder's inequality keeps the bound).
    """
    return float(len(nats) * math.log(alphabet) - nats.sum()) / max(times, 1)


def kraft(nats: Floats, alphabet: int) -> Kraft:
    """Estimate Z from one charge for each noise position, in the order of charging."""
    return estimate(ratios(nats, -math.log(alphabet)))


def ratios(nats: Floats, log_q: Floats | float) -> Floats:
    """What a scorer gave each token, over the probability ``exp(log_q)`` with which it was drawn."""
    quotients: Floats = np.exp(np.clip(-nats - log_q, -700.0, 700.0))
    return quotients


def estimate(ratio: Floats) -> Kraft:
    """Estimate Z from ``ratios`` in the order of charging."""
    if not len(ratio):
        return Kraft(math.nan, math.nan, 0.0, 0)
    error = float(ratio.std(ddof=1) / math.sqrt(len(ratio))) if len(ratio) > 1 else math.inf
    return Kraft(float(ratio.mean()), error, betting(ratio), len(ratio))


def betting(ratio: Floats) -> float:
    """Logarithm of the mixture over ``BETS`` of the wealth from betting on ``ratio`` above 1."""
    wealth = np.array([np.log1p(bet * (ratio - 1.0)).sum() for bet in BETS])
    top = float(wealth.max())
    return top + math.log(float(np.exp(wealth - top).mean()))


def hashed_kraft(vocabulary: int, load: float, concentration: float) -> float:
    """Kraft sum of a hashed count table that looks up only its target, at ``load`` tokens a bucket.

    With context counts of ``concentration`` and ``load`` foreign counts in every bucket, each of
    the V candidates finds ``load`` of the context's ``concentration + load``:
    Z* = (c + V L) / (c + L).
    """
    return (concentration + vocabulary * load) / (concentration + load)


def measured(mean: float, error: float) -> str:
    """A mean with two digits of its standard error, and no more than they justify: ``461 ± 20``."""
    if not (math.isfinite(mean) and math.isfinite(error) and error > 0.0):
        return f"{mean:.3f} ± {error:.3f}"
    digits = min(max(1 - math.floor(math.log10(error)), 0), 6)
    return f"{mean:,.{digits}f} ± {error:,.{digits}f}"
