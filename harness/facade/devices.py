"""Every request for a CUDA tensor is answered with a CPU tensor."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from harness.facade.patching import nothing, replace

Listener = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]

LISTENERS: list[Listener] = []
"""Called as ``listener(function, args, kwargs, result)`` after every torch function."""

CPU = torch.device("cpu")
_T = torch.Tensor
_MOVES = {_T.to, _T.new_zeros, _T.new_empty, _T.new_full, _T.new_tensor, _T.new_ones}
_SOLVERS = {torch.linalg.svd, torch.linalg.svdvals}
_HOST = "_golf_on_host"
"""The mark of a tensor that the script has brought from the GPU; what is computed from it has none."""
_STAY = {_T.cuda, _T.pin_memory}


def is_cuda(device: Any) -> bool:
    """Whether a device argument names a GPU (an integer is a CUDA ordinal)."""
    if isinstance(device, str):
        return device.startswith("cuda")
    if isinstance(device, torch.device):
        return device.type == "cuda"
    return type(device) is int


class CpuMode(TorchFunctionMode):
    """Redirects device arguments of factories, ``to``, ``cuda``, ``new_*`` and ``pin_memory``."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``func`` on the CPU and tell the listeners."""
        kwargs = dict(kwargs) if kwargs else {}
        if func in _STAY:
            return args[0]
        if func is _T.is_pinned:
            return True
        if "device" in kwargs and is_cuda(kwargs["device"]):
            kwargs["device"] = CPU
        kwargs.pop("pin_memory", None)
        if func in _SOLVERS:
            kwargs.pop("driver", None)  # names a solver of the GPU
        if func in _MOVES:
            args = _redirect(func, args)
        out = func(*args, **kwargs)
        if func is _T.cpu or (func is _T.to and "cpu" in (*args[1:2], kwargs.get("device"))):
            out = _on_host(args[0], out)
        for listener in LISTENERS:
            listener(func, args, kwargs, out)
        return out


def _on_host(tensor: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """A tensor brought from the GPU has memory of its own: what is put aside survives an update in place."""
    if out is tensor and not hasattr(tensor, _HOST):
        out = tensor.clone()
        setattr(out, _HOST, True)
    return out


def _redirect(func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    ordinal = func is _T.to
    return tuple(
        CPU if (i and is_cuda(a) and (ordinal or type(a) is not int)) else a for i, a in enumerate(args)
    )


def _in_mode(run: Callable[..., Any]) -> Callable[..., Any]:
    """A thread starts with an empty mode stack: enter ours in it."""

    def wrapped(self: Any) -> Any:
        with CpuMode():
            return run(self)

    return wrapped


def _module_to(original: Callable[..., Any]) -> Callable[..., Any]:
    def to(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        args = tuple(CPU if is_cuda(a) else a for a in args)
        if is_cuda(kwargs.get("device")):
            kwargs["device"] = CPU
        return original(self, *args, **kwargs)

    return to


def _load(original: Callable[..., Any]) -> Callable[..., Any]:
    """``torch.load`` to the CPU, of everything: before torch 2.6 nothing else was asked of a plain call."""

    def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        start = f.tell() if hasattr(f, "tell") else None
        try:
            return original(f, "cpu", *args, **kwargs)
        except pickle.UnpicklingError:
            if "weights_only" in kwargs:
                raise
        if start is not None:
            f.seek(start)
        return original(f, "cpu", *args, weights_only=False, **kwargs)

    return load


class _Generator(torch.Generator):
    """A generator that is always the CPU's."""

    def __new__(cls, device: Any = "cpu") -> Any:
        """Ignore the device."""
        return super().__new__(cls, "cpu")  # type: ignore[call-arg]


def install() -> None:
    """Enter the redirection in this thread and in all that will be started."""
    replace(torch.nn.Module, cuda=lambda self, *a, **k: self, to=_module_to(torch.nn.Module.to))
    to_empty = torch.nn.Module.to_empty
    replace(torch.nn.Module, to_empty=lambda self, *a, device=None, **k: to_empty(self, device="cpu", **k))
    replace(torch, load=_load(torch.load), Generator=_Generator, set_default_device=nothing)
    replace(torch.Tensor, is_cuda=property(lambda self: not hasattr(self, _HOST)))
    replace(torch.Tensor, record_stream=nothing)  # torch looks at a stream's type before it asks the mode
    replace(threading.Thread, run=_in_mode(threading.Thread.run))
    CpuMode().__enter__()  # type: ignore[no-untyped-call]
