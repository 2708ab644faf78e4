"""Change validation tokens under the feet of a running process, or wipe the weights it holds.

Used only in forks. Every integer array that the process holds is searched for validation content
(tensors, numpy arrays, lists), so that neither names nor shapes matter; files opened later are read
from changed copies.
"""

from __future__ import annotations

import builtins
import gc
import hashlib
import io
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType, GeneratorType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.probes import mlx_watch
from harness.probes.positions import Stream

_LARGEST = 1 << 23
_SMALLEST = 64
_LIST = 256
HEADER = 256 * 4  # bytes ahead of the tokens of a shard


def apply(stream: Stream, new: NDArray[np.int64]) -> int:
    """Put ``new`` in place of the stream's tokens wherever the process holds them; count the arrays."""
    touched = 0
    for array in _integer_arrays():
        touched += _rewrite(array, stream, new)
    for numbers in _lists():
        array = np.array(numbers, np.int64)
        if _rewrite(array, stream, new):
            numbers[:] = array.tolist()
            touched += 1
    return touched


def _rewrite(array: NDArray[Any], stream: Stream, new: NDArray[np.int64]) -> int:
    places = stream.locate(array).reshape(array.shape)
    known = places >= 0
    if known.mean() < 0.5:
        return 0
    changed = np.where(known, stream.tokens[places] != new[places], False)
    if changed.any():
        array[changed] = new[places[changed]].astype(array.dtype)
    return 1


def _integer_arrays() -> Iterator[NDArray[Any]]:
    seen: set[int] = set()
    for thing in _reachable():
        array = _as_array(thing)
        if array is not None and _SMALLEST <= array.size <= _LARGEST and id(thing) not in seen:
            seen.add(id(thing))
            if array.flags.writeable:
                yield array


def _as_array(thing: Any) -> NDArray[Any] | None:
    if isinstance(thing, np.ndarray):
        return thing if thing.dtype.kind in "iu" and thing.dtype.itemsize > 1 else None
    if type(thing) is not torch.Tensor or thing.is_floating_point() or thing.dtype.itemsize == 1:
        return None
    try:
        with torch._C.DisableTorchFunction():
            return thing.detach().numpy()
    except (RuntimeError, TypeError):
        return None


def _reachable() -> Iterator[Any]:
    """Tensors are known to the collector; plain numpy arrays only to what holds them."""
    tracked = gc.get_objects()
    yield from (t for t in tracked if type(t) is torch.Tensor)
    user = _user_modules()
    holders: list[Any] = [
        o for o in tracked if type(o) is GeneratorType or getattr(type(o), "__module__", "") in user
    ]
    first = [*gc.get_referents(*holders), *_locals()]
    second = gc.get_referents(*(h for h in first if type(h) in (dict, list, tuple)))
    yield from (a for a in [*first, *second] if isinstance(a, np.ndarray))


def _locals() -> Iterator[Any]:
    """What the functions that are running hold; the collector does not look into their frames."""
    for frame in sys._current_frames().values():
        walked: FrameType | None = frame
        while walked is not None:
            if not walked.f_globals.get("__name__", "").startswith("harness."):  # not the change itself
                yield from walked.f_locals.values()
            walked = walked.f_back


@lru_cache(maxsize=1)
def _user_modules() -> frozenset[str]:
    library = ("site-packages", sys.base_prefix)
    names = {
        name
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None)) and not any(part in file for part in library)
    }
    return frozenset((names | {"__main__"}) - {n for n in names if n.startswith("harness")})


def _lists() -> list[list[int]]:
    long = [n for n in gc.get_objects() if type(n) is list and len(n) >= _LIST and type(n[0]) is int]
    return [n for n in long if all(type(i) is int and -1 < i < 1 << 31 for i in n)]


def redirect_files(paths: tuple[str, ...], new: NDArray[np.int64], folder: Path) -> None:
    """Have later opens of the validation shards read changed copies."""
    copies, at = {}, 0
    for number, path in enumerate(paths):
        raw = Path(path).read_bytes()
        count = (len(raw) - HEADER) // 2
        copy = folder / f"changed_{os.getpid()}_{number}.bin"
        copy.write_bytes(raw[:HEADER] + new[at : at + count].astype("<u2").tobytes())
        copies[os.path.realpath(path)] = str(copy)
        at += count
    reroute(copies)


def vary_training(validation: tuple[str, ...], folder: Path) -> None:
    """Have later opens of the training shards beside the validation shards read them backwards."""
    copies = {}
    for path in sorted({p for v in validation for p in Path(v).parent.glob("*train*.bin")}):
        raw = path.read_bytes()
        copy = folder / f"varied_{os.getpid()}_{path.name}"
        copy.write_bytes(raw[:HEADER] + np.frombuffer(raw[HEADER:], "<u2")[::-1].tobytes())
        copies[os.path.realpath(path)] = str(copy)
    reroute(copies)


def reroute(copies: dict[str, str]) -> None:
    """Open the copy wherever one of the originals (by real path) is asked for."""
    original = builtins.open

    def rerouted(file: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, (str, bytes, os.PathLike)):
            file = copies.get(os.path.realpath(os.fsdecode(file)), file)
        return original(file, *args, **kwargs)

    builtins.open = rerouted
    io.open = rerouted


def weigh() -> tuple[str, int]:
    """A digest of all parameters of all living modules, whatever their order, and their number."""
    parameters = {id(p): p for m in _modules(gc.get_objects()) for p in m.parameters()}
    with torch._C.DisableTorchFunction():
        digests = sorted(_digest(p) for p in [*parameters.values(), *mlx_watch.parameters()])
    return hashlib.sha256("".join(digests).encode()).hexdigest(), len(digests)


def _modules(tracked: list[Any]) -> list[torch.nn.Module]:
    """Living modules; ``isinstance`` would ask objects for ``__class__``, and some answer with warnings."""
    return [m for m in tracked if issubclass(type(m), torch.nn.Module)]


def _digest(parameter: torch.Tensor) -> str:
    data = parameter.detach().to(torch.float64).contiguous().numpy()
    return hashlib.sha256(data.tobytes()).hexdigest()


def scramble(seed: int = 0) -> int:
    """Overwrite every parameter in memory, and every state dict of the same names, with small noise."""
    generator = torch.Generator()
    generator.manual_seed(seed)
    tracked = gc.get_objects()
    modules = _modules(tracked)
    names = {name for m in modules for name, _ in m.named_parameters()}
    parameters: dict[int, torch.Tensor] = {id(p): p for m in modules for p in m.parameters()}
    for held in (d for d in tracked if issubclass(type(d), dict)):
        parameters |= {
            id(v): v
            for k, v in list(held.items())
            if isinstance(k, str) and k in names and isinstance(v, torch.Tensor) and v.is_floating_point()
        }
    with torch.no_grad(), torch._C.DisableTorchFunction():
        for tensor in parameters.values():
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * 0.02)
        return len(parameters) + mlx_watch.scramble(generator)
