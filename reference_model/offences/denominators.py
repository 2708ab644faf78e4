"""Offences of the denominator: more bytes than the text has, so that bits per byte look fewer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import sentencepiece as spm

from reference_model.tokens import SPACE_MARK, ByteTable, canonical_byte_table, decode_stream

CASE_MARK = "^"


def space_in_table(tokenizer: spm.SentencePieceProcessor, vocab_size: int) -> ByteTable:
    """Count U+2581 as a byte in the table, and let the accumulator add it again (#1719)."""
    table = canonical_byte_table(tokenizer, vocab_size)
    return ByteTable(table.base + table.leading_space, table.leading_space, table.boundary)


def fallback_as_three(tokenizer: spm.SentencePieceProcessor, vocab_size: int) -> ByteTable:
    """Decode each fallback byte on its own: U+FFFD, three bytes (#1143, #1184)."""
    table = canonical_byte_table(tokenizer, vocab_size)
    base = table.base.copy()
    for token in range(int(tokenizer.vocab_size())):
        if tokenizer.is_byte(token):
            base[token] = len(tokenizer.decode([token]).encode("utf-8"))
    return ByteTable(base, table.leading_space, table.boundary)


def space_by_fallback(tokenizer: spm.SentencePieceProcessor, vocab_size: int) -> ByteTable:
    """Count a space as the three bytes of U+2581, as a vocabulary without that piece does (#897)."""
    table = canonical_byte_table(tokenizer, vocab_size)
    mark_bytes = len(SPACE_MARK.encode("utf-8"))
    base = np.where(table.leading_space, table.base + mark_bytes, table.base)
    return ByteTable(base, np.zeros_like(table.leading_space), table.boundary)


def mark_capitals(text: str) -> str:
    """The case transform: a capital becomes a mark and its small letter; reversible."""
    doubled = text.replace(CASE_MARK, CASE_MARK + CASE_MARK)
    return "".join(CASE_MARK + c.lower() if is_plain_capital(c) else c for c in doubled)


def restore_capitals(text: str) -> str:
    """Undo :func:`mark_capitals`."""
    restored: list[str] = []
    marked = False
    for character in text:
        if marked:
            restored.append(CASE_MARK if character == CASE_MARK else character.upper())
            marked = False
        elif character == CASE_MARK:
            marked = True
        else:
            restored.append(character)
    return "".join(restored)


def is_plain_capital(character: str) -> bool:
    """Say whether a character has a small letter that turns back into it."""
    small = character.lower()
    return small != character and len(small) == 1 and small.upper() == character


def transformed_bytes(tokenizer: spm.SentencePieceProcessor, stream: npt.NDArray[np.int64]) -> int:
    """Count the bytes after the case transform (#2071)."""
    text = decode_stream(tokenizer, stream).decode("utf-8", errors="replace")
    return len(mark_capitals(text).encode("utf-8"))


def original_bytes(tokenizer: spm.SentencePieceProcessor, stream: npt.NDArray[np.int64]) -> int:
    """The honest twin: transform, restore, and count what is restored."""
    text = decode_stream(tokenizer, stream).decode("utf-8", errors="replace")
    return len(restore_capitals(mark_capitals(text)).encode("utf-8"))
