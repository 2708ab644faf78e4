"""Neural distribution first, exact n-gram statistics of what was already scored on top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reference_model.config import Config
from reference_model.evaluate import (
    Losses,
    Window,
    batches_of,
    own_batches,
    sliding_windows,
    window_tensors,
)
from reference_model.exact_ngram import Probabilities, mix_exact
from reference_model.model import GPT
from reference_model.ngram_logistic import LogisticNgram, apply_apm
from reference_model.ranks import Ranks, sum_over_ranks
from reference_model.ttt import learn_chunk, windows_by_chunk

SKIP_ENTROPY = 0.05  # nats: below this the network is left alone


@dataclass(frozen=True)
class NeuralView:
    """What the network says about each scored position; only ``target`` and ``hit`` look at the target."""

    target: Probabilities
    entropy: Probabilities
    top: Probabilities
    hit: npt.NDArray[np.bool_]


def measure(logits: Tensor, targets: Tensor) -> Tensor:
    """Return (4, B, T): log-probability of the target, entropy, top probability, whether top is right."""
    logs = logits.double().log_softmax(dim=-1)
    probabilities = logs.exp()
    top, guess = probabilities.max(dim=-1)
    target = logs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return torch.stack((target, -(probabilities * logs).sum(dim=-1), top, (guess == targets).double()))


@torch.no_grad()
def measure_windows(model: GPT, stream: Tensor, windows: list[Window], size: int, measured: Tensor) -> None:
    """Write what :func:`measure` says of the windows' scored positions into ``measured`` (4, positions)."""
    for batch in batches_of(windows, size):
        inputs, targets = window_tensors(stream, batch)
        values = measure(model(inputs), targets)
        for row, window in enumerate(batch):
            measured[:, window.stop - window.scored : window.stop] = values[:, row, -window.scored :]


def nothing_measured(stream: Tensor) -> Tensor:
    """Return room for four numbers about every token of the stream but the first."""
    return torch.zeros(4, len(stream) - 1, dtype=torch.float64, device=stream.device)


def view_of(measured: Tensor) -> NeuralView:
    """Give the four rows of measurements their names."""
    rows = measured.cpu().numpy()
    return NeuralView(np.exp(rows[0]), rows[1], rows[2], rows[3] > 0.5)


def neural_view(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> NeuralView:
    """Measure every scored position once with a sliding window; ranks share the windows."""
    model.eval()
    windows = list(sliding_windows(len(stream) - 1, config.train_seq_len, config.eval_stride))
    measured = nothing_measured(stream)
    for batch in own_batches(windows, config, ranks):
        measure_windows(model, stream, batch, len(batch), measured)
    return view_of(sum_over_ranks(measured, ranks))


def learning_view(model: GPT, stream: Tensor, config: Config) -> NeuralView:
    """Measure chunk by chunk, and train all weights on each chunk only after it was measured."""
    model.eval()
    measured = nothing_measured(stream)
    chunks = list(windows_by_chunk(len(stream) - 1, config))
    for index, chunk in enumerate(chunks):
        measure_windows(model, stream, chunk, config.eval_batch_sequences, measured)
        if index + 1 < len(chunks):
            learn_chunk(model, stream, chunk, config)
    return view_of(measured)


def score_ngram(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Mix the network with exact counts of tokens already scored; linear or logistic."""
    if config.ngram_mixing == "logistic":
        return score_ngram_logistic(model, stream, config)
    return mix_with_counts(neural_view(model, stream, config, ranks), stream, config)


def score_ttt_ngram(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Mix exact counts into a network that goes on learning; every rank scores everything."""
    return mix_with_counts(learning_view(model, stream, config), stream, config)


def mix_with_counts(view: NeuralView, stream: Tensor, config: Config) -> Losses:
    """Return the losses of the linear mixture of a network's view and exact counts."""
    base, skip, entropy = view.target, None, None
    if config.ngram_weight in ("entropy", "entropy-skip-apm"):
        entropy = view.entropy
    if config.ngram_weight == "entropy-skip-apm":
        base, skip = apply_apm(base, view.top, view.hit), view.entropy < SKIP_ENTROPY
    mixed = mix_exact(
        stream.cpu().numpy(),
        base,
        config.ngram_order,
        config.ngram_strength,
        entropy,
        skip,
        config.ngram_shortest,
    )
    return -np.log(mixed)


@torch.no_grad()
def score_ngram_logistic(model: GPT, stream: Tensor, config: Config) -> Losses:
    """Raise the odds of the followers of the longest known context, window by window, in order."""
    model.eval()
    tokens = stream.cpu().numpy()
    mixer = LogisticNgram(config.ngram_order, weight=0.5, offset=config.ngram_strength)
    mixer.observe(int(tokens[0]))
    losses = [
        loss
        for window in sliding_windows(len(stream) - 1, config.train_seq_len, config.eval_stride)
        for loss in logistic_window(model, stream, window, mixer)
    ]
    return np.array(losses)


def logistic_window(model: GPT, stream: Tensor, window: Window, mixer: LogisticNgram) -> list[float]:
    """Charge the window's positions one by one, each observed only after it was charged."""
    logits = model(stream[window.start : window.stop][None])[0, -window.scored :]
    rows = logits.double().log_softmax(dim=-1).cpu().numpy()
    targets = stream[window.stop - window.scored + 1 : window.stop + 1].tolist()
    losses = []
    for row, target in zip(rows, targets, strict=True):
        losses.append(-float(np.log(mixer.probability(row, target))))
        mixer.observe(target)
    return losses
