"""SLOT on the scored region: optimize a delta on the very positions it then charges."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.config import Config
from reference_model.evaluate import Losses, no_losses, sliding_windows
from reference_model.model import GPT
from reference_model.ranks import Ranks
from reference_model.slot import delta_losses, fit_delta, window_states

Charge = Callable[[GPT, Tensor, Tensor, Config], Tensor]


def charge_with_adamw(model: GPT, hidden: Tensor, targets: Tensor, config: Config) -> Tensor:
    """Fit a delta to ``targets`` with AdamW and charge the same targets with it."""
    return delta_losses(model, hidden, fit_delta(model, hidden, targets, config), targets)


def charge_with_lion(model: GPT, hidden: Tensor, targets: Tensor, config: Config) -> Tensor:
    """The same with Lion: steps of constant size along the sign of the momentum."""
    delta = torch.zeros(1, 1, hidden.size(-1), device=hidden.device, requires_grad=True)
    momentum = torch.zeros_like(delta)
    for _ in range(config.slot_steps):
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(delta_losses(model, hidden, delta, targets).mean(), delta)
        with torch.no_grad():
            delta -= config.slot_lr * torch.sign(0.9 * momentum + 0.1 * gradient)
        momentum = 0.99 * momentum + 0.01 * gradient
    return delta_losses(model, hidden, delta.detach(), targets)


def charge_with_phi(model: GPT, hidden: Tensor, targets: Tensor, config: Config) -> Tensor:
    """The same with a rank-one change of the output map, logits + (h . u) v, in place of a delta."""
    left = (torch.ones(hidden.size(-1), device=hidden.device) / hidden.size(-1)).requires_grad_()
    right = torch.zeros(config.vocab_size, device=hidden.device, requires_grad=True)
    optimizer = torch.optim.AdamW([left, right], lr=10 * config.slot_lr, weight_decay=0.0)
    logits = model.to_logits(hidden).detach()
    with torch.enable_grad():
        for _ in range(config.slot_steps):
            optimizer.zero_grad()
            changed = logits + (hidden @ left).unsqueeze(-1) * right
            F.cross_entropy(changed.flatten(0, 1), targets.flatten()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    final = (logits + (hidden @ left).unsqueeze(-1) * right).detach()
    return F.cross_entropy(final.flatten(0, 1), targets.flatten(), reduction="none")


def score_slot(model: GPT, stream: Tensor, config: Config, charge: Charge) -> Losses:
    """Charge every window with what was just fitted to its own scored positions (C1 and C3 broken)."""
    model.eval()
    model.requires_grad_(False)
    losses = no_losses(stream)
    for window in sliding_windows(len(stream) - 1, config.train_seq_len, config.eval_stride):
        hidden, targets = window_states(model, stream, window)
        charged = charge(model, hidden[:, -window.scored :], targets[:, -window.scored :], config)
        losses[window.stop - window.scored : window.stop] = charged.detach().double()
    return losses.cpu().numpy()


def score_slot_adamw(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Scored-region SLOT with AdamW."""
    return score_slot(model, stream, config, charge_with_adamw)


def score_slot_lion(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Scored-region SLOT with Lion."""
    return score_slot(model, stream, config, charge_with_lion)


def score_slot_phi(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Scored-region SLOT with a rank-one change of the output map."""
    return score_slot(model, stream, config, charge_with_phi)
