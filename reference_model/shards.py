"""The challenge's binary shards: 256 little-endian int32 of header, then uint16 tokens.

Header words: magic 20240520, version 1, number of tokens; the rest is zero.
"""

from __future__ import annotations

import glob
from pathlib import Path

import numpy as np
import numpy.typing as npt

SHARD_MAGIC = 20240520
SHARD_VERSION = 1
SHARD_HEADER_WORDS = 256


def write_shard(path: Path, tokens: npt.NDArray[np.int64]) -> None:
    """Write ``tokens`` to ``path``; raises ValueError if an id does not fit in 16 bits."""
    if tokens.size and (tokens.min() < 0 or tokens.max() > 0xFFFF):
        raise ValueError("token ids must fit in 16 bits")
    header = np.zeros(SHARD_HEADER_WORDS, dtype="<i4")
    header[:3] = SHARD_MAGIC, SHARD_VERSION, tokens.size
    path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())


def read_shard(path: str) -> npt.NDArray[np.int64]:
    """Read one shard; raises ValueError on a wrong header or a file cut short."""
    header = np.fromfile(path, dtype="<i4", count=SHARD_HEADER_WORDS)
    if header.size != SHARD_HEADER_WORDS or int(header[0]) != SHARD_MAGIC or int(header[1]) != SHARD_VERSION:
        raise ValueError(f"not a version {SHARD_VERSION} shard: {path}")
    tokens = np.fromfile(path, dtype="<u2", count=int(header[2]), offset=SHARD_HEADER_WORDS * 4)
    if tokens.size != int(header[2]):
        raise ValueError(f"shard cut short: {path}")
    return tokens.astype(np.int64)


def read_shards(pattern: str) -> npt.NDArray[np.int64]:
    """Read and join all shards that match ``pattern`` in the order of their names."""
    files = sorted(glob.glob(pattern))
    if not files:
        raise FileNotFoundError(f"no shards match {pattern}")
    return np.concatenate([read_shard(file) for file in files])
