"""Listen to torch and numpy: which validation losses are computed, which are added up, who learns.

``Watch.observe`` is called after every torch function. It recognizes losses by the targets they
take (``Stream.locate``), tags them (``tags``) and emits ``Charged`` when they enter a total.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from types import FrameType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from harness.events import AnyEvent, Charged, Stepped, pack_nats, pack_positions
from harness.probes import arrays, rooms, tags, writes
from harness.probes.positions import GRAM, Stream

Emit = Callable[[AnyEvent], None]

_PICK = (Tensor.gather, torch.gather, torch.take_along_dim, Tensor.take_along_dim)
_GATHER: frozenset[Any] = frozenset(_PICK)
_SUM: frozenset[Any] = frozenset(
    {Tensor.sum, torch.sum, Tensor.mean, torch.mean, Tensor.nansum, torch.nansum, torch.nanmean}
)
_FROM_NUMPY: frozenset[Any] = frozenset({torch.tensor, torch.as_tensor})
_LEARN: frozenset[Any] = frozenset({Tensor.backward, torch.autograd.grad})
_LOCATED = 0.3
"""Share of targets, padding apart, that must lie in the stream before a tensor counts as validation."""
_RUN = 48
"""Places in a row that are no coincidence: of the training shards some 20 in a row lie in validation, too."""
_VOCABULARY = 200
"""Entries; a shorter last dimension is no vocabulary, and what is picked from it no loss."""


@dataclass
class Watch:
    """The state of the listener: where validation lies, and what has been learned from but not stepped."""

    stream: Stream
    emit: Emit
    theirs: Callable[[str], bool]
    pending: list[NDArray[np.int32]] = field(default_factory=list)
    root: str = ""  # prefix cut off the file names of sites
    handed_out: int | None = None  # place of the loss that last became a Python number (-1: not known)
    by_hand: writes.ByHand = field(init=False)
    _last: tuple[Any, Any, Any] = (None, None, None)  # the ids located last, in which stream, and where

    def __post_init__(self) -> None:
        """Updates by hand are announced like everything else."""
        self.by_hand = writes.ByHand(self.emit)

    def observe(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """Take note of one torch call; never raises into the submission."""
        if func in writes.CALLS:
            self.by_hand.observe(func, args, out, self.site)
        special = _SPECIAL.get(func)
        if special is not None and special(self, args, kwargs, out):
            return
        if any(isinstance(a, Tensor) and hasattr(a, tags.NAME) for a in args[:3]) or func in tags._JOINED:
            try:
                tags.carry(func, args, kwargs, out)
            except (RuntimeError, TypeError, ValueError, IndexError, KeyError):
                return  # the tag is lost: the sum will show it

    def locate(self, targets: Any, learned: bool = False) -> NDArray[np.int32] | None:
        """Places of a tensor of ids in the validation stream, or None if it is something else.

        What is ``learned`` from may be a batch with few windows of validation: long runs of places count.
        """
        if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.dtype == torch.bool:
            return None
        with torch._C.DisableTorchFunction():
            ids = targets.detach().reshape(-1).to(torch.int64).numpy()
        if self._last[1] is not self.stream or not np.array_equal(self._last[0], ids):
            self._last = ids.copy(), self.stream, self.stream.locate(ids)
        places: NDArray[np.int32] = self._last[2]
        if _is_validation(places, ids):
            return places.copy()
        return _long_runs(places) if learned else None

    def charge(self, via: str, places: NDArray[np.int32], values: Any, total: float) -> None:
        """Emit the losses of located positions."""
        self.by_hand.flush()
        self.emit(
            Charged(
                via,
                self.site(),
                pack_positions(places),
                pack_nats(values),
                total,
            )
        )

    def learn(self, places: NDArray[np.int32]) -> None:
        """Losses of these places are added up with a gradient."""
        self.pending.append(places)
        self.by_hand.learn(places)

    def before_step(self, optimizer: Any, args: Any = None, kwargs: Any = None) -> None:
        """Pre hook of every ``torch.optim`` step."""
        self.by_hand.stepping = True

    def after_step(self, optimizer: Any, args: Any = None, kwargs: Any = None) -> None:
        """Post hook of every ``torch.optim`` step."""
        self.by_hand.stepping = False
        self.by_hand.forget()
        used = np.unique(np.concatenate(self.pending)) if self.pending else np.empty(0, np.int32)
        self.pending.clear()
        tensors = sum(len(group["params"]) for group in optimizer.param_groups)
        positions = pack_positions(used[used >= 0])
        self.emit(Stepped(type(optimizer).__name__, positions, self.site(), tensors))

    def site(self) -> str:
        """``file:line`` of the innermost frame that belongs to the submission."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if self.theirs(frame.f_code.co_filename):
                return f"{frame.f_code.co_filename.removeprefix(self.root)}:{frame.f_lineno}"
            frame = frame.f_back
        return ""

    def numpy_sum(self, values: NDArray[Any], places: NDArray[np.int32], total: float) -> None:
        """Listener of ``arrays``."""
        self.charge("numpy_sum", places.reshape(-1), values.reshape(-1), total)


