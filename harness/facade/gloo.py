"""``torch.distributed`` over several real processes: gloo answers in the place of NCCL.

What NCCL has and gloo has not is made up for here: averages are sums divided afterwards, arguments that
name GPUs are dropped.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.distributed_c10d as c10d
import torch.nn.parallel as parallel

from harness.facade.distributed import Work
from harness.facade.patching import constant, replace


def _averaging(original: Callable[..., Any], output: str) -> Callable[..., Any]:
    """``ReduceOp.AVG`` as a sum whose result, the argument ``output``, is divided by the number of ranks."""
    signature = inspect.signature(original)

    @functools.wraps(original)
    def reduced(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        if bound.arguments.get("op") != dist.ReduceOp.AVG:
            return original(*args, **kwargs)
        later = bound.arguments.pop("async_op", False)
        bound.arguments["op"] = dist.ReduceOp.SUM
        original(*bound.args, **bound.kwargs)
        with torch.no_grad():
            bound.arguments[output].div_(dist.get_world_size(bound.arguments.get("group")))
        return Work() if later else None

    return reduced


def _without(original: Callable[..., Any], *names: str, **fixed: Any) -> Callable[..., Any]:
    """Drop keyword arguments that name devices, and set others."""

    @functools.wraps(original)
    def called(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **{k: v for k, v in kwargs.items() if k not in names} | fixed)

    return called


def _begin(original: Callable[..., Any]) -> Callable[..., Any]:
    """The process group of the run, whatever back-end and device are asked for."""

    def init_process_group(*args: Any, **kwargs: Any) -> Any:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        kept = {k: v for k, v in kwargs.items() if k in ("init_method", "timeout", "world_size", "rank")}
        return original(backend="gloo", **kept)

    return init_process_group


_REDUCTIONS = {"all_reduce": "tensor", "reduce": "tensor", "reduce_scatter_tensor": "output"}


def install() -> None:
    """Install gloo under NCCL's name in every module that scripts import it from."""
    functions: dict[str, Any] = {
        "init_process_group": _begin(dist.init_process_group),
        "get_backend": constant("nccl"),
        "is_nccl_available": constant(True),
        "barrier": _without(dist.barrier, "device_ids"),
        "new_group": _without(dist.new_group, "device_id", backend="gloo"),
    }
    for name, output in _REDUCTIONS.items():
        functions[name] = _averaging(getattr(dist, name), output)
    replace(dist, **functions)
    replace(c10d, **functions)
    original: Any = parallel.DistributedDataParallel

    class DistributedDataParallel(original):  # type: ignore[misc]
        """The real thing, told of no GPU."""

        def __init__(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
            kept = {k: v for k, v in kwargs.items() if k not in ("device_ids", "output_device")}
            super().__init__(module, **kept)

    replace(parallel, DistributedDataParallel=DistributedDataParallel)
    replace(parallel.distributed, DistributedDataParallel=DistributedDataParallel)
