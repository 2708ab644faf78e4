"""``triton.jit``, autotuning and launching a grid of programs."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import torch

from harness.facade.kernels import equivalents, together
from harness.facade.kernels.place import Place
from harness.facade.kernels.pointers import Pointer

_LAUNCH_ONLY = {
    "num_warps",
    "num_stages",
    "num_ctas",
    "warmup",
    "grid",
    "stream",
    "maxnreg",
    "enable_fp_fusion",
}


def cdiv(x: int, y: int) -> int:
    """Division rounded up."""
    return -(-x // y)


def next_power_of_2(n: int) -> int:
    """The smallest power of two not below n."""
    return 1 << max(int(n) - 1, 0).bit_length()


class Config:
    """One candidate of an autotuner."""

    def __init__(self, kwargs: dict[str, Any], num_warps: int = 4, num_stages: int = 2, **rest: Any) -> None:
        self.kwargs, self.num_warps, self.num_stages = kwargs, num_warps, num_stages

    def all_kwargs(self) -> dict[str, Any]:
        """Settings with the launch options."""
        return {**self.kwargs, "num_warps": self.num_warps, "num_stages": self.num_stages}


class Kernel:
    """A jitted function: launched with ``kernel[grid](...)``, called plainly from other kernels."""

    def __init__(
        self, function: Callable[..., Any], settings: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    ) -> None:
        functools.update_wrapper(self, function)
        self.fn = function
        self._signature = inspect.signature(function)
        self.arg_names = list(self._signature.parameters)
        self._settings = settings

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Called from another kernel: a plain function."""
        return self.fn(*args, **{k: v for k, v in kwargs.items() if k in self.arg_names})

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return functools.partial(self.run, grid=grid)

    def run(self, *args: Any, grid: Any, **kwargs: Any) -> None:
        """Run every program of the grid, one after the other."""
        kwargs = {k: v for k, v in kwargs.items() if k in self.arg_names or k not in _LAUNCH_ONLY}
        bound = dict(zip(self.arg_names, args, strict=False)) | kwargs
        if self._settings is not None:
            bound |= {k: v for k, v in self._settings(bound).items() if k in self.arg_names}
        shape = grid(bound) if callable(grid) else grid
        sizes = [int(g) for g in (shape if isinstance(shape, (tuple, list)) else (shape,))]
        sizes += [1] * (3 - len(sizes))
        converted = {k: _argument(v) for k, v in bound.items()}

        def emulate(programs: int | None) -> None:
            with torch._C.DisableTorchFunction():
                if programs is None:
                    together.run(self.fn, sizes, converted, lambda: self._programs(sizes, converted, None))
                else:
                    self._programs(sizes, converted, programs)

        with torch.no_grad():
            equivalents.launch(self.fn.__name__, bound, emulate)

    def _programs(self, sizes: list[int], arguments: dict[str, Any], programs: int | None) -> None:
        """Run all programs, or about ``programs`` of them spread over the grid."""
        before = Place.index, Place.grid
        Place.grid = tuple(sizes)
        total = sizes[0] * sizes[1] * sizes[2]
        step = 1 if programs is None else max(1, -(-total // programs))
        try:
            for z, y, x in itertools.islice(itertools.product(*map(range, reversed(sizes))), 0, None, step):
                Place.index = (x, y, z)
                self.fn(**arguments)
        finally:
            Place.index, Place.grid = before

    def warmup(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to compile."""


Tuned = Kernel


def _argument(value: Any) -> Any:
    return Pointer.to(value) if isinstance(value, torch.Tensor) else value


def jit(function: Any = None, **options: Any) -> Any:
    """``@triton.jit`` with or without options."""
    return (lambda given: Kernel(given)) if function is None else Kernel(function)


def autotune(configs: list[Config], key: Any = (), **options: Any) -> Callable[[Kernel], Kernel]:
    """Every candidate computes the same: take the first."""

    def decorate(kernel: Kernel) -> Kernel:
        inner = kernel._settings
        return Kernel(kernel.fn, lambda bound: {**(inner(bound) if inner else {}), **configs[0].kwargs})

    return decorate


def heuristics(values: dict[str, Callable[[dict[str, Any]], Any]]) -> Callable[[Kernel], Kernel]:
    """Settings computed from the arguments."""

    def decorate(kernel: Kernel) -> Kernel:
        inner = kernel._settings

        def settings(bound: dict[str, Any]) -> dict[str, Any]:
            known = {**bound, **(inner(bound) if inner else {})}
            return {**known, **{name: rule(known) for name, rule in values.items()}}

        return Kernel(kernel.fn, settings)

    return decorate
