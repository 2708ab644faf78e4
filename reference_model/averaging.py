"""Averages of the weights along training: exponential (EMA) and stochastic (SWA)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference_model.config import Config


class WeightAverage:
    """Keep a running average of a model's parameters.

    EMA forgets with ``ema_decay`` per step (with the usual warm-up, so that early steps count less);
    SWA is the plain mean of the steps after ``swa_start_frac`` of the run.
    """

    def __init__(self, model: nn.Module, config: Config) -> None:
        self.config = config
        self.weights: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.count = 0

    @torch.no_grad()
    def update(self, model: nn.Module, progress: float) -> None:
        """Take in the current weights; ``progress`` is the share of the run that is over, 0 to 1."""
        if self.config.averaging == "swa" and progress < self.config.swa_start_frac:
            return
        self.count += 1
        share = 1.0 / self.count
        if self.config.averaging == "ema":
            share = max(1.0 - self.config.ema_decay, share)
        for name, parameter in model.named_parameters():
            self.weights[name].lerp_(parameter.detach(), share)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Put the average into the model, if anything was averaged."""
        if self.count:
            for name, parameter in model.named_parameters():
                parameter.copy_(self.weights[name])