def _is_validation(places: NDArray[np.int32], ids: NDArray[np.int64]) -> bool:
    found = int((places >= 0).sum())
    return found > 0 and (found >= _LOCATED * len(ids) or found >= _LOCATED * _unpadded(ids))


def _long_runs(places: NDArray[np.int32]) -> NDArray[np.int32] | None:
    """The places that follow each other for at least ``_RUN`` elements, -1 elsewhere; None without any."""
    follows = (np.diff(places) == 1) & (places[1:] > 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], follows, [0]])))
    kept = np.full_like(places, -1)
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first >= _RUN - 1:
            kept[first : last + 1] = places[first : last + 1]
    return kept if (kept >= 0).any() else None


def _unpadded(ids: NDArray[np.int64]) -> int:
    """How many ids there are apart from the one that fills most of a batch of ragged rows."""
    low = int(ids.min())
    return len(ids) - int(np.bincount(np.minimum(ids - low, 1 << 20)).max())


def is_theirs(ours: tuple[str, ...]) -> Callable[[str], bool]:
    """A predicate on file names: not the interpreter's, not a package's, not ours."""

    @lru_cache(maxsize=4096)
    def theirs(filename: str) -> bool:
        library = "site-packages" in filename or filename.startswith(("<frozen", sys.base_prefix))
        return not library and not filename.startswith((*ours, "<__array_function__", "<string>"))

    return theirs


def _values(tensor: Tensor) -> NDArray[np.float64]:
    with torch._C.DisableTorchFunction():
        return tensor.detach().reshape(-1).to(torch.float64).numpy()


