"""Weights to small integers and back: int8 and int6 per row, ternary per group, fp16 for the rest.

A packed tensor is a format name and a few numpy arrays; unpacking it is exact and needs nothing else,
so that what is evaluated can only come from what was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reference_model.config import Config
from reference_model.ternary import pack_ternary, unpack_ternary

LEVELS = {"int8": 127, "int6": 31}
CLIP_CANDIDATES = (1.0, 0.97, 0.93, 0.88, 0.82, 0.75)
Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Packed:
    """One tensor as stored: its format, its shape and the arrays that hold it."""

    format: str
    shape: tuple[int, ...]
    arrays: tuple[Array, ...]


Rounder = Callable[[Tensor, Tensor, int], Tensor]


def round_to_grid(weight: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Return the nearest grid index of every weight; ``scale`` has one entry per row."""
    return (weight / scale[:, None]).round().clamp(-levels, levels)


def row_scales(weight: Tensor, levels: int, clips: tuple[float, ...] = (1.0,)) -> Tensor:
    """Choose each row's scale among clipped maxima by least squared error; returns fp16-exact values."""
    peak = weight.abs().amax(dim=1).clamp_min(1e-6)
    best_scale, best_error = peak.new_zeros(peak.shape), peak.new_full(peak.shape, float("inf"))
    for clip in clips:
        scale = (peak * clip / levels).half().float().clamp_min(6e-8)
        error = (round_to_grid(weight, scale, levels) * scale[:, None] - weight).square().sum(dim=1)
        better = error < best_error
        best_scale = torch.where(better, scale, best_scale)
        best_error = torch.where(better, error, best_error)
    return best_scale


def pack_rows(weight: Tensor, name: str, rounder: Rounder = round_to_grid) -> Packed:
    """Pack a matrix per row as int8 or int6; int6 searches each row's clip."""
    levels = LEVELS[name]
    scale = row_scales(weight, levels, CLIP_CANDIDATES if name == "int6" else (1.0,))
    indices = rounder(weight, scale, levels).to(torch.int8).numpy()
    return Packed(name, tuple(weight.shape), (indices, scale.numpy().astype(np.float16)))


def pack_tensor(weight: Tensor, name: str, rounder: Rounder = round_to_grid) -> Packed:
    """Pack one tensor in the format ``name``: int8, int6, ternary, fp16 or fp32."""
    weight = weight.detach().float().cpu()
    if name in LEVELS:
        return pack_rows(weight, name, rounder)
    if name == "ternary":
        return Packed(name, tuple(weight.shape), pack_ternary(weight.numpy()))
    kind = np.float16 if name == "fp16" else np.float32
    return Packed(name, tuple(weight.shape), (weight.numpy().astype(kind),))


def unpack_tensor(packed: Packed) -> Tensor:
    """Return the fp32 tensor that a packed one stands for."""
    if packed.format in LEVELS:
        indices, scale = packed.arrays
        return torch.from_numpy(indices.astype(np.float32) * scale.astype(np.float32)[:, None])
    if packed.format == "ternary":
        codes, scales = packed.arrays
        return torch.from_numpy(unpack_ternary(codes, scales, packed.shape))
    return torch.from_numpy(packed.arrays[0].astype(np.float32)).reshape(packed.shape)


def format_of(name: str, weight: Tensor, config: Config) -> str:
    """Say how a tensor is stored: vectors in fp32, tables apart, matrices as configured."""
    if weight.ndim < 2 or weight.numel() < 1024:
        return "fp32"
    if not name.startswith("blocks."):
        return config.embedding_format
    if config.quantization == "hybrid":
        return "ternary" if ".feed_forward." in name else "int6"
    return config.quantization


def pack_model(
    state: Mapping[str, Tensor], config: Config, rounders: Mapping[str, Rounder] | None = None
) -> dict[str, Packed]:
    """Pack all tensors of a model; ``rounders`` may replace rounding per tensor (GPTQ)."""
    chosen = rounders or {}
    return {
        name: pack_tensor(weight, format_of(name, weight, config), chosen.get(name, round_to_grid))
        for name, weight in state.items()
    }


def unpack_model(packed: Mapping[str, Packed]) -> dict[str, Tensor]:
    """Return the state dictionary that the packed tensors stand for."""
    return {name: unpack_tensor(tensor) for name, tensor in packed.items()}
