"""Decompressors and decoders that submissions pack their code with, each bounded in output."""

from __future__ import annotations

import base64
import binascii
import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import zstandard

from harness.unpack_values import MAX_VALUE, Failed

_ERRORS: tuple[type[Exception], ...] = (
    ValueError,  # binascii.Error and UnicodeError are ValueErrors
    TypeError,
    EOFError,
    OSError,
    OverflowError,
    MemoryError,
    LookupError,
    AttributeError,
    lzma.LZMAError,
    zlib.error,
    brotli.error,
    zstandard.ZstdError,
)
_LZMA_MEMORY = 256 * 2**20  # bytes of dictionary a stream may ask for
_CHUNK = 1 << 16


def apply(codec: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a codec; what it rejects or what comes out too large raises :class:`Failed`."""
    try:
        return codec(*args, **kwargs)
    except _ERRORS as error:
        raise Failed(f"{type(error).__name__}: {error}"[:160]) from None


def _drain(step: Callable[[bytes, int], bytes], done: Callable[[], bool], data: bytes) -> bytes:
    out = step(data, MAX_VALUE + 1)
    if len(out) > MAX_VALUE:
        raise ValueError(f"unpacks to more than {MAX_VALUE} bytes")
    if not done():
        raise EOFError("compressed data is cut off")
    return out


def lzma_decompress(
    data: bytes,
    format: int = lzma.FORMAT_AUTO,  # noqa: A002 - the name of the parameter in the standard library
    memlimit: int | None = None,
    filters: list[dict[str, Any]] | None = None,
) -> bytes:
    """``lzma.decompress``; raw streams take no memory limit, so their dictionary is checked instead."""
    if format == lzma.FORMAT_RAW:
        for item in filters or ():
            if item.get("dict_size", 0) > _LZMA_MEMORY:
                raise ValueError("LZMA dictionary too large")
        machine = lzma.LZMADecompressor(format, None, filters)
    else:
        machine = lzma.LZMADecompressor(format, _LZMA_MEMORY, filters)
    out = machine.decompress(data, MAX_VALUE + 1)
    if len(out) > MAX_VALUE:
        raise ValueError(f"unpacks to more than {MAX_VALUE} bytes")
    if not machine.eof and format != lzma.FORMAT_RAW:
        raise EOFError("compressed data is cut off")
    return out


def zlib_decompress(data: bytes, wbits: int = zlib.MAX_WBITS, bufsize: int = 0) -> bytes:
    """``zlib.decompress``."""
    machine = zlib.decompressobj(wbits)
    return _drain(machine.decompress, lambda: machine.eof, data)


def gzip_decompress(data: bytes) -> bytes:
    """``gzip.decompress`` of one member."""
    return zlib_decompress(data, 16 + zlib.MAX_WBITS)


def bz2_decompress(data: bytes) -> bytes:
    """``bz2.decompress`` of one stream."""
    machine = bz2.BZ2Decompressor()
    return _drain(machine.decompress, lambda: machine.eof, data)


def brotli_decompress(data: bytes) -> bytes:
    """``brotli.decompress``, taken out in bounded pieces so that a bomb is noticed early."""
    machine, out, size = brotli.Decompressor(), [], 0
    piece = machine.process(data, output_buffer_limit=_CHUNK)
    while piece:
        size += len(piece)
        if size > MAX_VALUE:
            raise ValueError(f"unpacks to more than {MAX_VALUE} bytes")
        out.append(piece)
        piece = b"" if machine.is_finished() else machine.process(b"", output_buffer_limit=_CHUNK)
    if not machine.is_finished():
        raise EOFError("compressed data is cut off")
    return b"".join(out)


def zstd_decompress(data: bytes, max_output_size: int = 0) -> bytes:
    """``ZstdDecompressor().decompress``; also frames that do not state their size."""
    machine = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    out, size = [], 0
    with machine.stream_reader(data) as reader:
        while piece := reader.read(_CHUNK):
            size += len(piece)
            if size > MAX_VALUE:
                raise ValueError(f"unpacks to more than {MAX_VALUE} bytes")
            out.append(piece)
    return b"".join(out)


CODECS: dict[str, tuple[str, Callable[..., Any]]] = {
    "lzma.decompress": ("lzma", lzma_decompress),
    "zlib.decompress": ("zlib", zlib_decompress),
    "gzip.decompress": ("gzip", gzip_decompress),
    "bz2.decompress": ("bz2", bz2_decompress),
    "brotli.decompress": ("brotli", brotli_decompress),
    "brotlicffi.decompress": ("brotli", brotli_decompress),
    "zstandard.decompress": ("zstd", zstd_decompress),
    "zstd.decompress": ("zstd", zstd_decompress),
    "pyzstd.decompress": ("zstd", zstd_decompress),
    "base64.b64decode": ("b64", base64.b64decode),
    "base64.standard_b64decode": ("b64", base64.standard_b64decode),
    "base64.urlsafe_b64decode": ("b64", base64.urlsafe_b64decode),
    "base64.decodebytes": ("b64", base64.decodebytes),
    "base64.b32decode": ("b32", base64.b32decode),
    "base64.b16decode": ("hex", base64.b16decode),
    "base64.b85decode": ("b85", base64.b85decode),
    "base64.a85decode": ("a85", base64.a85decode),
    "binascii.a2b_base64": ("b64", binascii.a2b_base64),
    "binascii.unhexlify": ("hex", binascii.unhexlify),
    "binascii.a2b_hex": ("hex", binascii.a2b_hex),
    "bytes.fromhex": ("hex", bytes.fromhex),
    "bytearray.fromhex": ("hex", bytes.fromhex),
}
