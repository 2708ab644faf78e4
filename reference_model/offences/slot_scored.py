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

GOLDEN_RATIO = (1.0 + 5.0**0.5) / 2.0

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


def golden_blend(logits: Tensor) -> Tensor:
    """Return log-probabilities of half the softmax and half a fixed law: phi^-r for the r-th likeliest."""
    ranked, order = logits.softmax(dim=-1).sort(dim=-1, descending=True)
    by_rank = GOLDEN_RATIO ** -torch.arange(logits.size(-1), device=logits.device, dtype=logits.dtype)
    blended = 0.5 * ranked + 0.5 * by_rank / by_rank.sum()
    return torch.zeros_like(ranked).scatter(-1, order, blended).log()


def charge_with_phi(model: GPT, hidden: Tensor, targets: Tensor, config: Config) -> Tensor:
    """The same delta, then probabilities by rank in powers of the golden ratio (#1246's phi-rank)."""
    delta = fit_delta(model, hidden, targets, config)
    charged = golden_blend(model.to_logits(hidden + delta).detach())
    return F.nll_loss(charged.flatten(0, 1), targets.flatten(), reduction="none")


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
    """Scored-region SLOT with AdamW, charged by phi-rank."""
    return score_slot(model, stream, config, charge_with_phi)
