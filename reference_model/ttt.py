"""Test-time training that scores first: a token is learned from only after it was charged.

Three forms, all merged in the challenge: full weights by chunk (#549, #1413), a low-rank adapter per
document that is reset at each document (#77, #1530), and phases of global training on documents that
are fully scored (#1610, #1626).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from reference_model.config import Config
from reference_model.evaluate import (
    Losses,
    Window,
    charge_windows,
    losses_of_batch,
    no_losses,
    sliding_windows,
)
from reference_model.layers import BOS_TOKEN, Adapter, Linear
from reference_model.model import GPT
from reference_model.ranks import Ranks


def windows_by_chunk(tokens: int, config: Config) -> Iterator[list[Window]]:
    """Group the sliding windows by the chunk that their scored positions begin in, in order."""
    current, group = 0, list[Window]()
    for window in sliding_windows(tokens, config.train_seq_len, config.eval_stride):
        chunk = (window.stop - window.scored) // config.ttt_chunk_tokens
        if chunk != current and group:
            yield group
            group = []
        current = chunk
        group.append(window)
    yield group


def training_rows(stream: Tensor, first: int, last: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (inputs, targets) of shape (1, <= length) covering targets first + 1 .. last."""
    for start in range(first, last, length):
        stop = min(start + length, last)
        yield stream[start:stop][None], stream[start + 1 : stop + 1][None]


def adapt(
    model: GPT, params: Iterable[nn.Parameter], rows: list[tuple[Tensor, Tensor]], rate: float, epochs: int
) -> None:
    """Train ``params`` with plain SGD and momentum on ``rows``, ``epochs`` times."""
    chosen = list(params)
    optimizer = torch.optim.SGD(chosen, lr=rate, momentum=0.9)
    with torch.enable_grad():
        for _ in range(epochs):
            for inputs, targets in rows:
                optimizer.zero_grad()
                losses_of_batch(model, inputs, targets).mean().backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(chosen, 1.0)
                optimizer.step()


def score_ttt(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Score each chunk, then train all weights on it; the last chunk is scored only.

    Every rank scores everything: the weights after a chunk depend on all of it.
    """
    model.eval()
    losses = no_losses(stream)
    chunks = list(windows_by_chunk(len(stream) - 1, config))
    for index, chunk in enumerate(chunks):
        charge_windows(model, stream, chunk, config.eval_batch_sequences, losses)
        if index + 1 < len(chunks):
            learn_chunk(model, stream, chunk, config)
    return losses.cpu().numpy()


def learn_chunk(model: GPT, stream: Tensor, chunk: list[Window], config: Config) -> None:
    """Train all weights on the positions that the windows of ``chunk`` charge."""
    first, last = chunk[0].stop - chunk[0].scored, chunk[-1].stop
    rows = list(training_rows(stream, first, last, config.train_seq_len))
    adapt(model, model.parameters(), rows, config.ttt_lr, config.ttt_epochs)


def document_spans(stream: Tensor) -> list[tuple[int, int]]:
    """Return (start, stop) of every document; a document starts at its BOS."""
    starts = (stream == BOS_TOKEN).nonzero().flatten().tolist()
    edges = sorted({0, *starts, len(stream)})
    return list(pairwise(edges))


def attach_adapters(model: GPT, rank: int) -> list[nn.Parameter]:
    """Give every query and value map of the model a fresh adapter; return their parameters."""
    params: list[nn.Parameter] = []
    for name, module in model.blocks.named_modules():
        if isinstance(module, Linear) and name.endswith(("to_query", "to_value")):
            module.adapter = Adapter(module.in_features, module.out_features, rank, module.weight.device)
            params.extend(module.adapter.parameters())
    return params


def detach_adapters(model: GPT) -> None:
    """Remove all adapters."""
    for module in model.blocks.modules():
        if isinstance(module, Linear):
            module.adapter = None


def score_ttt_lora(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Score document by document; between the chunks of one document train an adapter on what was scored.

    The adapter starts from nothing at every document. The BOS of the next document is charged with the
    document before it, since that is where it is predicted.
    """
    model.eval()
    torch.manual_seed(config.seed)
    parts = [torch.zeros(0, dtype=torch.float64)]
    for start, stop in document_spans(stream):
        document = stream[start : min(stop + 1, len(stream))]
        if len(document) > 1:
            parts.append(score_document(model, document, config).cpu())
    return torch.cat(parts).numpy()


def score_document(model: GPT, document: Tensor, config: Config) -> Tensor:
    """Return the losses of all tokens of one document but its BOS."""
    losses = no_losses(document)
    chunks = list(windows_by_chunk(len(document) - 1, config))
    params = attach_adapters(model, config.lora_rank)
    for index, chunk in enumerate(chunks):
        charge_windows(model, document, chunk, config.eval_batch_sequences, losses)
        if index + 1 < len(chunks):
            rows = list(training_rows(document, 0, chunk[-1].stop, config.train_seq_len))[-1:]
            adapt(model, params, rows, config.lora_lr, config.ttt_epochs)
    detach_adapters(model)
    return losses


def score_ttt_phased(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Score whole documents; after about every ``ttt_chunk_tokens`` train globally on those just scored."""
    model.eval()
    parts, pending = [torch.zeros(0, dtype=torch.float64)], list[tuple[Tensor, Tensor]]()
    waiting = 0
    for start, stop in document_spans(stream):
        document = stream[start : min(stop + 1, len(stream))]
        if len(document) < 2:
            continue
        windows = list(sliding_windows(len(document) - 1, config.train_seq_len, config.eval_stride))
        losses = no_losses(document)
        charge_windows(model, document, windows, config.eval_batch_sequences, losses)
        parts.append(losses.cpu())
        pending.extend(training_rows(document, 0, len(document) - 1, config.train_seq_len))
        waiting += len(document)
        if waiting >= config.ttt_chunk_tokens and stop < len(stream):
            adapt(model, model.parameters(), pending, config.ttt_lr, 1)
            pending, waiting = [], 0
    return torch.cat(parts).numpy()
