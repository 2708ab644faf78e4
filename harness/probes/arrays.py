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
    """An array of losses with ``places`` of the same shape (None while none is known).

    A script may make the array first and store losses in it later, slice by slice, also through views:
    views share the places of the array they look into (``_held``), and whether any is known yet.
    """

    _held: Places | None
    _known: list[bool]
    _own: bool  # False: the places are shared with an array of other content

    @property
    def places(self) -> Places | None:
        """The places of the elements, -1 for those that are no loss."""
        return self._held if self._known[0] else None

    def hold(self, places: Places | None, known: list[bool] | None = None, own: bool = False) -> None:
        """Set the places, which another array may share."""
        self._held, self._own = places, own
        self._known = [places is not None] if known is None else known

    def __array_finalize__(self, source: Any) -> None:
        """Copies and casts of the same shape keep the places."""
        held = source.places if isinstance(source, Charges) and hasattr(source, "_known") else None
        self.hold(held if held is not None and held.shape == self.shape else None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Compute on the plain arrays; keep places for elementwise float results; report sums."""
        places = _first_places(inputs)
        outs = kwargs.get("out", ())
        if outs:
            kwargs["out"] = tuple(_plain(o) for o in outs)
        result = getattr(ufunc, method)(*(_plain(i) for i in inputs), **kwargs)
        if method == "reduce" and ufunc is np.add and places is not None:
            _report(_plain(inputs[0]), places, result)
            return result
        if method == "at":
            _store(inputs[0], inputs[1], _places_of(inputs[2]) if len(inputs) > 2 else None)
        if method == "__call__" and len(outs) == 1 and outs[0] is not None:
            _store(outs[0], ..., places)
            return outs[0]
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
        index = _plain(index)
        result = _plain(self)[index]
        if self._held is None or not isinstance(result, np.ndarray) or not result.ndim:
            return result
        part = result.view(Charges)
        shared = result.base is not None
        part.hold(self._held[index], self._known if shared else list(self._known), self._own or not shared)
        return part

    def __setitem__(self, index: Any, value: Any) -> None:
        """A loss that is stored brings its place; another value is a mixture and leaves the place."""
        _plain(self)[_plain(index)] = _plain(value)
        _store(self, _plain(index), _places_of(value))

    def take(self, indices: Any, axis: Any = None, out: Any = None, mode: Any = "raise") -> Any:
        """Picking elements keeps their places."""
        result = _plain(self).take(_plain(indices), axis, out, mode)
        return wrap(result, None if self.places is None else self.places.take(_plain(indices), axis))

    def __reduce__(self) -> Any:
        """Stored files hold plain arrays."""
        return _plain(self).__reduce__()

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
    view.hold(places)
    return view


def room(array: NDArray[Any]) -> Charges:
    """An array without places that takes on those of the losses stored in it, also through its views."""
    empty = array.view(Charges)
    empty.hold(np.full(array.shape, -1, np.int32), [False], own=True)
    return empty


def collected(array: NDArray[Any], parts: Any) -> Any:
    """A new array made of ``parts`` (one array, or a list of equal ones) with the places of those."""
    if isinstance(parts, np.ndarray):
        return array if (held := _places_of(parts)) is None else wrap(array, held.reshape(array.shape))
    if not any(_places_of(p) is not None for p in parts):
        return array
    return wrap(array, np.stack([_places_or_none(p, np.shape(p)) for p in parts]))


def _store(target: Any, index: Any, places: Places | None) -> None:
    """Note in an array that losses of ``places`` lie at ``index`` now."""
    if places is None or not isinstance(target, Charges) or target.dtype.kind != "f":
        return
    if target._held is None:
        target.hold(np.full(target.shape, -1, np.int32), own=True)
    elif not target._own:
        target.hold(target._held.copy(), own=True)
    held = target._held
    assert held is not None
    part = held[index]
    if np.broadcast_shapes(places.shape, part.shape) == part.shape:
        held[index] = np.where(places >= 0, places, part)
        target._known[0] = True


def _places_of(value: Any) -> Places | None:
    return value.places if isinstance(value, Charges) else None


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
