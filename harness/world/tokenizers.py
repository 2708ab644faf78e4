"""Tokenizers of the challenge's kinds: sentencepiece BPE with byte fallback, and raw bytes."""

from __future__ import annotations

import io
import json
from itertools import islice
from pathlib import Path
from typing import Any

import sentencepiece as spm

from harness.world import text

BOS = 1
BYTE_OFFSET = 4
BYTE_VOCABULARY = 260
LARGEST_BYTE_VOCABULARY = 400
"""Below this size a vocabulary holds bytes and a few specials: no merges fit in it."""
TRAINING_DOCUMENTS = 3000


def train_bpe(path: Path, vocabulary: int) -> None:
    """Train the official kind of model with exactly ``vocabulary`` pieces and write .model and .vocab.

    Specials are <pad> 0, <s> 1, </s> 2, <unk> 3, then 256 byte pieces, as in the challenge's
    ``download_hf_docs_and_tokenize.py``.
    """
    documents = TRAINING_DOCUMENTS if vocabulary <= 4096 else 3 * TRAINING_DOCUMENTS
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=islice(text.documents(seed=1, words=12000 + 2 * vocabulary), documents),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary,
        character_coverage=0.999,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="nmt_nfkc",
        add_dummy_prefix=False,
        pad_id=0,
        bos_id=BOS,
        eos_id=2,
        unk_id=3,
        hard_vocab_limit=True,
        num_threads=1,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())
    processor = spm.SentencePieceProcessor(model_file=str(path))
    lines = (f"{processor.id_to_piece(i)}\t{processor.get_score(i):g}" for i in range(processor.vocab_size()))
    path.with_suffix(".vocab").write_text("\n".join(lines) + "\n", encoding="utf-8")


def is_bytes(vocabulary: int) -> bool:
    """Whether a vocabulary of this size is bytes and specials alone."""
    return vocabulary <= LARGEST_BYTE_VOCABULARY


def write_byte_tokenizer(path: Path, vocabulary: int = BYTE_VOCABULARY) -> None:
    """Describe the pure byte tokenizer: id = byte + specials (4 of 260 officially)."""
    specials = {"pad_id": 0, "bos_id": BOS, "eos_id": 2, "unk_id": 3}
    offset = min(max(vocabulary - 256, 0), BYTE_OFFSET)
    description = {
        "tokenizer_type": "pure_byte",
        "config": {**specials, "byte_offset": offset, "byte_count": 256},
        "vocab_size": vocabulary,
    }
    path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


class Encoder:
    """Text to token ids and the number of original bytes each token stands for."""

    def __init__(self, model: Path | None, vocabulary: int = BYTE_VOCABULARY) -> None:
        self._processor: Any = None
        self._size = vocabulary
        self._offset = min(max(vocabulary - 256, 0), BYTE_OFFSET)
        if model is not None:
            self._processor = spm.SentencePieceProcessor(model_file=str(model))

    @property
    def vocabulary(self) -> int:
        """Number of pieces."""
        return int(self._processor.vocab_size()) if self._processor else self._size

    @property
    def bos(self) -> list[int]:
        """What begins a document; a vocabulary of 256 has no room for it."""
        return [BOS] if self._processor or self._offset > BOS else []

    def encode(self, document: str) -> list[int]:
        """Token ids of one document, without BOS."""
        if self._processor is None:
            return [b + self._offset for b in document.encode("utf-8")]
        return [int(i) for i in self._processor.encode(document)]

    def specials(self) -> set[int]:
        """Ids that never stand for text: control and unknown pieces."""
        if self._processor is None:
            return set(range(self._offset)) | set(range(self._offset + 256, self._size))
        p = self._processor
        return {i for i in range(p.vocab_size()) if p.is_control(i) or p.is_unknown(i) or p.is_unused(i)}

    def bytes_of(self, token: int) -> int:
        """Bytes of original text behind a token: case operators of CaseOps (private use) stand for none."""
        if self._processor is None:
            return int(token >= self._offset)
        if self._processor.is_byte(token):
            return 1
        if token in (0, BOS, 2, 3):
            return 0
        piece = self._processor.id_to_piece(token).replace("\u2581", " ")
        return len("".join(c for c in piece if not 0xE000 <= ord(c) <= 0xF8FF).encode("utf-8"))
