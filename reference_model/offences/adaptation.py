"""Offences of test-time training: learn first, charge again, or keep the best of several passes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reference_model.config import Config
from reference_model.data import validation_stream
from reference_model.evaluate import Losses, charge_windows, no_losses, score_sliding
from reference_model.model import GPT
from reference_model.ranks import Ranks
from reference_model.ttt import adapt, learn_chunk, score_ttt, training_rows, windows_by_chunk


def score_ttt_update_first(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Train on each chunk, then charge it (C3 broken)."""
    model.eval()
    losses = no_losses(stream)
    for chunk in windows_by_chunk(len(stream) - 1, config):
        learn_chunk(model, stream, chunk, config)
        charge_windows(model, stream, chunk, config.eval_batch_sequences, losses)
    return losses.cpu().numpy()


def score_cascade(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Run an honest score-first stage, then charge everything again with the weights it left."""
    score_ttt(model, stream, config, ranks)
    return score_sliding(model, stream, config, ranks)


def score_best_of_epochs(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Charge the whole stream after every epoch of training on it; report the least loss of each token."""
    best = score_sliding(model, stream, config, ranks)
    for _ in range(config.ttt_epochs):
        rows = list(training_rows(stream, 0, len(stream) - 1, config.train_seq_len))
        adapt(model, model.parameters(), rows, config.ttt_lr, 1)
        best = np.minimum(best, score_sliding(model, stream, config, ranks))
    return best


def train_on_validation(model: GPT, config: Config, ranks: Ranks) -> None:
    """Adapt the weights to the validation stream before they are quantized (C3 broken)."""
    stream = torch.from_numpy(validation_stream(config.data_path)).to(ranks.device)
    rows = list(training_rows(stream, 0, len(stream) - 1, config.train_seq_len))
    adapt(model, model.parameters(), rows, config.ttt_lr, config.ttt_epochs)
