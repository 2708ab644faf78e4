"""``torch.distributed`` as the first of several ranks that are all taken to do and hold the same.

For scripts that refuse any other number of ranks than the node's: one process acts, on its own share of the
data, and a collective answers as if every other rank had brought what this one brings. Sums are multiplied,
gathered lists are filled with copies. A fault between ranks is not seen.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.distributed as dist

from harness.facade.distributed import Work, handle
from harness.facade.patching import constant

_SUM = dist.ReduceOp.SUM


def _fill(output: torch.Tensor, part: torch.Tensor) -> None:
    """Copies of a part, or its beginning where it is longer."""
    own, wanted = part.reshape(-1), output.numel()
    copies = -(-wanted // max(own.numel(), 1))
    with torch.no_grad():
        output.copy_(own.repeat(copies)[:wanted].reshape(output.shape))


class Alike:
    """The collectives that differ from those of a single rank, among ``world`` equal ones."""

    def __init__(self, world: int) -> None:
        self.world = world

    def functions(self) -> dict[str, Any]:
        """All of them by name."""
        return {
            "get_world_size": constant(self.world),
            "all_reduce": self.all_reduce,
            "reduce": self.reduce,
            "all_gather": self.all_gather,
            "gather": self.gather,
            "all_gather_into_tensor": self.gather_into,
            "_all_gather_base": self.gather_into,
            "reduce_scatter_tensor": self.scatter_from,
            "_reduce_scatter_base": self.scatter_from,
            "reduce_scatter": self.scatter_lists,
            "all_to_all_single": self.exchange,
            "all_to_all": self.exchange_lists,
            "all_gather_object": self.gather_objects,
            "gather_object": self.gather_objects_to_one,
        }

    def all_reduce(
        self, tensor: Any, op: Any = _SUM, *rest: Any, async_op: bool = False, **options: Any
    ) -> Work | None:
        """What a reduction makes of equal parts: all but the sum leave them."""
        if op == _SUM:
            with torch.no_grad():
                tensor.mul_(self.world)
        return handle(async_op)

    def reduce(
        self, tensor: Any, dst: Any = 0, op: Any = _SUM, *rest: Any, async_op: bool = False, **options: Any
    ) -> Work | None:
        """The result is this rank's, whoever asked for it."""
        return self.all_reduce(tensor, op, async_op=async_op)

    def gather_into(
        self, output: Any, source: Any, *rest: Any, async_op: bool = False, **options: Any
    ) -> Work | None:
        """One copy a rank."""
        _fill(output, source)
        return handle(async_op)

    def scatter_from(
        self, output: Any, source: Any, op: Any = _SUM, *rest: Any, async_op: bool = False, **options: Any
    ) -> Work | None:
        """The first rank's share of a reduction."""
        _fill(output, source)
        return self.all_reduce(output, op, async_op=async_op)

    def scatter_lists(
        self, output: Any, sources: Any, op: Any = _SUM, *rest: Any, async_op: bool = False, **options: Any
    ) -> Work | None:
        """The same of a list."""
        return self.scatter_from(output, sources[0], op, async_op=async_op)

    def all_gather(
        self, outputs: Any, tensor: Any, *rest: Any, async_op: bool = False, **options: Any
    ) -> Work | None:
        """One copy a rank, in a list."""
        for output in outputs:
            _fill(output, tensor)
        return handle(async_op)

    def gather(self, tensor: Any, gather_list: Any = None, *rest: Any, **options: Any) -> Work | None:
        """The same for one rank."""
        return self.all_gather(gather_list or [], tensor, async_op=bool(options.get("async_op")))

    def exchange(
        self, output: Any, source: Any, *rest: Any, async_op: bool = False, **options: Any
    ) -> Work | None:
        """Every rank sends the first what this one keeps for itself."""
        _fill(output, source.reshape(-1)[: max(source.numel() // self.world, 1)])
        return handle(async_op)

    def exchange_lists(
        self, outputs: Any, sources: Any, *rest: Any, async_op: bool = False, **options: Any
    ) -> Work | None:
        """The same of lists."""
        return self.all_gather(outputs, sources[0], async_op=async_op)

    def gather_objects(self, outputs: list[Any], value: Any, *rest: Any, **options: Any) -> None:
        """One copy a rank."""
        outputs[:] = [copy.deepcopy(value) for _ in outputs]

    def gather_objects_to_one(
        self, value: Any, outputs: list[Any] | None = None, *rest: Any, **options: Any
    ) -> None:
        """The same for one rank."""
        self.gather_objects(outputs if outputs is not None else [], value)
