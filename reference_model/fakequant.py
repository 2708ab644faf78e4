"""Rounding weights during training with a straight-through gradient (quantization-aware training)."""

from __future__ import annotations

import torch
from torch import Tensor

TERNARY_GROUP = 128


def fake_quantize(weight: Tensor, fake_format: str) -> Tensor:
    """Return the weight as it would be after a roundtrip in ``fake_format``; the gradient passes through.

    ``fake_format`` is "none", "int8", "int6" or "ternary".
    """
    if fake_format == "none":
        return weight
    with torch.no_grad():
        rounded = round_ternary(weight) if fake_format == "ternary" else round_rows(weight, fake_format)
    return weight + (rounded - weight).detach()


def round_rows(weight: Tensor, fake_format: str) -> Tensor:
    """Round each row to the symmetric grid of the format, scaled by the row's largest magnitude."""
    levels = {"int8": 127, "int6": 31}[fake_format]
    scale = weight.abs().amax(dim=1, keepdim=True).clamp_min(1e-8) / levels
    return (weight / scale).round().clamp(-levels, levels) * scale


def round_ternary(weight: Tensor) -> Tensor:
    """Round groups of 128 weights to {-1, 0, 1} times their mean magnitude (BitNet b1.58)."""
    flat = weight.reshape(-1)
    padded = torch.nn.functional.pad(flat, (0, -flat.numel() % TERNARY_GROUP)).reshape(-1, TERNARY_GROUP)
    scale = padded.abs().mean(dim=1, keepdim=True).clamp_min(1e-8)
    rounded = (padded / scale).round().clamp(-1, 1) * scale
    return rounded.reshape(-1)[: flat.numel()].reshape(weight.shape)
