"""The challenge's shard format: 256 little-endian int32 of header, then uint16 tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

MAGIC = 20240520
VERSION = 1
HEADER_INTS = 256

Tokens = npt.NDArray[np.uint16]


def write_shard(path: Path, tokens: npt.ArrayLike) -> None:
    """Write token ids (0..65535) as one shard."""
    body = np.asarray(tokens, dtype="<u2")
    header = np.zeros(HEADER_INTS, dtype="<i4")
    header[:3] = MAGIC, VERSION, body.size
    path.write_bytes(header.tobytes() + body.tobytes())


def read_shard(path: Path) -> Tokens:
    """Read a shard.

    Raises:
        ValueError: the magic, the version or the length is wrong.
    """
    raw = path.read_bytes()
    header = np.frombuffer(raw[: HEADER_INTS * 4], dtype="<i4")
    body = np.frombuffer(raw[HEADER_INTS * 4 :], dtype="<u2")
    if header.size != HEADER_INTS or tuple(header[:3]) != (MAGIC, VERSION, body.size):
        raise ValueError(f"{path} is not a token shard of this challenge")
    return body
