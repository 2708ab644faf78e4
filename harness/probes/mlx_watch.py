"""Listen to MLX, where a script uses it: its losses, its gradients, its updates, and its weights.

MLX computes outside of torch, on a thread of its own that a fork does not have. What is hooked is its
``nn.losses.cross_entropy``, its gradients, and ``Module.update``, by which every optimizer sets what it made.
Losses that a script puts together itself are not recognized, and its score is then not explained.
"""

from __future__ import annotations

import gc
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np
import torch

from harness.events import Stepped, pack_positions
from harness.probes.watch import Watch

_LOSSES = "mlx.nn.losses"
_BASE = "mlx.nn.layers.base"
_CORE = "mlx.core"


class Listener(importlib.abc.MetaPathFinder):
    """Hooks each module of MLX once it has been imported; costs nothing where none is."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._hooks = {_LOSSES: self._losses, _BASE: self._modules, _CORE: self._core}
        self._tracing = 0  # functions that are being differentiated
        self._differentiated = False  # since the last update

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The usual module; after it has run, it is hooked."""
        if name not in self._hooks:
            return None
        hook = self._hooks.pop(name)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        original = spec.loader.exec_module

        def executed(module: ModuleType) -> None:
            original(module)
            hook(module)

        spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec

    def _losses(self, module: Any) -> None:
        original = module.cross_entropy

        @wraps(original)
        def cross_entropy(logits: Any, targets: Any, *args: Any, **kwargs: Any) -> Any:
            out = original(logits, targets, *args, **kwargs)
            self._computed(targets, lambda: _each(original, out, (logits, targets, *args), kwargs))
            return out

        module.cross_entropy = cross_entropy

    def _computed(self, targets: Any, losses: Callable[[], np.ndarray[Any, Any]]) -> None:
        """A cross entropy was computed; while a function is differentiated, it is learned from."""
        ids = _ids(targets)
        places = None if ids is None else self._watch.locate(ids, self._tracing > 0)
        if places is None:
            return
        if self._tracing:
            self._watch.learn(places)
            return
        nats = losses()
        if len(nats) == len(places):
            self._watch.charge("cross_entropy", places, nats, float(nats.sum()))

    def _core(self, module: Any) -> None:
        for name in ("value_and_grad", "grad"):
            setattr(module, name, self._differentiating(getattr(module, name)))

    def _differentiating(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def transform(function: Any, *args: Any, **kwargs: Any) -> Any:
            made = original(function, *args, **kwargs)

            @wraps(function)
            def call(*values: Any, **named: Any) -> Any:
                self._tracing += 1
                try:
                    return made(*values, **named)
                finally:
                    self._tracing -= 1
                    self._differentiated = True

            return call

        return transform

    def _modules(self, module: Any) -> None:
        original = module.Module.update

        @wraps(original)
        def update(model: Any, parameters: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(model, parameters, *args, **kwargs)
            if self._differentiated and not self._tracing:
                self._differentiated = False
                self._stepped(len(_arrays(parameters)))
            return result

        module.Module.update = update

    def _stepped(self, tensors: int) -> None:
        pending = self._watch.pending
        used = np.unique(np.concatenate(pending)) if pending else np.empty(0, np.int32)
        pending.clear()
        self._watch.emit(Stepped("MLX", pack_positions(used[used >= 0]), self._watch.site(), tensors))


def _core() -> Any:
    """MLX itself, or None where the script does not use it."""
    return sys.modules.get(_CORE)


def install(watch: Watch) -> None:
    """Hook MLX as it is imported."""
    sys.meta_path.insert(0, Listener(watch))


def settle() -> None:
    """Let MLX end what it has begun, and compute the weights: a fork would wait for them in vain."""
    if mx := _core():
        mx.eval([m.parameters() for m in _models()])
        mx.synchronize()


def revive() -> None:
    """In a fork: compute on a new thread, because those of the first process are not there."""
    if mx := _core():
        mx.set_default_stream(mx.new_stream(mx.cpu))


def parameters() -> list[torch.Tensor]:
    """Copies of all parameters of all living modules."""
    return [torch.from_numpy(_plain(a)) for m in _models() for a in _arrays(m.parameters())]


def scramble(generator: torch.Generator) -> int:
    """Overwrite every parameter in memory with small noise, and count them."""
    mx, count = _core(), 0
    for model in _models():
        for array in _arrays(model.parameters()):
            noise = torch.randn(tuple(array.shape), generator=generator) * 0.02
            array[...] = mx.array(noise.numpy()).astype(array.dtype)
            count += 1
    return count


def _models() -> list[Any]:
    """Living modules that are part of no other."""
    base = getattr(sys.modules.get(_BASE), "Module", None)
    if base is None:
        return []
    every = [m for m in gc.get_objects() if issubclass(type(m), base)]
    parts = {id(part) for m in every for _, part in m.named_modules() if part is not m}
    return [m for m in every if id(m) not in parts]


def _arrays(tree: Any) -> list[Any]:
    """The arrays of a tree of dicts and lists."""
    if isinstance(tree, dict):
        return [a for value in tree.values() for a in _arrays(value)]
    if isinstance(tree, (list, tuple)):
        return [a for value in tree for a in _arrays(value)]
    return [tree] if hasattr(tree, "dtype") else []


def _plain(array: Any) -> np.ndarray[Any, Any]:
    return np.array(array.astype(_core().float32), copy=True)


def _ids(targets: Any) -> torch.Tensor | None:
    """Targets that are ids and known: those of a function that is compiled or mapped have no values yet."""
    mx = _core()
    try:
        if not mx.issubdtype(targets.dtype, mx.integer):
            return None
        return torch.from_numpy(np.array(targets).astype(np.int64).reshape(-1))
    except (RuntimeError, ValueError, AttributeError):
        return None


def _each(
    original: Callable[..., Any], out: Any, args: Iterable[Any], kwargs: dict[str, Any]
) -> np.ndarray[Any, Any]:
    """The losses behind a cross entropy, one by one; ``out`` is computed, too: a fork may go on with it."""
    _core().eval(out)
    logits, targets, *rest = args
    named = {k: v for k, v in kwargs.items() if k != "reduction"}
    return _plain(original(logits, targets, *rest[:3], **named, reduction="none")).reshape(-1)