def _cross_entropy(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    targets = args[1] if len(args) > 1 else kwargs.get("target")
    learning = isinstance(out, Tensor) and out.requires_grad
    places = watch.locate(targets, learning)
    if places is None or not isinstance(out, Tensor):
        return True
    whole = out.numel() == len(places)
    if learning:
        if whole:
            tags.put(out, torch.from_numpy(places))
        else:
            watch.learn(places)
        return True
    nats = _values(out) if whole else _each(args, kwargs)
    if whole:
        tags.put(out, torch.from_numpy(places))
    if nats is not None and len(nats) == len(places):
        watch.charge("cross_entropy", places, nats, float(_values(out).sum()))
    return True


def _each(args: tuple[Any, ...], kwargs: dict[str, Any]) -> NDArray[np.float64] | None:
    """The losses behind a reduced cross entropy, one by one."""
    options = {k: v for k, v in kwargs.items() if k not in ("reduction", "reduce", "size_average")}
    with torch.no_grad(), torch._C.DisableTorchFunction():
        each: Any = F.cross_entropy
        return _values(each(*args[:2], **options, reduction="none"))


def _gather(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    index = kwargs.get("index", kwargs.get("indices", args[-1] if len(args) > 1 else None))
    scores = args[0] if args else kwargs.get("input")
    if not isinstance(index, Tensor) or not isinstance(scores, Tensor) or not scores.is_floating_point():
        return False
    if scores.shape[-1] < _VOCABULARY or index.numel() < GRAM:
        return False
    return _tag_picked(watch, index, out)


def _tag_picked(watch: Watch, index: Tensor, out: Any) -> bool:
    places = watch.locate(index, isinstance(out, Tensor) and out.requires_grad)
    if places is None or not isinstance(out, Tensor) or out.numel() != len(places):
        return False
    tags.put(out, torch.from_numpy(places))
    if not out.requires_grad:
        values = _values(out)
        watch.charge("gather", places, values, float(values.sum()))
    return True


def _getitem(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    """``logp[rows, targets]`` picks like ``gather``."""
    scores, index = args[0], args[1]
    if isinstance(index, Tensor):
        return _looked_up(watch, scores, index, out)
    if not isinstance(index, tuple) or len(index) < 2 or not isinstance(index[-1], Tensor):
        return False
    if not scores.is_floating_point() or scores.ndim != len(index) or index[-1].numel() < GRAM:
        return False
    return scores.shape[-1] >= _VOCABULARY and _tag_picked(watch, index[-1], out)


def _looked_up(watch: Watch, table: Tensor, index: Tensor, out: Any) -> bool:
    """``table[targets]`` of a table with one number a token: how many bytes the script takes them for."""
    if table.ndim != 1 or len(table) < _VOCABULARY or index.numel() < GRAM or tags.get(table) is not None:
        return False
    places = watch.locate(index)
    if places is not None and isinstance(out, Tensor):
        tags.put(out, torch.from_numpy(places), counts=True)
    return places is not None


def _nll(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    learning = isinstance(out, Tensor) and out.requires_grad
    places = watch.locate(args[1] if len(args) > 1 else kwargs.get("target"), learning)
    if places is not None and isinstance(out, Tensor) and out.numel() == len(places):
        tags.put(out, torch.from_numpy(places))
        if not out.requires_grad:
            watch.charge("gather", places, _values(out), float(_values(out).sum()))
    return True


def _sum(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    source = args[0] if args else kwargs.get("input")
    places = tags.get(source)
    if places is None or not isinstance(source, Tensor):
        return False
    flat = places.reshape(-1).numpy()
    if tags.counts(source):
        values = _values(source)
        watch.charge("bytes", flat, values, float(values.sum()))
    elif not source.is_floating_point():
        return False
    elif source.requires_grad:
        watch.learn(flat)
    else:
        values = _values(source)
        watch.charge("sum", flat, values, float(values.sum()))
    return True


def _item(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    places = tags.get(args[0])
    if places is not None and places.numel() == 1 and tags.counts(args[0]):
        watch.charge("bytes", places.reshape(-1).numpy(), [float(out)], float(out))
    elif places is not None and places.numel() == 1 and args[0].is_floating_point():
        watch.charge("item", places.reshape(-1).numpy(), [float(out)], float(out))
        watch.handed_out = int(places)
    return True


def _add_number(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    """``total += mixed`` with a Python number: the loss, mixed or not, of the place handed out last.

    Other totals (tokens, bytes) are counted alike at other lines; which one is the loss, its sum shows.
    """
    total, number = args[0], args[1] if len(args) > 1 else None
    if watch.handed_out is None or type(number) is not float or not isinstance(total, Tensor) or total.ndim:
        return False
    if total.is_floating_point() and not total.requires_grad:
        watch.charge("added", np.array([watch.handed_out], np.int32), [number], number)
    return True


def _from_numpy(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    held = getattr(args[0], "places", None) if args else None
    if held is not None and isinstance(out, Tensor):
        tags.put(out, torch.from_numpy(np.ascontiguousarray(held)))
    return held is not None


def _learn(watch: Watch, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    places = tags.get(args[0]) if args else None
    if places is not None and isinstance(args[0], Tensor):
        watch.learn(places.reshape(-1).numpy())
    watch.by_hand.differentiated()
    return True


_SPECIAL: dict[Any, Callable[[Watch, tuple[Any, ...], dict[str, Any], Any], bool]] = {
    F.cross_entropy: _cross_entropy,
    F.nll_loss: _nll,
    Tensor.item: _item,
    Tensor.__getitem__: _getitem,
    **dict.fromkeys((Tensor.__iadd__, Tensor.add_), _add_number),
    **dict.fromkeys(_GATHER, _gather),
    **dict.fromkeys(_SUM, _sum),
    **dict.fromkeys(_FROM_NUMPY, _from_numpy),
    **dict.fromkeys(_LEARN, _learn),
}


def install(watch: Watch) -> None:
    """Hook the façade's function mode if it is in force, our own otherwise; numpy sums; optimizers."""
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    from harness.facade import devices
    from harness.probes.mode import WatchMode, in_force

    register_optimizer_step_pre_hook(watch.before_step)
    register_optimizer_step_post_hook(watch.after_step)
    arrays.listen(watch.numpy_sum)
    _replace_numpy()
    rooms.install(watch.theirs)
    if in_force(devices.CpuMode):
        devices.LISTENERS.append(watch.observe)
    else:
        mode: Any = WatchMode(watch.observe)
        mode.__enter__()


def _replace_numpy() -> None:
    """Let ``Tensor.numpy`` hand on the tag as a ``Charges`` array, and ``from_numpy`` take it back."""
    to_numpy, from_numpy = Tensor.numpy, torch.from_numpy

    def numpy(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        result = to_numpy(self, *args, **kwargs)
        places = None if tags.counts(self) else tags.get(self)
        return result if places is None else arrays.wrap(result, places.numpy())

    def tensor(array: Any) -> Tensor:
        held = getattr(array, "places", None)
        out = from_numpy(array)
        if held is not None:
            tags.put(out, from_numpy(np.ascontiguousarray(held)))
        return out

    Tensor.numpy = numpy  # type: ignore[method-assign, assignment]
    torch.from_numpy = tensor  # type: ignore[assignment]
