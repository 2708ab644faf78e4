"""A handful of sample pieces, and a stand-in for a tokenizer that knows only these.

The byte table of a submission is built from what its tokenizer says about each piece. Asking the builder
about a dozen pieces whose byte counts everybody agrees on shows how it counts, whatever it is called and
however it is written. Byte counts follow the table of PR #1019: the marker U+2581 stands for one space,
a byte token for one byte, control and unused pieces for none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from checkers.static._words import words

MARK = "\u2581"


@dataclass(frozen=True, slots=True)
class Piece:
    """One sample: its text in the vocabulary, its kind and the UTF-8 bytes of the text it stands for."""

    text: str
    kind: str  # normal, byte, control, unknown, unused
    size: int


PIECES: tuple[Piece, ...] = (
    Piece("<unk>", "unknown", 0),
    Piece("<s>", "control", 0),
    Piece("</s>", "control", 0),
    Piece("<0x0A>", "byte", 1),
    Piece("<0xC3>", "byte", 1),
    Piece(MARK, "normal", 1),
    Piece(f"{MARK}the", "normal", 4),
    Piece("the", "normal", 3),
    Piece(f"{MARK}\u00e9t\u00e9", "normal", 6),
    Piece("\u00e9t\u00e9", "normal", 5),
    Piece("q", "normal", 1),
    Piece("<unused0>", "unused", 0),
)
COUNT = len(PIECES)
WORD = next(i for i, p in enumerate(PIECES) if p.text == "the")
SPACED_WORD = next(i for i, p in enumerate(PIECES) if p.text == f"{MARK}the")
SPACED_ACCENT = next(i for i, p in enumerate(PIECES) if p.text == f"{MARK}\u00e9t\u00e9")
BYTES = tuple(i for i, p in enumerate(PIECES) if p.kind == "byte")
PLAIN = tuple(i for i, p in enumerate(PIECES) if p.kind == "normal" and MARK not in p.text)
SPECIAL = ("unknown", "control", "unused")


def _decode(ids: Any) -> str:
    """What SentencePiece returns for ids: markers as spaces, no space in front, lone bytes as U+FFFD."""
    listed = ids if isinstance(ids, (list, tuple)) else [ids]
    parts = []
    for i in listed:
        piece = PIECES[int(i)]
        if piece.kind == "byte":
            value = int(piece.text[3:5], 16)
            parts.append(chr(value) if value < 128 else "\ufffd")
        elif piece.kind == "normal":
            parts.append(piece.text.replace(MARK, " "))
    return "".join(parts).removeprefix(" ")


def _find(text: Any) -> int:
    return next((i for i, p in enumerate(PIECES) if p.text == text), 0)


def _kind(*kinds: str) -> Callable[[Any], bool]:
    return lambda i: PIECES[int(i)].kind in kinds


def _text(i: Any) -> Any:
    return [PIECES[int(k)].text for k in i] if isinstance(i, (list, tuple)) else PIECES[int(i)].text


_COUNTING = (
    "vocab_size",
    "get_piece_size",
    "piece_size",
    "getpiecesize",
    "get_vocab_size",
    "vocabsize",
    "__len__",
)
_ANSWERS: dict[str, Callable[..., Any]] = {
    **{name: lambda *_: COUNT for name in _COUNTING},
    **dict.fromkeys(("id_to_piece", "idtopiece", "id_to_token", "convert_ids_to_tokens"), _text),
    **dict.fromkeys(("piece_to_id", "piecetoid", "token_to_id", "convert_tokens_to_ids"), _find),
    **dict.fromkeys(("decode", "decode_ids", "decodeids", "decode_pieces"), _decode),
    "is_byte": _kind("byte"),
    "isbyte": _kind("byte"),
    "is_control": _kind("control"),
    "iscontrol": _kind("control"),
    "is_unknown": _kind("unknown"),
    "isunknown": _kind("unknown"),
    "is_unused": _kind("unused"),
    "isunused": _kind("unused"),
    "bos_id": lambda *_: 1,
    "eos_id": lambda *_: 2,
    "unk_id": lambda *_: 0,
    "pad_id": lambda *_: -1,
    "load": lambda *_: True,
}
# Methods that only a tokenizer has: a value on which one is called is a tokenizer.
TELLING = words(
    "id_to_piece IdToPiece piece_to_id PieceToId is_byte IsByte is_control IsControl is_unknown is_unused "
    "id_to_token GetPieceSize get_piece_size convert_ids_to_tokens"
)


class SampleTokenizer:
    """Answers what a SentencePiece or Hugging Face tokenizer would answer about the samples."""

    def answer(self, method: str) -> Callable[..., Any] | None:
        """The implementation of a method, None when the stand-in does not have it."""
        return _ANSWERS.get(method.lower())
