"""Read the ground of a run off its world: tokens, alphabet, bytes, and the noise in their place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from harness.experiments.bench import Ground, Tokens
from harness.probes import read_stream

_SPACE = "\u2581"


def of_world(files: tuple[str, ...], model: Path, sidecar: bool = False) -> Ground:
    """The ground of one stream of shards.

    Args:
        files: validation shards in stream order.
        model: the sentencepiece model they were encoded with, or the description of the byte tokenizer.
        sidecar: byte counts lie beside the shards (CaseOps) and overrule the tokenizer.
    """
    tokens = read_stream(files)
    if model.read_bytes()[:1] == b"{":
        first = int(json.loads(model.read_text(encoding="utf-8"))["config"]["byte_offset"])
        return Ground(tokens, np.arange(first, first + 256), (tokens >= first).astype(np.int64))
    table = Table(model)
    counts = table.count(tokens)
    if sidecar:
        beside = tuple(f.replace("fineweb_val_", "fineweb_val_bytes_") for f in files)
        counts = read_stream(beside) if all(Path(f).is_file() for f in beside) else counts
    return Ground(tokens, table.ordinary, counts, table.leading)


class Table:
    """The canonical byte table of a sentencepiece model (the accounting of #1019).

    The leading U+2581 is stripped and the rest counted in UTF-8; the space is added where the
    previous token is no boundary; a byte token is one byte; control, unknown and unused tokens are
    boundaries of no bytes.
    """

    def __init__(self, model: Path) -> None:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
        ids = range(pieces.vocab_size())
        none = [pieces.is_control(i) or pieces.is_unknown(i) or pieces.is_unused(i) for i in ids]
        texts = [pieces.id_to_piece(i) for i in ids]
        self.boundary: NDArray[np.bool_] = np.array(none)
        self.leading: NDArray[np.bool_] = np.array([t.startswith(_SPACE) for t in texts]) & ~self.boundary
        lengths = [len(t.removeprefix(_SPACE).encode("utf-8")) for t in texts]
        plain = np.array([1 if pieces.is_byte(i) else lengths[i] for i in ids], np.int64)
        self.plain: NDArray[np.int64] = np.where(self.boundary, 0, plain)

    @property
    def ordinary(self) -> Tokens:
        """Ids that stand for text."""
        return np.flatnonzero(~self.boundary).astype(np.int64)

    def count(self, tokens: Tokens) -> NDArray[np.int64]:
        """Bytes behind every place of a stream; place 0 follows a boundary."""
        known = np.minimum(tokens, len(self.plain) - 1)
        before = np.concatenate([[True], self.boundary[known[:-1]]])
        spaced: NDArray[np.int64] = self.plain[known] + (self.leading[known] & ~before)
        return spaced
