"""Bits per byte of a validation stream: every token but the first is charged exactly once.

A scorer returns one loss in nats per scored position; everything reported derives from that array,
so that nothing can be charged twice or left out between scorer and score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.config import Config
from reference_model.model import GPT
from reference_model.ranks import Ranks, sum_over_ranks
from reference_model.tokens import ByteTable, bytes_of_targets

Losses = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A result: nats per token, bits per byte, and the counts behind them."""

    val_loss: float
    val_bpb: float
    tokens: int
    bytes: int


@dataclass(frozen=True)
class Window:
    """Model inputs ``stream[start:stop]``; targets of the last ``scored`` of them are charged here."""

    start: int
    stop: int
    scored: int


def summarize(losses: Losses, charged_bytes: int) -> Score:
    """Turn losses in nats, one per scored token, into a score."""
    total = float(losses.sum())
    return Score(total / losses.size, total / math.log(2.0) / charged_bytes, losses.size, charged_bytes)


def stream_bytes(table: ByteTable, stream: npt.NDArray[np.int64]) -> int:
    """Return the bytes of all scored tokens of the stream (all but the first) by table."""
    return int(bytes_of_targets(table, stream[:-1], stream[1:]).sum())


def sliding_windows(tokens: int, length: int, stride: int) -> Iterator[Window]:
    """Cut ``tokens`` positions into windows so that each is charged once with the longest context.

    The first window charges all its positions, later ones their last ``stride``; the tail window is
    moved left rather than shortened, and charges only what is left.
    """
    stop = min(length, tokens)
    yield Window(0, stop, stop)
    while stop < tokens:
        end = min(stop + stride, tokens)
        yield Window(max(end - length, 0), end, end - stop)
        stop = end


def plain_windows(tokens: int, length: int) -> Iterator[Window]:
    """Cut ``tokens`` positions into windows that do not overlap; the last may be shorter."""
    for start in range(0, tokens, length):
        stop = min(start + length, tokens)
        yield Window(start, stop, stop - start)


def batches_of(windows: list[Window], size: int) -> Iterator[list[Window]]:
    """Group neighbouring windows of equal length, at most ``size`` together."""
    batch: list[Window] = []
    for window in windows:
        if batch and (len(batch) == size or window.stop - window.start != batch[0].stop - batch[0].start):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def window_tensors(stream: Tensor, batch: list[Window]) -> tuple[Tensor, Tensor]:
    """Return (inputs, targets), each (windows, length)."""
    rows = torch.stack([stream[w.start : w.stop + 1] for w in batch])
    return rows[:, :-1], rows[:, 1:]


def losses_of_batch(model: GPT, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss in nats of every target, (windows, length)."""
    logits = model(inputs)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").reshape(targets.shape)


def no_losses(stream: Tensor) -> Tensor:
    """Return room for the loss of every token of the stream but the first."""
    return torch.zeros(len(stream) - 1, dtype=torch.float64, device=stream.device)


@torch.no_grad()
def charge_windows(
    model: GPT, stream: Tensor, windows: list[Window], batch_size: int, losses: Tensor
) -> None:
    """Write the losses of the positions that ``windows`` charge into ``losses``; leave the others."""
    for batch in batches_of(windows, batch_size):
        inputs, targets = window_tensors(stream, batch)
        charged = losses_of_batch(model, inputs, targets)
        for row, window in enumerate(batch):
            losses[window.stop - window.scored : window.stop] = charged[row, -window.scored :].double()


def own_batches(windows: list[Window], config: Config, ranks: Ranks) -> list[list[Window]]:
    """Return this rank's share of the batches.

    Batches are formed before they are shared out: whatever the number of ranks, each window meets the
    same neighbours and gets the same losses, bit for bit.
    """
    return list(batches_of(windows, config.eval_batch_sequences))[ranks.rank :: ranks.world_size]


def score_windows(model: GPT, stream: Tensor, windows: list[Window], config: Config, ranks: Ranks) -> Losses:
    """Share the windows out among the ranks and return the losses of all positions on every rank."""
    model.eval()
    losses = no_losses(stream)
    for batch in own_batches(windows, config, ranks):
        charge_windows(model, stream, batch, len(batch), losses)
    return sum_over_ranks(losses, ranks).cpu().numpy()


def score_sliding(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Score with a sliding window of ``train_seq_len`` and ``eval_stride``."""
    windows = list(sliding_windows(len(stream) - 1, config.train_seq_len, config.eval_stride))
    return score_windows(model, stream, windows, config, ranks)


def score_plain(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Score in windows that do not overlap, as the challenge's baseline does, tail included."""
    windows = list(plain_windows(len(stream) - 1, config.train_seq_len))
    return score_windows(model, stream, windows, config, ranks)
