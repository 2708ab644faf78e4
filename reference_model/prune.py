"""Selective pruning to fit: turn the cheapest +-1 of the grid into 0 until the file is small enough."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reference_model.artifact import encode_artifact
from reference_model.quantize import LEVELS, Packed


def prunable_cost(packed: Mapping[str, Packed]) -> np.ndarray:
    """Return the squared error that zeroing each +-1 costs, over all integer tensors, joined."""
    costs = [
        np.broadcast_to(np.square(t.arrays[1].astype(np.float64))[:, None], t.shape)[np.abs(t.arrays[0]) == 1]
        for t in packed.values()
        if t.format in LEVELS
    ]
    return np.concatenate(costs) if costs else np.zeros(0)


def prune_below(packed: Mapping[str, Packed], threshold: float) -> dict[str, Packed]:
    """Zero every +-1 whose cost is at most ``threshold``."""
    return {name: prune_rows(tensor, threshold) for name, tensor in packed.items()}


def prune_rows(tensor: Packed, threshold: float) -> Packed:
    """Zero the +-1 of the rows whose squared scale is at most ``threshold``."""
    if tensor.format not in LEVELS:
        return tensor
    indices, scale = tensor.arrays
    cheap = np.square(scale.astype(np.float64))[:, None] <= threshold
    kept = np.where((np.abs(indices) == 1) & cheap, 0, indices).astype(np.int8)
    return Packed(tensor.format, tensor.shape, (kept, scale))


def prune_to_fit(packed: Mapping[str, Packed], limit: int, compressor: str) -> dict[str, Packed]:
    """Prune as little as a bisection over cost finds sufficient; raises ValueError if nothing suffices."""
    if len(encode_artifact(packed, compressor)) <= limit:
        return dict(packed)
    costs = np.unique(prunable_cost(packed))
    low, high = 0, len(costs) - 1
    if high < 0 or len(encode_artifact(prune_below(packed, costs[high]), compressor)) > limit:
        raise ValueError(f"artifact does not fit in {limit} bytes even when all +-1 are pruned")
    while low < high:
        middle = (low + high) // 2
        fits = len(encode_artifact(prune_below(packed, costs[middle]), compressor)) <= limit
        low, high = (low, middle) if fits else (middle + 1, high)
    return prune_below(packed, costs[high])
