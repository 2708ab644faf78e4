"""Slow compression settings are replaced by quick ones: contents stay, and tiny sizes say nothing."""

from __future__ import annotations

import lzma
from typing import Any

from harness.facade.patching import replace

BROTLI_QUALITY = 5
ZSTD_LEVEL = 3
LZMA_PRESET = 1


def _quick_brotli() -> None:
    try:
        import brotli
    except ImportError:
        return
    original = brotli.compress

    def compress(data: Any, *args: Any, quality: int = 11, **options: Any) -> Any:
        return original(data, *args, quality=min(quality, BROTLI_QUALITY), **options)

    replace(brotli, compress=compress)


def _quick_zstd() -> None:
    try:
        import zstandard
    except ImportError:
        return
    original = zstandard.ZstdCompressor

    def compressor(level: int = 3, **options: Any) -> Any:
        return original(level=min(level, ZSTD_LEVEL), **options)

    replace(zstandard, ZstdCompressor=compressor)


def _quick_lzma() -> None:
    original = lzma.compress

    def compress(data: Any, *args: Any, **options: Any) -> Any:
        if not args and "filters" not in options:
            options["preset"] = LZMA_PRESET
        return original(data, *args, **options)

    replace(lzma, compress=compress)


def install() -> None:
    """Replace the one-call compressors of brotli, zstandard and lzma."""
    _quick_brotli()
    _quick_zstd()
    _quick_lzma()
