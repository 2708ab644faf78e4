"""Ternary weights: the mean magnitude of each group of 128 as fp32 scale, five digits in a byte.

3^5 = 243 <= 256, so a byte holds five base-3 digits: 1.6 bits per weight. Once weights are ternary
the roundtrip is exact: packing what was unpacked gives the same bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GROUP_SIZE = 128
DIGITS_PER_BYTE = 5
POWERS_OF_THREE = np.array([1, 3, 9, 27, 81], dtype=np.uint8)

Floats = npt.NDArray[np.float32]


def ternary_digits(weight: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return digits in {-1, 0, 1} of shape (groups, 128) and one fp32 scale per group.

    A group that is already ternary keeps its own magnitude as scale, which makes the roundtrip exact.
    """
    flat = np.pad(weight.reshape(-1).astype(np.float32), (0, -weight.size % GROUP_SIZE))
    grouped = flat.reshape(-1, GROUP_SIZE)
    magnitude = np.abs(grouped)
    peak = magnitude.max(axis=1)
    already = ((magnitude == 0) | (magnitude == peak[:, None])).all(axis=1)
    scale = np.where(already, peak, magnitude.mean(axis=1)).astype(np.float32)
    safe = np.where(scale > 0, scale, 1.0).astype(np.float32)
    digits = np.clip(np.rint(grouped / safe[:, None]), -1, 1).astype(np.int8)
    return digits, scale


def pack_digits(digits: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Pack digits in {-1, 0, 1} five to a byte; the last byte is filled with zeros."""
    flat = np.pad(digits.reshape(-1) + 1, (0, -digits.size % DIGITS_PER_BYTE), constant_values=1)
    columns = flat.reshape(-1, DIGITS_PER_BYTE).astype(np.uint8)
    packed: npt.NDArray[np.uint8] = (columns * POWERS_OF_THREE).sum(axis=1, dtype=np.uint8)
    return packed


def unpack_digits(codes: npt.NDArray[np.generic], count: int) -> npt.NDArray[np.int8]:
    """Return the first ``count`` digits behind packed bytes."""
    columns = codes.astype(np.int16)[:, None] // POWERS_OF_THREE.astype(np.int16) % 3
    return (columns.reshape(-1)[:count] - 1).astype(np.int8)


def pack_ternary(weight: Floats) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Return (packed digits, scales) of a tensor of any shape."""
    digits, scale = ternary_digits(weight)
    return pack_digits(digits), scale


def unpack_ternary(
    codes: npt.NDArray[np.generic], scales: npt.NDArray[np.generic], shape: tuple[int, ...]
) -> Floats:
    """Return the fp32 tensor behind packed digits and scales."""
    digits = unpack_digits(codes, len(scales) * GROUP_SIZE).reshape(-1, GROUP_SIZE)
    flat = (digits * scales.astype(np.float32)[:, None]).reshape(-1)
    return flat[: int(np.prod(shape))].reshape(shape).astype(np.float32)
