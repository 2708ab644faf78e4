"""Arrays that a submission makes to put losses in, and arrays it makes out of losses.

``np.empty`` and its kin give the submission (and nobody else) arrays that note the places of what is
stored in them; ``np.asarray`` and its kin keep the places that numpy itself drops with the subclass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from harness.probes import arrays

SMALLEST, LARGEST = 32, 1 << 22
"""Elements. Smaller arrays are weights of a mixture, larger ones tables. (Compilers such as numba take
plain arrays alone: where one is loaded, arrays stay plain.)"""
_MADE = ("empty", "zeros", "ones", "full", "empty_like", "zeros_like", "ones_like", "full_like")
_COPIED = ("array", "asarray", "ascontiguousarray")


def install(theirs: Callable[[str], bool]) -> None:
    """Replace the functions in the numpy module; there is no way back."""
    for name in _MADE:
        setattr(np, name, _making(getattr(np, name), theirs))
    for name in _COPIED:
        setattr(np, name, _copying(getattr(np, name)))


def _making(original: Callable[..., Any], theirs: Callable[[str], bool]) -> Callable[..., Any]:
    @wraps(original)
    def make(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        usual = made.dtype.kind == "f" and 0 < made.ndim <= 3 and SMALLEST <= made.size <= LARGEST
        if not usual or "numba" in sys.modules or not theirs(sys._getframe(1).f_code.co_filename):
            return made
        return arrays.room(made)

    return make


def _copying(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def copy(source: Any = None, *args: Any, **kwargs: Any) -> Any:
        made = original(source, *args, **kwargs)
        if isinstance(source, arrays.Charges) or (
            isinstance(source, list) and source and isinstance(source[0], arrays.Charges)
        ):
            return arrays.collected(made, source)
        return made

    return copy
