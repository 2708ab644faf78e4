"""Carry validation positions along with a numpy array of losses.

Scripts that mix in a cache leave torch for numpy. ``Charges`` is an ndarray that remembers which
place of the validation stream each element is the loss (or probability) of, through slicing, masks
and elementwise functions, and tells a listener when elements are summed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int32]
Listener = Callable[[NDArray[Any], Places, float], None]

_listener: list[Listener] = []


def listen(listener: Listener) -> None:
    """Have every sum of a ``Charges`` array reported: values, places, and the total."""
    _listener[:] = [listener]


class Charges(np.ndarray[Any, Any]):
    """An array of losses with ``places`` of the same shape (None once they are lost)."""

    places: Places | None

    def __array_finalize__(self, source: Any) -> None:
        """Copies and casts of the same shape keep the places."""
        held = getattr(source, "places", None)
        self.places = held if held is not None and held.shape == self.shape else None

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Compute on the plain arrays; keep places for elementwise float results; report sums."""
        places = _first_places(inputs)
        if "out" in kwargs:
            kwargs["out"] = tuple(_plain(o) for o in kwargs["out"])
        result = getattr(ufunc, method)(*(_plain(i) for i in inputs), **kwargs)
        if method == "reduce" and ufunc is np.add and places is not None:
            _report(_plain(inputs[0]), places, result)
            return result
        return wrap(result, places) if method == "__call__" else result

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """``where`` and ``concatenate`` keep places; all else sees plain arrays."""
        if func is np.where and len(args) == 3:
            return _where(*args)
        if func is np.concatenate:
            return _concatenate(args[0], *args[1:], **kwargs)
        return super().__array_function__(func, types, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        """Slices and masks keep their places."""
        result = _plain(self)[_plain(index)]
        return wrap(result, None if self.places is None else self.places[_plain(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        """Overwriting values keeps the places: a mixed loss is still the loss of its position."""
        _plain(self)[_plain(index)] = _plain(value)

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """Places take the new shape too."""
        result = _plain(self).reshape(*shape, **kwargs)
        return wrap(result, None if self.places is None else self.places.reshape(result.shape))

    def ravel(self, order: Any = "C") -> Any:
        """Flatten, with places."""
        return self.reshape(-1)

    def flatten(self, order: Any = "C") -> Any:
        """Flatten into a copy, with places."""
        return self.reshape(-1).copy()


def wrap(result: Any, places: Places | None) -> Any:
    """A float array with its places; anything else unchanged."""
    fits = isinstance(result, np.ndarray) and places is not None and result.shape == places.shape
    if not fits or result.dtype.kind != "f" or result.ndim == 0:
        return result
    view = result.view(Charges)
    view.places = places
    return view


def _plain(value: Any) -> Any:
    if isinstance(value, Charges):
        return value.view(np.ndarray)
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    return value


def _first_places(inputs: tuple[Any, ...]) -> Places | None:
    for value in inputs:
        if isinstance(value, Charges) and value.places is not None:
            return value.places
    return None


def _places_or_none(value: Any, shape: tuple[int, ...]) -> Places:
    held = getattr(value, "places", None)
    return np.broadcast_to(np.int32(-1) if held is None else held, shape)


def _where(condition: Any, yes: Any, no: Any) -> Any:
    result = np.where(_plain(condition), _plain(yes), _plain(no))
    tags = [_places_or_none(v, result.shape) for v in (yes, no)]
    return wrap(result, np.where(_plain(condition), *tags).astype(np.int32))


def _concatenate(parts: Any, *args: Any, **kwargs: Any) -> Any:
    result = np.concatenate([_plain(p) for p in parts], *args, **kwargs)
    tags = [_places_or_none(p, np.shape(p)) for p in parts]
    return wrap(result, np.concatenate(tags, *args).astype(np.int32))


def _report(values: NDArray[Any], places: Places, result: Any) -> None:
    for listener in _listener:
        listener(np.asarray(values), places, float(np.sum(result)))
