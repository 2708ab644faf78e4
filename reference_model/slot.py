"""SLOT on context only: fit a delta to positions already charged, then charge the next ones with it.

A vector is added to the last hidden state. The honest form optimizes it on the part of the window
that earlier windows have charged; the offences (:mod:`reference_model.offences.slot_scored`) optimize
it on the positions they are about to charge.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.config import Config
from reference_model.evaluate import Losses, Window, no_losses, sliding_windows
from reference_model.model import GPT
from reference_model.ranks import Ranks


def delta_losses(model: GPT, hidden: Tensor, delta: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each target when ``delta`` (1, 1, D) is added to ``hidden`` (1, T, D)."""
    logits = model.to_logits(hidden + delta)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")


def fit_delta(model: GPT, hidden: Tensor, targets: Tensor, config: Config) -> Tensor:
    """Return the delta that ``slot_steps`` of AdamW find on these positions; zero where there are none."""
    delta = torch.zeros(1, 1, hidden.size(-1), device=hidden.device, requires_grad=True)
    if targets.numel() == 0:
        return delta.detach()
    optimizer = torch.optim.AdamW([delta], lr=config.slot_lr, weight_decay=0.0)
    with torch.enable_grad():
        for _ in range(config.slot_steps):
            optimizer.zero_grad()
            delta_losses(model, hidden, delta, targets).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return delta.detach()


def window_states(model: GPT, stream: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Return the hidden states (1, T, D) of a window and its targets (1, T)."""
    row = stream[window.start : window.stop + 1]
    with torch.no_grad():
        hidden = model.hidden(row[None, :-1])
    return hidden.detach(), row[None, 1:]


def score_slot_context(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Fit a delta per window on its already charged positions; charge the others with it."""
    model.eval()
    model.requires_grad_(False)
    losses = no_losses(stream)
    for window in sliding_windows(len(stream) - 1, config.train_seq_len, config.eval_stride):
        hidden, targets = window_states(model, stream, window)
        known = targets.size(1) - window.scored
        delta = fit_delta(model, hidden[:, :known], targets[:, :known], config)
        charged = delta_losses(model, hidden[:, known:], delta, targets[:, known:])
        losses[window.stop - window.scored : window.stop] = charged.detach().double()
    return losses.cpu().numpy()
