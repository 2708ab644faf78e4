"""The artifact: one self-contained file, read back without pickle.

Layout: 4 bytes of magic, the header's length (uint32, little-endian), a JSON header and the arrays'
bytes one after the other; everything after the magic is compressed by the named compressor.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from reference_model.compress import compress_bytes, decompress_bytes
from reference_model.quantize import Array, Packed

COMPRESSOR_MAGIC = {"zlib": b"PGZ1", "lzma": b"PGL1", "zstd": b"PGS1", "brotli": b"PGB1"}
STORED_TYPES = {"int8", "uint8", "uint16", "float16", "float32"}


def encode_artifact(packed: Mapping[str, Packed], compressor: str) -> bytes:
    """Return the bytes of the artifact that holds ``packed``."""
    header: list[object] = []
    body: list[bytes] = []
    for name, tensor in packed.items():
        arrays = [[str(array.dtype), list(array.shape)] for array in tensor.arrays]
        header.append([name, tensor.format, list(tensor.shape), arrays])
        body.extend(np.ascontiguousarray(array).tobytes() for array in tensor.arrays)
    text = json.dumps(header, separators=(",", ":")).encode()
    raw = struct.pack("<I", len(text)) + text + b"".join(body)
    return COMPRESSOR_MAGIC[compressor] + compress_bytes(raw, compressor)


def decode_artifact(data: bytes) -> dict[str, Packed]:
    """Read an artifact back; raises ValueError if it is not one, is cut short or has bytes left over."""
    compressors = {magic: name for name, magic in COMPRESSOR_MAGIC.items()}
    if data[:4] not in compressors:
        raise ValueError("not an artifact of this stack")
    raw = decompress_bytes(data[4:], compressors[data[:4]])
    (length,) = struct.unpack_from("<I", raw)
    offset = 4 + length
    packed: dict[str, Packed] = {}
    for name, kind, shape, specs in json.loads(raw[4:offset]):
        arrays: list[Array] = []
        for dtype, extent in specs:
            array, offset = read_array(raw, offset, dtype, extent)
            arrays.append(array)
        packed[name] = Packed(kind, tuple(shape), tuple(arrays))
    if offset != len(raw):
        raise ValueError("artifact has bytes that belong to no tensor")
    return packed


def read_array(raw: bytes, offset: int, dtype: str, shape: list[int]) -> tuple[Array, int]:
    """Return one array of a plain numeric type and the offset behind it."""
    if dtype not in STORED_TYPES:
        raise ValueError(f"type {dtype!r} is not stored in artifacts")
    count = int(np.prod(shape))
    array = np.frombuffer(raw, dtype=dtype, count=count, offset=offset).reshape(shape)
    return array, offset + array.nbytes


def save_artifact(packed: Mapping[str, Packed], path: str, compressor: str) -> int:
    """Write the artifact and return its size in bytes, as the file system sees it."""
    Path(path).write_bytes(encode_artifact(packed, compressor))
    return Path(path).stat().st_size


def load_artifact(path: str) -> dict[str, Packed]:
    """Read the artifact at ``path``."""
    return decode_artifact(Path(path).read_bytes())
