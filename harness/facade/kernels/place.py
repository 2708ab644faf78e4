"""Which program of a grid is running, or which programs are, when many run together."""

from __future__ import annotations

from typing import Any

import torch
from torch._C import _functorch


class Place:
    """The running program: an int an axis, or under ``torch.vmap`` a scalar that stands for many."""

    index: tuple[Any, ...] = (0, 0, 0)
    grid: tuple[int, ...] = (1, 1, 1)
    zero: torch.Tensor | None = None
    """A zero of each program where many run together, else None."""


def each(x: torch.Tensor) -> torch.Tensor:
    """A value of each program's own, which it may change in place."""
    zero = Place.zero
    if zero is None or _functorch.is_batchedtensor(x):
        return x
    return x | zero.bool() if x.dtype == torch.bool else x + zero.to(x.dtype)


def of_all(x: torch.Tensor) -> torch.Tensor:
    """What the programs hold, one after the other along a new first dimension."""
    x = each(x)
    whole: torch.Tensor = _functorch.get_unwrapped(x)
    return whole.movedim(_functorch.maybe_get_bdim(x), 0)
