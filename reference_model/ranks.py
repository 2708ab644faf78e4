"""One process or several: who we are, sums over all, and proof that all hold the same weights."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.distributed.nn  # before any group exists: its defaults would keep the group and its threads
from torch import Tensor, nn


@dataclass(frozen=True)
class Ranks:
    """This process's place in the group, and the device it computes on."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_master(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0


def own_place() -> Ranks:
    """Return the place that ``torchrun`` describes; without one, the only place."""
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    return Ranks(rank, world_size, device)


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the group for as long as the block runs, and dissolve it however the block ends.

    A group that outlives the block takes its threads into the interpreter's exit, where they abort.
    """
    ranks = own_place()
    if ranks.world_size == 1:
        yield ranks
        return
    dist.init_process_group(backend="nccl" if ranks.device.type == "cuda" else "gloo")
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


def sum_over_ranks(tensor: Tensor, ranks: Ranks) -> Tensor:
    """Add up ``tensor`` over all ranks in place and return it."""
    if ranks.world_size > 1:
        dist.all_reduce(tensor, op=dist.ReduceOp.SUM)
    return tensor


def average_gradients(model: nn.Module, ranks: Ranks) -> None:
    """Replace every gradient by its mean over the ranks: what DDP does, in the open."""
    if ranks.world_size == 1:
        return
    for parameter in model.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad, op=dist.ReduceOp.SUM)
            parameter.grad /= ranks.world_size


def any_rank(flag: bool, ranks: Ranks) -> bool:
    """Return whether ``flag`` is set on any rank, so that all leave a loop together."""
    return bool(sum_over_ranks(torch.tensor(float(flag), device=ranks.device), ranks).item())


def hash_of_weights(model: nn.Module) -> str:
    """Return the SHA-256 over names and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def require_equal_weights(model: nn.Module, ranks: Ranks) -> str:
    """Raise RuntimeError unless every rank holds the same weights; return their hash."""
    digest = hash_of_weights(model)
    if ranks.world_size > 1:
        gathered: list[str | None] = [None] * ranks.world_size
        dist.all_gather_object(gathered, digest)
        if len(set(gathered)) != 1:
            raise RuntimeError(f"ranks hold different weights: {gathered}")
    return digest
