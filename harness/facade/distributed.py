"""``torch.distributed`` at world size 1: every collective is a copy in place.

With more ranks the real thing is used over gloo (``harness.facade.gloo``).
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch

from harness.facade.patching import Anything, constant, nothing, replace, zero


class Work(Anything):
    """The handle of a collective that has already finished."""

    def wait(self, *args: Any) -> bool:
        """Done."""
        return True

    def is_completed(self) -> bool:
        """Done."""
        return True

    def get_future(self) -> Work:
        """The handle is its own future."""
        return self


class _State:
    initialized = False


def handle(async_op: bool) -> Work | None:
    """What a collective returns that has already finished."""
    return Work() if async_op else None


def _in_place(tensor: Any, *args: Any, async_op: bool = False, **kwargs: Any) -> Work | None:
    return handle(async_op)


def _copy(output: Any, source: Any, *args: Any, async_op: bool = False, **kwargs: Any) -> Work | None:
    with torch.no_grad():
        output.copy_(source.reshape(output.shape))
    return handle(async_op)


def _all_gather(outputs: Any, tensor: Any, *args: Any, async_op: bool = False, **kwargs: Any) -> Work | None:
    return _copy(outputs[0], tensor, async_op=async_op)


def _gather(tensor: Any, gather_list: Any = None, *args: Any, **kwargs: Any) -> Work | None:
    if not gather_list:
        return handle(bool(kwargs.get("async_op")))
    return _copy(gather_list[0], tensor, async_op=bool(kwargs.get("async_op")))


def _scatter(tensor: Any, scatter_list: Any = None, *args: Any, **kwargs: Any) -> Work | None:
    if not scatter_list:
        return handle(bool(kwargs.get("async_op")))
    return _copy(tensor, scatter_list[0], async_op=bool(kwargs.get("async_op")))


def _from_list(output: Any, sources: Any, *args: Any, async_op: bool = False, **kwargs: Any) -> Work | None:
    return _copy(output, sources[0], async_op=async_op)


def _all_gather_object(outputs: list[Any], value: Any, *args: Any, **kwargs: Any) -> None:
    outputs[0] = copy.deepcopy(value)


def _gather_object(value: Any, outputs: list[Any] | None = None, *args: Any, **kwargs: Any) -> None:
    if outputs:
        outputs[0] = value


def _scatter_object_list(outputs: list[Any], sources: list[Any], *args: Any, **kwargs: Any) -> None:
    outputs[0] = sources[0]


def _set_initialized(value: bool) -> Any:
    def setter(*args: Any, **kwargs: Any) -> None:
        _State.initialized = value

    return setter


class DistributedDataParallel(torch.nn.Module):
    """The module itself, under the attribute name that scripts unwrap."""

    def __init__(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.module = module
        self.require_backward_grad_sync = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*args, **kwargs)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Nothing to synchronise."""
        yield

    @contextlib.contextmanager
    def join(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """No rank runs out of data before another."""
        yield

    def register_comm_hook(self, state: Any, hook: Any) -> None:
        """Gradients are not communicated."""

    def _set_static_graph(self) -> None:
        """No graph is looked at."""


def collectives() -> dict[str, Any]:
    """The functions of ``torch.distributed`` at world size 1, by name."""
    return {
        "is_available": constant(True),
        "is_nccl_available": constant(True),
        "is_initialized": lambda: _State.initialized,
        "init_process_group": _set_initialized(True),
        "destroy_process_group": _set_initialized(False),
        "get_rank": constant(0),
        "get_node_local_rank": constant(0),
        "get_world_size": constant(1),
        "get_backend": constant("nccl"),
        "barrier": lambda *a, async_op=False, **k: handle(async_op),
        "monitored_barrier": nothing,
        "all_reduce": _in_place,
        "all_reduce_coalesced": _in_place,
        "broadcast": _in_place,
        "reduce": _in_place,
        "all_gather": _all_gather,
        "gather": _gather,
        "scatter": _scatter,
        "all_gather_into_tensor": _copy,
        "reduce_scatter_tensor": _copy,
        "all_to_all_single": _copy,
        "_all_gather_base": _copy,
        "_reduce_scatter_base": _copy,
        "reduce_scatter": _from_list,
        "all_to_all": lambda outs, ins, *a, **k: _copy(outs[0], ins[0], async_op=bool(k.get("async_op"))),
        "broadcast_object_list": nothing,
        "all_gather_object": _all_gather_object,
        "gather_object": _gather_object,
        "scatter_object_list": _scatter_object_list,
        "new_group": lambda *a, **k: Anything(),
        "get_process_group_ranks": constant([0]),
        "send": nothing,
        "recv": zero,
        "isend": lambda *a, **k: Work(),
        "irecv": lambda *a, **k: Work(),
        "batch_isend_irecv": lambda *a, **k: [],
    }


def install(ranks: int, alike: int = 1) -> None:
    """Install the copies, as one rank or the first of ``alike`` equal ones, or gloo for really several."""
    import torch.distributed as dist
    import torch.distributed.distributed_c10d as c10d
    import torch.nn.parallel as parallel

    if ranks > 1:
        from harness.facade import gloo

        gloo.install()
        return
    functions = collectives()
    if alike > 1:
        from harness.facade.alike import Alike

        functions |= Alike(alike).functions()
    replace(dist, **functions)
    replace(c10d, **{name: f for name, f in functions.items() if hasattr(c10d, name)})
    replace(torch.nn, DataParallel=DistributedDataParallel)
    replace(parallel, DistributedDataParallel=DistributedDataParallel, DataParallel=DistributedDataParallel)
    replace(parallel.distributed, DistributedDataParallel=DistributedDataParallel)
