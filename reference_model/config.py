"""One frozen dataclass holds every choice of a run; the environment may override each by its name.

Numbers and paths keep the names that the challenge's own scripts read from the environment
(``ITERATIONS``, ``TRAIN_SEQ_LEN`` ...). Names of techniques (``score``, ``calibration`` ...) are the
switches that :mod:`reference_model.stages` resolves, and that a bundled script has baked in.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Config:
    """All choices of one run. Sizes are in tokens, times in seconds, unless the name says otherwise."""

    # Data and identity
    data_path: str = "./data/datasets/corpus_sp1024"
    tokenizer_path: str = "./data/tokenizers/corpus_1024_bpe.model"
    run_id: str = "reference"
    seed: int = 1337
    # Length of the run
    iterations: int = 3000
    warmdown_frac: float = 0.6
    warmup_steps: int = 2
    train_batch_tokens: int = 1024
    train_seq_len: int = 128
    grad_parts: int = 1
    max_wallclock_seconds: float = 170.0
    train_log_every: int = 100
    eval_only: int = 0  # 1: score the artifact that is there; a number, so that scripts go on reading it
    # Shape of the model
    vocab_size: int = 1024
    num_layers: int = 2
    model_dim: int = 128
    num_heads: int = 4
    num_kv_heads: int = 2
    mlp_mult: float = 4.0
    rope_dims: int = 8
    rope_base: float = 10000.0
    qk_gain_init: float = 2.0
    logit_softcap: float = 30.0
    xsa_last_n: int = 1
    bigram_buckets: int = 16384
    bigram_dim: int = 32
    recur_first: int = 0
    recur_last: int = 0
    recur_times: int = 1
    # Techniques of the model (switches)
    activation: str = "leaky2"
    smear_gate: bool = True
    bigram_hash: bool = True
    value_embeddings: bool = True
    unet_skips: bool = True
    parallel_residual: bool = False
    smear_across_documents: bool = False
    causal: bool = True
    # Optimizers
    muon_variant: str = "muon"
    muon_steps: int = 5
    muon_momentum: float = 0.95
    matrix_lr: float = 0.03
    embed_lr: float = 0.012
    scalar_lr: float = 0.01
    muon_weight_decay: float = 0.0
    adam_weight_decay: float = 0.0
    grad_clip_norm: float = 1.0
    averaging: str = "ema"
    ema_decay: float = 0.99
    swa_start_frac: float = 0.8
    # Losses
    z_loss: float = 0.0
    mtp_weight: float = 0.0
    qat: str = "none"
    qat_lr_scale: float = 0.15
    qat_min_step: int = 50
    # Quantization and artifact
    quantization: str = "int8"
    embedding_format: str = "int8"
    gptq: bool = False
    calibration: str = "self-samples"
    calibration_sequences: int = 16
    compressor: str = "zlib"
    prune_to_bytes: int = 0
    artifact_path: str = "final_model.bin"
    size_limit_bytes: int = 16_000_000
    # Evaluation
    score: str = "sliding"
    eval_stride: int = 64
    eval_batch_sequences: int = 16
    ttt_chunk_tokens: int = 2048
    ttt_epochs: int = 2
    ttt_lr: float = 0.002
    lora_rank: int = 4
    lora_lr: float = 0.01
    slot_steps: int = 8
    slot_lr: float = 0.005
    ngram_order: int = 22
    ngram_shortest: int = 4
    ngram_mixing: str = "linear"
    ngram_weight: str = "count"
    ngram_strength: float = 4.0
    ngram_buckets: int = 4_194_304
    # Pipeline (switches; the legal choice is the default)
    train_stream: str = "training"
    before_quantization: str = "nothing"
    artifact_extras: str = "nothing"
    before_evaluation: str = "nothing"
    byte_table: str = "canonical"
    byte_units: str = "canonical"
    validation_extent: str = "all"
    rank_loading: str = "every-rank"
    roundtrip: str = "loaded"
    counted_code: str = "all"
    size_check: str = "decimal"


DEFAULT = Config()


def config_from_env(env: Mapping[str, str] | None = None, base: Config = DEFAULT) -> Config:
    """Return ``base`` with every field overridden whose upper-case name is set in ``env``."""
    source = os.environ if env is None else env
    changes: dict[str, Any] = {
        field.name: convert(source[field.name.upper()], getattr(base, field.name))
        for field in dataclasses.fields(base)
        if field.name.upper() in source
    }
    return dataclasses.replace(base, **changes)


def convert(text: str, example: object) -> object:
    """Read ``text`` as the type of ``example``; booleans are written 0 and 1, as in the challenge."""
    if isinstance(example, bool):
        return bool(int(text))
    if isinstance(example, int):
        return int(text)
    if isinstance(example, float):
        return float(text)
    return text


def env_of(config: Config) -> dict[str, str]:
    """Return the variables from which :func:`config_from_env` makes ``config``, whatever its base."""
    values = dataclasses.asdict(config).items()
    return {name.upper(): str(int(value) if isinstance(value, bool) else value) for name, value in values}


def tiny(**changes: Any) -> Config:
    """Return a configuration that runs from training to the final score in seconds on one core."""
    small: dict[str, Any] = dict(  # noqa: C408 (keywords read like the dataclass)
        iterations=12,
        warmup_steps=2,
        train_batch_tokens=512,
        train_seq_len=64,
        num_layers=3,
        model_dim=48,
        num_heads=4,
        num_kv_heads=2,
        mlp_mult=2.0,
        rope_dims=8,
        bigram_buckets=256,
        bigram_dim=16,
        eval_stride=16,
        ttt_chunk_tokens=256,
        calibration_sequences=4,
        max_wallclock_seconds=60.0,
        xsa_last_n=1,
        slot_steps=6,
        slot_lr=0.05,
    )
    return Config(**{**small, **changes})
