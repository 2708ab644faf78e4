"""Batches for training and the stream for validation; the two never share a function.

Training reads ``fineweb_train_*.bin`` only, validation reads ``fineweb_val_*.bin`` only.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reference_model.shards import read_shards


def training_stream(data_path: str) -> npt.NDArray[np.int64]:
    """Return all training tokens, in the order of the shards."""
    return read_shards(os.path.join(data_path, "fineweb_train_*.bin"))


def validation_stream(data_path: str) -> npt.NDArray[np.int64]:
    """Return all validation tokens; the first is context only, every later one is scored once."""
    return read_shards(os.path.join(data_path, "fineweb_val_*.bin"))


class TrainingBatches:
    """Endless random windows of the training stream, shared out among ranks.

    Every rank draws the same windows from the same seed and keeps its own share, so that one and two
    ranks see the same global batch.
    """

    def __init__(self, stream: npt.NDArray[np.int64], seq_len: int, seed: int) -> None:
        if len(stream) <= seq_len + 1:
            raise ValueError(f"training stream of {len(stream)} tokens is shorter than one window")
        self.stream = torch.from_numpy(stream)
        self.seq_len = seq_len
        self.generator = torch.Generator().manual_seed(seed)

    def next_batch(self, sequences: int, rank: int = 0, world_size: int = 1) -> tuple[Tensor, Tensor]:
        """Return (inputs, targets) of shape (sequences / world_size, seq_len) for this rank."""
        high = len(self.stream) - self.seq_len
        starts = torch.randint(0, high, (sequences,), generator=self.generator)[rank::world_size]
        windows = self.stream[starts[:, None] + torch.arange(self.seq_len + 1)]
        return windows[:, :-1], windows[:, 1:]
