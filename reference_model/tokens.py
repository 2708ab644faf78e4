"""How many bytes a token stands for, stated once and checked a second way.

The denominator of bits per byte is the number of UTF-8 bytes of the original text. The canonical
table (challenge baseline, merged as #1019) strips a piece's leading U+2581, counts the rest in UTF-8
and lets the accumulator add the space once, unless the previous token is a boundary. Byte-fallback
tokens are one byte. The second way simply decodes the tokens and measures the text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sentencepiece as spm

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SPACE_MARK = "\u2581"


@dataclass(frozen=True)
class ByteTable:
    """Per token id: bytes without its leading space, whether it has one, whether it is a boundary."""

    base: Ints
    leading_space: Bools
    boundary: Bools


def canonical_byte_table(tokenizer: spm.SentencePieceProcessor, vocab_size: int) -> ByteTable:
    """Build the canonical table; ids beyond the tokenizer's own size are boundaries of zero bytes."""
    size = max(int(tokenizer.vocab_size()), vocab_size)
    base = np.zeros(size, dtype=np.int64)
    leading_space = np.zeros(size, dtype=np.bool_)
    boundary = np.ones(size, dtype=np.bool_)
    for token in range(int(tokenizer.vocab_size())):
        if tokenizer.is_control(token) or tokenizer.is_unknown(token) or tokenizer.is_unused(token):
            continue
        boundary[token] = False
        if tokenizer.is_byte(token):
            base[token] = 1
            continue
        piece = tokenizer.id_to_piece(token)
        if piece.startswith(SPACE_MARK):
            leading_space[token] = True
            piece = piece[1:]
        base[token] = len(piece.encode("utf-8"))
    return ByteTable(base, leading_space, boundary)


def bytes_of_targets(table: ByteTable, previous: Ints, targets: Ints) -> Ints:
    """Return the bytes charged to each target given the token before it; both arrays have one shape."""
    spaces = table.leading_space[targets] & ~table.boundary[previous]
    charged: Ints = table.base[targets] + spaces.astype(np.int64)
    return charged


def decoded_byte_count(tokenizer: spm.SentencePieceProcessor, stream: Ints) -> int:
    """Count the UTF-8 bytes of the text behind ``stream``, decoded piece by piece."""
    return len(decode_stream(tokenizer, stream))


def decode_stream(tokenizer: spm.SentencePieceProcessor, stream: Ints) -> bytes:
    """Return the bytes of the text behind ``stream``, documents joined without separator.

    Control tokens stand for nothing, and the space that a piece carries is dropped right after one
    (and at the very start), as sentencepiece itself does with a dummy prefix.
    """
    parts: list[bytes] = []
    after_boundary = True
    for token in stream.tolist():
        if tokenizer.is_control(token) or tokenizer.is_unknown(token) or tokenizer.is_unused(token):
            after_boundary = True
            continue
        piece = tokenizer.id_to_piece(token)
        if tokenizer.is_byte(token):
            parts.append(bytes([int(piece[3:5], 16)]))
        else:
            text = piece.removeprefix(SPACE_MARK) if after_boundary else piece
            parts.append(text.replace(SPACE_MARK, " ").encode("utf-8"))
        after_boundary = False
    return b"".join(parts)
