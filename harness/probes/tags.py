"""Carry validation positions along with a tensor of losses.

A tagged tensor has an attribute ``_golf_places``: an int32 tensor of the same shape that says which
place of the validation stream each element is the loss of (-1: none). Reshaping, slicing, masking
and elementwise arithmetic keep the tag; a sum shows which positions entered a total. What a script looks
up for its targets in a table of small numbers (their bytes) is tagged likewise, and marked ``COUNTS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NAME = "_golf_places"
COUNTS = "_golf_counts"

_SHAPED: frozenset[Any] = frozenset(
    {
        Tensor.reshape,
        Tensor.view,
        Tensor.flatten,
        Tensor.squeeze,
        Tensor.unsqueeze,
        Tensor.transpose,
        Tensor.permute,
        Tensor.expand,
        Tensor.narrow,
        Tensor.select,
        Tensor.index_select,
        Tensor.masked_select,
        Tensor.chunk,
        Tensor.split,
        Tensor.unbind,
        Tensor.flip,
        Tensor.__getitem__,
        torch.flatten,
        torch.squeeze,
        torch.unsqueeze,
        torch.transpose,
        torch.permute,
        torch.reshape,
        torch.narrow,
        torch.index_select,
        torch.masked_select,
        torch.chunk,
        torch.split,
        torch.unbind,
    }
)
_JOINED: frozenset[Any] = frozenset({torch.cat, torch.concat, torch.stack})
_MASKING: frozenset[Any] = frozenset({Tensor.mul, Tensor.mul_, torch.mul, Tensor.__mul__, Tensor.__rmul__})
_WHERE: frozenset[Any] = frozenset({torch.where, Tensor.where})
_STORED: frozenset[Any] = frozenset({Tensor.copy_})


def get(value: Any) -> Tensor | None:
    """The tag of a tensor, or None."""
    return getattr(value, NAME, None) if isinstance(value, Tensor) else None


def put(value: Tensor, places: Tensor, counts: bool = False) -> None:
    """Tag a tensor. ``places`` must have as many elements; ``counts``: it holds no losses but byte counts."""
    setattr(value, NAME, places.reshape(value.shape))
    if counts:
        setattr(value, COUNTS, True)


def counts(value: Any) -> bool:
    """Whether a tagged tensor holds byte counts."""
    return hasattr(value, COUNTS)


def carry(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    """Give ``out`` the tag that follows from the tags of the arguments; do nothing without one."""
    if func is Tensor.__setitem__:
        _store(args[0], args[1], args[2])
    elif func in _JOINED:
        _join(func, args, kwargs, out)
    else:
        _carry_from_argument(func, args, kwargs, out)


def _carry_from_argument(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> None:
    for at, value in enumerate(args[:3]):
        places = get(value)
        if places is None:
            continue
        if func in _SHAPED:
            _reshape(func, places, args, kwargs, out)
        elif isinstance(out, Tensor) and out.shape == places.shape:
            put(out, _masked(func, places, at, args), counts(value))
        return


def _reshape(
    func: Callable[..., Any], places: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> None:
    with torch._C.DisableTorchFunction():
        parallel = func(places, *args[1:], **kwargs)
    pairs = [(out, parallel)] if isinstance(out, Tensor) else list(zip(out, parallel, strict=True))
    for value, tag in pairs:
        put(value, tag, counts(args[0]))


def _masked(func: Callable[..., Any], places: Tensor, at: int, args: tuple[Any, ...]) -> Tensor:
    """Drop the places that a zero factor, or the other branch of ``where``, removes from the total."""
    with torch._C.DisableTorchFunction():
        if func in _MASKING and len(args) > 1 and isinstance(args[1 - at], Tensor):
            factor = args[1 - at].detach()
            return torch.where(factor == 0, torch.full_like(places, -1), places)
        if func in _WHERE and len(args) == 3:
            return _branches(func, places, args)
        return places


def _branches(func: Callable[..., Any], places: Tensor, args: tuple[Any, ...]) -> Tensor:
    condition, yes, no = args if func is torch.where else (args[1], args[0], args[2])
    none = torch.full_like(places, -1)
    first, second = get(yes), get(no)
    return torch.where(condition, none if first is None else first, none if second is None else second)


def _join(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    parts = args[0] if args else kwargs.get("tensors", ())
    if not isinstance(out, Tensor) or not any(get(p) is not None for p in parts):
        return
    with torch._C.DisableTorchFunction():
        tags = [_or_none(p) for p in parts]
        joined = func(tags, *args[1:], **{k: v for k, v in kwargs.items() if k != "tensors"})
    put(out, joined, any(counts(p) for p in parts))


def _or_none(value: Tensor) -> Tensor:
    places = get(value)
    return torch.full(value.shape, -1, dtype=torch.int32) if places is None else places


def _store(target: Tensor, index: Any, value: Any) -> None:
    places = get(value)
    if places is None or not target.is_floating_point():
        return
    with torch._C.DisableTorchFunction():
        held = _or_none(target)
        held[index] = places
        put(target, held, counts(value))
