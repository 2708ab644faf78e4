"""The four general compressors of the challenge under one roof."""

from __future__ import annotations

import lzma
import zlib


def compress_bytes(data: bytes, compressor: str) -> bytes:
    """Compress with "zlib", "lzma", "zstd" (level 22) or "brotli" at full effort."""
    if compressor == "zlib":
        return zlib.compress(data, level=9)
    if compressor == "lzma":
        return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    if compressor == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=22).compress(data)
    if compressor == "brotli":
        import brotli

        return bytes(brotli.compress(data, quality=11, lgwin=24))
    raise ValueError(f"unknown compressor {compressor!r}")


def decompress_bytes(data: bytes, compressor: str) -> bytes:
    """Undo :func:`compress_bytes`."""
    if compressor == "zlib":
        return zlib.decompress(data)
    if compressor == "lzma":
        return lzma.decompress(data)
    if compressor == "zstd":
        import zstandard

        return zstandard.ZstdDecompressor().decompress(data)
    if compressor == "brotli":
        import brotli

        return bytes(brotli.decompress(data))
    raise ValueError(f"unknown compressor {compressor!r}")
