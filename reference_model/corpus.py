"""The default corpus that every Python carries: pydoc's topics and the standard library's docstrings.

Documents are split by a hash of their own text, so that the split does not depend on the order of
files, and identical documents are kept once, so that no validation document is also trained on.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sentencepiece as spm

from reference_model.shards import write_shard

MINIMUM_CHARACTERS = 40
VALIDATION_BUCKETS = 8  # of 100
BOS_ID = 1
SKIPPED_FOLDERS = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


def pydoc_topics() -> Iterator[str]:
    """Yield the language reference that backs ``help()``."""
    from pydoc_data.topics import topics  # type: ignore[import-not-found, unused-ignore]

    yield from topics.values()


def stdlib_docstrings() -> Iterator[str]:
    """Yield every docstring of the standard library, read without importing any module."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        if SKIPPED_FOLDERS.isdisjoint(path.relative_to(root).parts):
            yield from docstrings_of(path)


def docstrings_of(path: Path) -> Iterator[str]:
    """Yield the docstrings of one source file; a file that does not parse has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def corpus_documents() -> list[str]:
    """Return the distinct documents of the corpus in the order of their hashes."""
    cleaned = (clean_document(text) for text in (*pydoc_topics(), *stdlib_docstrings()))
    distinct = {text for text in cleaned if len(text) >= MINIMUM_CHARACTERS}
    return sorted(distinct, key=text_digest)


def clean_document(text: str) -> str:
    """Collapse blanks inside lines and strip their edges; drop unprintable characters.

    No document begins with a space and no piece has one inside, so that the canonical byte table,
    which would count an inner U+2581 as three bytes, is exact.
    """
    lines = (" ".join(line.split()) for line in text.replace("\u2581", "").splitlines())
    kept = ("".join(c for c in line if c.isprintable()) for line in lines)
    return "\n".join(kept).strip()


def text_digest(text: str) -> str:
    """Return the SHA-256 of a document, its identity in the split."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def split_documents(documents: list[str]) -> tuple[list[str], list[str]]:
    """Return (training, validation), disjoint, decided by each document's own hash."""
    validation = [text for text in documents if int(text_digest(text)[:8], 16) % 100 < VALIDATION_BUCKETS]
    held_out = set(validation)
    return [text for text in documents if text not in held_out], validation


def train_tokenizer(documents: list[str], prefix: Path, vocab_size: int) -> Path:
    """Train a lossless BPE tokenizer with byte fallback; return the path of its model file."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    spm.SentencePieceTrainer.train(
        sentence_iterator=(line for text in documents for line in text.splitlines() if line),
        model_prefix=str(prefix),
        model_type="bpe",
        vocab_size=vocab_size,
        character_coverage=0.999,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        user_defined_symbols=["\n"],
        pad_id=0,
        bos_id=BOS_ID,
        eos_id=2,
        unk_id=3,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    return prefix.with_name(prefix.name + ".model")


def encode_documents(tokenizer: spm.SentencePieceProcessor, documents: list[str]) -> npt.NDArray[np.int64]:
    """Return one stream in which every document is preceded by BOS."""
    pieces: list[int] = []
    for text in documents:
        pieces.append(BOS_ID)
        pieces.extend(tokenizer.encode(text))
    return np.asarray(pieces, dtype=np.int64)


def write_dataset(
    documents: list[str], root: Path, vocab_size: int, train_shards: int = 2
) -> tuple[Path, Path]:
    """Write tokenizer and shards under ``root`` in the challenge's layout; return (data, tokenizer)."""
    training, validation = split_documents(documents)
    model = train_tokenizer(training, root / "tokenizers" / f"corpus_{vocab_size}_bpe", vocab_size)
    tokenizer = spm.SentencePieceProcessor(model_file=str(model))
    folder = root / "datasets" / f"corpus_sp{vocab_size}"
    folder.mkdir(parents=True, exist_ok=True)
    for index, part in enumerate(np.array_split(encode_documents(tokenizer, training), train_shards)):
        write_shard(folder / f"fineweb_train_{index:06d}.bin", part)
    write_shard(folder / "fineweb_val_000000.bin", encode_documents(tokenizer, validation))
    return folder, model


def write_default_dataset(root: Path, vocab_size: int = 1024) -> tuple[Path, Path]:
    """Write the default corpus under ``root``, or reuse what is there; return (data, tokenizer)."""
    folder = root / "datasets" / f"corpus_sp{vocab_size}"
    model = root / "tokenizers" / f"corpus_{vocab_size}_bpe.model"
    if model.exists() and (folder / "fineweb_val_000000.bin").exists():
        return folder, model
    return write_dataset(corpus_documents(), root, vocab_size)
