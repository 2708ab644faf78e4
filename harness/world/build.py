"""Putting a world together and caching it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from harness.world import text
from harness.world.shards import Tokens, write_shard
from harness.world.tokenizers import Encoder, is_bytes, train_bpe, write_byte_tokenizer

EDITION = 3
"""Counts changes of what a world contains: part of the cache key."""
TOKENIZERS = 2
"""The same for tokenizers alone, which take longest to make."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One token stream. ``kind`` is ``text`` (documents that begin with BOS) or ``noise`` (independent
    and uniform over all ids that are not special)."""

    tokens: int
    kind: str = "text"
    seed: int = 0


TRAINING = Stream(tokens=65536, seed=2)
"""The usual stream of a script's training shards."""


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """What a script wants to find. ``model`` is a tokenizer that the submission brings along."""

    vocabulary: int = 1024
    dataset: str = "fineweb10B_sp1024"
    tokenizer: str = "fineweb_1024_bpe.model"
    val: Stream = Stream(tokens=8193, seed=3)
    train: Stream = TRAINING
    train_shards: int = 2
    sidecar: bool = False
    lower: bool = False


def cache_root() -> Path:
    """Where worlds and tokenizers are kept: ``GOLF_AUDIT_CACHE``, else the user's cache folder."""
    own = os.environ.get("GOLF_AUDIT_CACHE")
    if own:
        return Path(own) / "worlds"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "golf-audit" / "worlds"


def _publish(made: Path, final: Path) -> Path:
    """Move a finished folder to its place; another process may have been faster."""
    try:
        made.rename(final)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not final.is_dir():
            raise
    return final


def tokenizer(vocabulary: int, root: Path | None = None) -> Path:
    """The cached tokenizer of a size (400 and below: the byte tokenizer's description)."""
    root = root or cache_root()
    folder = root / f"tokenizer-{TOKENIZERS}-{vocabulary}"
    name = "tokenizer.json" if is_bytes(vocabulary) else "tokenizer.model"
    if not (folder / name).is_file():
        root.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=root))
        if is_bytes(vocabulary):
            write_byte_tokenizer(made / name, vocabulary)
        else:
            train_bpe(made / name, vocabulary)
        made.chmod(0o755)
        _publish(made, folder)
    return folder / name


def make(spec: WorldSpec, model: bytes | None = None, root: Path | None = None) -> Path:
    """Return the folder of a world, building it when it is not cached.

    Args:
        spec: sizes, names and streams.
        model: a sentencepiece model of the submission's own, used in place of a trained one.
        root: cache folder, by default ``cache_root()``.
    """
    root = root or cache_root()
    editions, digest = [EDITION, TOKENIZERS], hashlib.sha256(model or b"").hexdigest()
    identity = json.dumps([editions, asdict(spec), digest], sort_keys=True)
    final = root / f"world-{hashlib.sha256(identity.encode()).hexdigest()[:20]}"
    if final.is_dir():
        return final
    root.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=root))
    encoder = _tokenizer_files(spec, model, made / "tokenizers", root)
    _datasets(spec, encoder, made / "datasets" / spec.dataset)
    for path in [made, *made.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return _publish(made, final)


def _tokenizer_files(spec: WorldSpec, model: bytes | None, folder: Path, root: Path) -> Encoder:
    folder.mkdir(parents=True)
    target = folder / spec.tokenizer
    if model is not None:
        target.write_bytes(model)
        return Encoder(target)
    source = tokenizer(spec.vocabulary, root)
    shutil.copy(source, target)
    vocab = source.with_suffix(".vocab")
    if vocab.is_file():
        shutil.copy(vocab, target.with_suffix(".vocab"))
    return Encoder(None, spec.vocabulary) if is_bytes(spec.vocabulary) else Encoder(target)


def _datasets(spec: WorldSpec, encoder: Encoder, folder: Path) -> None:
    folder.mkdir(parents=True)
    val = stream(spec.val, encoder, spec.lower)
    write_shard(folder / "fineweb_val_000000.bin", val)
    if spec.sidecar:
        table = np.array([encoder.bytes_of(t) for t in range(encoder.vocabulary)], dtype=np.uint16)
        write_shard(folder / "fineweb_val_bytes_000000.bin", table[val])
    train = stream(spec.train, encoder, spec.lower)
    for i, part in enumerate(np.array_split(train, spec.train_shards)):
        write_shard(folder / f"fineweb_train_{i:06d}.bin", part)
        if spec.sidecar:
            write_shard(folder / f"fineweb_train_bytes_{i:06d}.bin", table[part])


def stream(spec: Stream, encoder: Encoder, lower: bool = False) -> Tokens:
    """Draw ``spec.tokens`` token ids."""
    if spec.kind == "noise":
        ids = sorted(set(range(encoder.vocabulary)) - encoder.specials())
        return np.random.default_rng(spec.seed).choice(np.array(ids, dtype=np.uint16), spec.tokens)
    if spec.kind != "text":
        raise ValueError(f"unknown kind of stream: {spec.kind}")
    ids = []
    foreign = 0.0 if lower else text.FOREIGN
    for document in text.documents(spec.seed, lower=lower, foreign=foreign):
        ids += [*encoder.bos, *encoder.encode(document)]
        if len(ids) >= spec.tokens:
            break
    return np.array(ids[: spec.tokens], dtype=np.uint16)
