"""Muon for matrices (three variants) and AdamW for everything else.

Muon replaces a matrix's momentum by its nearest orthogonal matrix, found by a Newton-Schulz
iteration (Jordan et al. 2024). NeoMuon runs three steps instead of five, as the challenge's ternary
record did; MuonEq-R scales every row of the update to unit norm before the iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from reference_model.config import Config

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEOMUON_STEPS = 3


def orthogonalize(matrix: Tensor, steps: int) -> Tensor:
    """Push the singular values of ``matrix`` towards 1; exact only in the limit, +-0.3 in practice."""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.size(0) > matrix.size(1)
    x: Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, Nesterov look-ahead, orthogonalization, then a step of ``lr``."""

    def __init__(self, params: Iterable[nn.Parameter], config: Config) -> None:
        steps = NEOMUON_STEPS if config.muon_variant == "neomuon" else config.muon_steps
        super().__init__(params, {"lr": config.matrix_lr, "decay": config.muon_weight_decay})
        self.momentum, self.steps = config.muon_momentum, steps
        self.equalize_rows = config.muon_variant == "muoneq-r"

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1.0 - group["lr"] * group["decay"])
                    parameter.add_(self.direction(parameter), alpha=-group["lr"])

    def direction(self, parameter: Tensor) -> Tensor:
        """Return the orthogonalized update, scaled so that its size does not depend on the shape."""
        gradient = parameter.grad
        assert gradient is not None
        buffer = self.state[parameter].setdefault("momentum", torch.zeros_like(gradient))
        buffer.mul_(self.momentum).add_(gradient)
        update = gradient.add(buffer, alpha=self.momentum)
        if self.equalize_rows:
            update = update / update.norm(dim=-1, keepdim=True).clamp_min(1e-7)
        update = orthogonalize(update, self.steps)
        scaled: Tensor = update * max(1.0, update.size(0) / update.size(1)) ** 0.5
        return scaled


def build_optimizers(model: nn.Module, config: Config) -> list[torch.optim.Optimizer]:
    """Split parameters: matrices of the blocks to Muon, tables and vectors to AdamW."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and name.startswith("blocks.")]
    tables = [p for name, p in named if p.ndim == 2 and not name.startswith("blocks.")]
    scalars = [p for name, p in named if p.ndim != 2]
    adam = torch.optim.AdamW(
        [{"params": tables, "lr": config.embed_lr}, {"params": scalars, "lr": config.scalar_lr}],
        betas=(0.9, 0.95),
        eps=1e-8,
        weight_decay=config.adam_weight_decay,
    )
    optimizers: list[torch.optim.Optimizer] = [Muon(matrices, config), adam]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def set_learning_rates(optimizers: list[torch.optim.Optimizer], scale: float) -> None:
    """Set every group to ``scale`` times the rate it was created with."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * scale
