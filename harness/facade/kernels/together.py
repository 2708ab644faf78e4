"""All programs of a grid at once: each operation of the kernel is done one time, for all of them.

A grid has no order, so running its programs side by side under ``torch.vmap`` is as faithful as one after
the other, and many times faster where blocks are small. It is trusted only after a first launch in which
both left the same memory behind; a kernel that branches on its place along an axis, adds atomically or
moves block pointers by its place goes on one by one, or side by side along the other axes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch

from harness.facade.kernels.place import Place
from harness.facade.kernels.pointers import Pointer, Window

LEAST = 8
"""Programs from which it pays."""
MOST = 512
"""Programs at a time, so that their blocks fit into memory."""
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-3}
"""By which sums in another order may differ; twenty times the second for narrower types."""

Axes = tuple[int, ...]
CHOICE: dict[Any, Axes] = {}
"""Axes along which a kernel may run side by side, by its function and the kinds of its arguments."""


def run(
    function: Callable[..., Any], sizes: list[int], arguments: dict[str, Any], alone: Callable[[], None]
) -> None:
    """Run a grid; ``alone`` runs its programs one by one."""
    key = (function, tuple((name, _kind(value)) for name, value in arguments.items()))
    if math.prod(sizes) < LEAST or CHOICE.get(key) == ():
        alone()
        return
    memory = [m for m in map(_memory, arguments.values()) if m is not None]
    before = [m.clone() for m in memory]
    if key not in CHOICE:
        alone()
        CHOICE[key] = _choose(function, sizes, arguments, memory, before)
    elif not _attempt(function, sizes, arguments, CHOICE[key]):
        CHOICE[key] = ()
        _put(memory, before)
        alone()


def _kind(value: Any) -> Any:
    """What may decide which way a kernel goes."""
    memory = _memory(value)
    if memory is not None:
        return memory.dtype
    return value if isinstance(value, (bool, str, torch.dtype)) else type(value)


def _memory(value: Any) -> torch.Tensor | None:
    value = value.pointer if isinstance(value, Window) else value
    return value.memory if isinstance(value, Pointer) else None


def _put(memory: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    for m, value in zip(memory, values, strict=True):
        m.copy_(value)


def _choose(
    function: Callable[..., Any],
    sizes: list[int],
    arguments: dict[str, Any],
    memory: list[torch.Tensor],
    before: list[torch.Tensor],
) -> Axes:
    """The widest choice of axes that leaves behind what is in memory now; memory is as it was afterwards."""
    after = [m.clone() for m in memory]
    wide = [axis for axis in range(3) if sizes[axis] > 1]
    choices = [axes for n in range(len(wide), 0, -1) for axes in itertools.combinations(wide, n)]
    for axes in sorted(choices, key=lambda axes: -math.prod(sizes[axis] for axis in axes)):
        if math.prod(sizes[axis] for axis in axes) < LEAST:
            break
        _put(memory, before)
        same = _attempt(function, sizes, arguments, axes) and all(map(_close, memory, after))
        _put(memory, after)
        if same:
            return axes
    return ()


def _close(got: torch.Tensor, expected: torch.Tensor) -> bool:
    if not got.is_floating_point():
        return torch.equal(got, expected)
    allowed = TOLERANCE.get(got.dtype, 20 * TOLERANCE[torch.float32])
    return torch.allclose(got.float(), expected.float(), rtol=allowed, atol=allowed, equal_nan=True)


def _attempt(function: Callable[..., Any], sizes: list[int], arguments: dict[str, Any], axes: Axes) -> bool:
    """Whether the grid could be run side by side along these axes; if not, memory is anything."""
    before = Place.index, Place.grid, Place.zero
    Place.grid = tuple(sizes)
    spread = torch.cartesian_prod(*(torch.arange(sizes[axis], dtype=torch.int32) for axis in axes))
    places = spread.reshape(-1, len(axes))
    others = [range(1) if axis in axes else range(size) for axis, size in enumerate(sizes)]
    try:
        for fixed in itertools.product(*others):
            for some in torch.split(places, MOST):
                torch.vmap(lambda place, at=fixed: _programs(function, arguments, axes, place, at))(some)
    except Exception:  # whatever a kernel meets with that only one program at a time can do
        return False
    finally:
        Place.index, Place.grid, Place.zero = before
    return True


def _programs(
    function: Callable[..., Any], arguments: dict[str, Any], axes: Axes, place: torch.Tensor, fixed: Any
) -> torch.Tensor:
    """Run the kernel for all places at once; what is returned only serves ``torch.vmap``."""
    index = list(fixed)
    for axis, own in zip(axes, place.unbind(), strict=True):
        index[axis] = own
    Place.index, Place.zero = tuple(index), place[0] * 0
    function(**arguments)
    return place
