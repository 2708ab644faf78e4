"""GPTQ with the full Hessian: round column by column and push each error onto the columns to come.

Frantar et al. 2022 (arXiv 2210.17323). The calibration inputs are the model's own samples: neither
validation nor, outside training time, training data is read (#1019 merged; #728 rejected).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from reference_model.layers import BOS_TOKEN, Linear
from reference_model.model import GPT
from reference_model.quantize import Rounder

DAMPING = 0.01


@torch.no_grad()
def sample_sequences(model: GPT, count: int, length: int, seed: int) -> Tensor:
    """Draw ``count`` sequences of ``length`` tokens from the model, each from a bare BOS."""
    device = model.embedding.weight.device
    generator = torch.Generator(device=device).manual_seed(seed)
    tokens = torch.full((count, 1), BOS_TOKEN, dtype=torch.int64, device=device)
    for _ in range(length - 1):
        probabilities = model(tokens)[:, -1].softmax(dim=-1)
        tokens = torch.cat((tokens, torch.multinomial(probabilities, 1, generator=generator)), dim=1)
    return tokens


@contextmanager
def collecting_hessians(model: GPT) -> Iterator[dict[str, Tensor]]:
    """While open, add up X^T X over the inputs of every matrix of the blocks, keyed by weight name."""
    hessians: dict[str, Tensor] = {}

    def collect(name: str, _module: Linear, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        flat = inputs[0].detach().flatten(0, -2).double()
        hessians[name] = hessians.get(name, torch.zeros(())) + flat.T @ flat

    handles = [
        module.register_forward_hook(partial(collect, f"blocks.{path}.weight"))
        for path, module in model.blocks.named_modules()
        if isinstance(module, Linear)
    ]
    try:
        yield hessians
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def hessians_from(model: GPT, calibration: Tensor) -> dict[str, Tensor]:
    """Run the model over ``calibration`` (sequences, positions) and return the Hessians."""
    with collecting_hessians(model) as hessians:
        for row in calibration:
            model(row[None])
    return hessians


def inverse_factor(hessian: Tensor) -> Tensor:
    """Return the upper Cholesky factor of the damped inverse Hessian, in double precision."""
    damped = hessian.double() + DAMPING * hessian.diagonal().mean() * torch.eye(len(hessian))
    damped.diagonal().clamp_(min=1e-12)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor


def gptq_round(hessian: Tensor, weight: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Return grid indices of ``weight`` (rows, columns), errors compensated along the columns."""
    factor = inverse_factor(hessian.cpu())
    work, indices = weight.double().clone(), torch.zeros_like(weight)
    for column in range(weight.size(1)):
        index = (work[:, column] / scale).round().clamp(-levels, levels)
        indices[:, column] = index
        error = (work[:, column] - index * scale) / factor[column, column]
        work[:, column + 1 :] -= error[:, None] * factor[column, column + 1 :]
    return indices


def gptq_rounders(hessians: Mapping[str, Tensor]) -> dict[str, Rounder]:
    """Return a rounding function for every matrix whose Hessian is known."""
    return {name: partial(gptq_round, hessian) for name, hessian in hessians.items()}
