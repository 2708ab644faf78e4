"""Byte tables and tokenizers that a submission ships as files: read as data, never loaded as objects."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np

from checkers.static._sample_tokens import MARK
from checkers.subject import Subject
from harness.submission import SubmissionError

_LARGEST = 8_000_000  # bytes of a file that is read
_SINGLES = 40  # tokens of one byte in front of the table that make it look like a byte alphabet


@dataclass(frozen=True, slots=True)
class ShippedTable:
    """An array of bytes per token. ``replaced`` counts a run of threes among the single-byte tokens."""

    path: str
    first: int
    replaced: int


@dataclass(frozen=True, slots=True)
class ShippedVocabulary:
    """The pieces of a shipped SentencePiece model: text and type as in its protocol buffer."""

    path: str
    pieces: tuple[tuple[str, int], ...]

    @property
    def has_space(self) -> bool:
        """Whether the marker is a piece of its own."""
        return any(text == MARK for text, _ in self.pieces)

    @property
    def marked(self) -> int:
        """How many pieces begin with the marker."""
        return sum(text.startswith(MARK) for text, _ in self.pieces)


def shipped_tables(subject: Subject) -> list[ShippedTable]:
    """The ``.npz`` files of the record that hold an integer array of bytes per token."""
    small = [e for e in subject.submission.files(".npz") if e.size <= _LARGEST]
    return [table for e in small if (table := _table(subject, e.path)) is not None]


def _table(subject: Subject, path: str) -> ShippedTable | None:
    try:
        with np.load(io.BytesIO(subject.submission.read(path)), allow_pickle=False) as data:
            arrays = [data[name] for name in data.files]
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, SubmissionError):
        return None
    for array in arrays:
        if (
            array.ndim == 1
            and array.dtype.kind in "iu"
            and 200 <= len(array) <= 200_000
            and array.max() < 1000
        ):
            return ShippedTable(path, *_run_of_threes(array))
    return None


def _run_of_threes(sizes: np.ndarray) -> tuple[int, int]:
    """Start and length of the run of threes that interrupts an alphabet of single bytes, (0, 0) for none."""
    start = next((i for i, size in enumerate(sizes[:400]) if size > 1), 0)
    length = 0
    while start + length < len(sizes) and sizes[start + length] == 3:
        length += 1
    singles = int((sizes[:start] == 1).sum())
    return (start, length) if singles >= _SINGLES else (0, 0)


def shipped_vocabularies(subject: Subject) -> list[ShippedVocabulary]:
    """The SentencePiece models of the record."""
    found = []
    for entry in subject.submission.files(".model"):
        if entry.size > _LARGEST:
            continue
        try:
            pieces = tuple(_pieces(subject.submission.read(entry.path)))
        except (SubmissionError, IndexError, ValueError):
            continue
        if len(pieces) >= 200:
            found.append(ShippedVocabulary(entry.path, pieces))
    return found


def _pieces(raw: bytes) -> list[tuple[str, int]]:
    """Field 1 of ``ModelProto``: messages with text (1), score (2) and type (3, 1 when left out)."""
    out = []
    for number, value in _fields(raw):
        if number == 1 and isinstance(value, bytes):
            inner = dict(_fields(value))
            text, kind = inner.get(1, b""), inner.get(3, 1)
            if isinstance(text, bytes) and isinstance(kind, int):
                out.append((text.decode("utf-8", "replace"), kind))
    return out


def _fields(raw: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a protocol buffer message.

    Raises:
        IndexError: the message is cut off.
        ValueError: an unknown wire type.
    """
    out: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(raw, at)
            out.append((number, value))
        elif wire in (1, 5):
            width = 8 if wire == 1 else 4
            out.append((number, raw[at : at + width]))
            at += width
        elif wire == 2:
            size, at = _varint(raw, at)
            out.append((number, raw[at : at + size]))
            at += size
        else:
            raise ValueError(f"wire type {wire}")
    return out


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
