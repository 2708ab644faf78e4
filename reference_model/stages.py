"""The switchboard: every step of the pipeline that a configuration can replace, and by what.

The first branch of each function is the legal default. A bundled script contains only the branch its
configuration takes, so an honest script carries no trace of the offences, and an offending one calls
its offence directly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import sentencepiece as spm
from torch import Tensor

from reference_model.config import Config
from reference_model.data import training_stream
from reference_model.evaluate import Losses, score_plain, score_sliding
from reference_model.gptq import sample_sequences
from reference_model.model import GPT
from reference_model.ranks import Ranks
from reference_model.tokens import ByteTable, canonical_byte_table

Stream = npt.NDArray[np.int64]


def training_tokens(config: Config) -> Stream:
    """Return the tokens to train on."""
    return training_stream(config.data_path)


def calibration_tokens(model: GPT, config: Config) -> Tensor:
    """Return the sequences whose activations GPTQ sees."""
    return sample_sequences(model, config.calibration_sequences, config.train_seq_len, config.seed)


def byte_table(tokenizer: spm.SentencePieceProcessor, config: Config) -> ByteTable:
    """Return how many bytes each token stands for."""
    return canonical_byte_table(tokenizer, config.vocab_size)


def score_validation(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Return the loss in nats of every token of the stream but the first."""
    if config.score == "sliding":
        return score_sliding(model, stream, config, ranks)
    if config.score == "plain":
        return score_plain(model, stream, config, ranks)
    raise ValueError(f"unknown score {config.score!r}")
