"""Updates by hand: tensors that learn, written in place and not by an optimizer.

A loop that takes gradients itself (``delta -= rate * gradient``, ``p.data.add_(...)``) has no step to hook.
It is known by what it does: losses of validation positions were differentiated, and then a leaf tensor
that wants gradients is written. Learning that rebinds names (``delta = delta - ...``), and tables of counts,
leave no such trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.events import StateWritten, pack_positions

_MARK = "_golf_leaf"
_DATA = Tensor.data.__get__  # type: ignore[attr-defined]
_EACH = ("add", "sub", "mul", "lerp", "addcmul", "addcdiv")
_WRITES: frozenset[Any] = frozenset(
    {
        *(getattr(Tensor, f"{name}_") for name in (*_EACH, "div", "copy", "clamp")),
        *(getattr(torch, f"_foreach_{name}_") for name in _EACH),
        Tensor.__iadd__,
        Tensor.__isub__,
        Tensor.__imul__,
        Tensor.__setitem__,
        Tensor.data.__set__,  # type: ignore[attr-defined]
    }
)
CALLS: frozenset[Any] = _WRITES | {_DATA}
"""The torch functions that ``ByHand.observe`` wants to hear of."""


@dataclass
class ByHand:
    """What was learned from since the last update, and which tensors an update by hand has written."""

    emit: Callable[[StateWritten], None]
    stepping: bool = False  # an optimizer is at work: it announces itself
    _learned: list[NDArray[np.int32]] = field(default_factory=list)
    _differentiated: bool = False
    _written: set[int] = field(default_factory=set)  # addresses
    _how: tuple[str, str] = ("", "")  # function and site of the first write

    def learn(self, places: NDArray[np.int32]) -> None:
        """A loss of these places (-1: not known) may be differentiated; an update before it is complete."""
        self.flush()
        self._learned.append(places)

    def differentiated(self) -> None:
        """A backward pass was made."""
        self._differentiated = bool(self._learned)

    def observe(self, func: Any, args: tuple[Any, ...], out: Any, site: Callable[[], str]) -> None:
        """Take note of one of ``CALLS``; ``site`` tells where the submission makes it."""
        if func == _DATA:
            if isinstance(out, Tensor) and _learns(args[0]):
                setattr(out, _MARK, True)
            return
        if self.stepping or not self._differentiated or not args:
            return
        targets = args[0] if isinstance(args[0], (list, tuple)) else (args[0],)
        written = {t.data_ptr() for t in targets if isinstance(t, Tensor) and _learns(t)}
        if written and not self._written:
            self._how = getattr(func, "__name__", str(func)), site()
        self._written |= written

    def flush(self) -> None:
        """Announce an update that is complete."""
        if self._written:
            used = np.unique(np.concatenate(self._learned))
            by, site = self._how
            self.emit(StateWritten(by, pack_positions(used[used >= 0]), site, len(self._written)))
            self.forget()

    def forget(self) -> None:
        """An optimizer has made use of what was learned from."""
        self._learned.clear()
        self._written.clear()
        self._differentiated = False


def _learns(tensor: Tensor) -> bool:
    return (tensor.is_leaf and tensor.requires_grad) or hasattr(tensor, _MARK)
