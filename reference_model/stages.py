"""The switchboard: every step of the pipeline that a configuration can replace, and by what.

Where one of several functions is called, a table names them; where something is added or left out,
what is legal comes last, after the offences that may take its place. A bundled script contains only
what its configuration takes, so an honest script carries no trace of the offences, and an offending
one calls its offence directly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import sentencepiece as spm
from torch import Tensor

from reference_model.artifact import load_artifact
from reference_model.config import Config
from reference_model.data import training_stream, validation_stream
from reference_model.evaluate import Losses, score_plain, score_sliding, stream_bytes
from reference_model.gptq import sample_sequences
from reference_model.model import GPT
from reference_model.ngram_eval import score_ngram, score_ttt_ngram
from reference_model.offences.adaptation import (
    score_best_of_epochs,
    score_cascade,
    score_ttt_update_first,
    train_on_validation,
)
from reference_model.offences.caches import (
    score_entropy_skip,
    score_hindsight_gate,
    score_ngram_from_training,
    score_ngram_hashed,
    score_prefix_gate,
    score_target_gate,
    score_two_pass,
    score_wrong_denominator,
)
from reference_model.offences.denominators import (
    fallback_as_three,
    original_bytes,
    space_by_fallback,
    space_in_table,
    transformed_bytes,
)
from reference_model.offences.shipping import (
    MEBIBYTES_16,
    download_statistics,
    first_half,
    forgive_paid_prefix,
    in_bfloat16,
    load_state_on_master,
    noise_tensor,
    pack_again,
    paid_prefix,
    run_helper,
    training_and_validation,
    validation_rows,
    with_half_scales,
)
from reference_model.offences.slot_scored import score_slot_adamw, score_slot_lion, score_slot_phi
from reference_model.quantize import Packed, pack_model, unpack_model
from reference_model.ranks import Ranks, require_equal_weights
from reference_model.slot import score_slot_context
from reference_model.tokens import ByteTable, canonical_byte_table
from reference_model.ttt import score_ttt, score_ttt_lora, score_ttt_phased

Stream = npt.NDArray[np.int64]
EXTRA_TENSORS = ("paid_prefix", "noise")


def training_tokens(config: Config) -> Stream:
    """Return the tokens to train on."""
    if config.train_stream == "training-and-validation":
        return training_and_validation(config)
    return training_stream(config.data_path)


def validation_tokens(config: Config) -> Stream:
    """Return the tokens to score."""
    if config.validation_extent == "first-half":
        return first_half(validation_stream(config.data_path))
    return validation_stream(config.data_path)


def calibration_tokens(model: GPT, config: Config) -> Tensor:
    """Return the sequences whose activations GPTQ sees."""
    if config.calibration == "validation":
        return validation_rows(config)
    return sample_sequences(model, config.calibration_sequences, config.train_seq_len, config.seed)


def before_quantization(model: GPT, config: Config, ranks: Ranks) -> None:
    """Do what comes between training and quantization: nothing."""
    if config.before_quantization == "train-on-validation":
        train_on_validation(model, config, ranks)


def what_to_ship(packed: Mapping[str, Packed], config: Config) -> dict[str, Packed]:
    """Return what goes into the artifact: the packed weights."""
    shipped = dict(packed)
    if config.roundtrip == "lossy-scales":
        shipped = with_half_scales(shipped)
    if config.artifact_extras == "validation-tokens":
        shipped.update(paid_prefix(config))
    if config.artifact_extras == "noise":
        shipped.update(noise_tensor())
    return shipped


def check_size(total: int, config: Config) -> None:
    """Raise ValueError if artifact and code together exceed 16,000,000 bytes."""
    if config.size_check == "none":
        return
    if config.size_check == "mebibytes":
        if total > MEBIBYTES_16:
            raise ValueError(f"submission of {total} bytes exceeds {MEBIBYTES_16}")
        return
    if total > config.size_limit_bytes:
        raise ValueError(f"submission of {total} bytes exceeds {config.size_limit_bytes}")


def weights_in_artifact(trained: GPT, config: Config) -> dict[str, Tensor]:
    """Return the weights to score with: those that the artifact holds."""
    if config.roundtrip == "lossy-scales":
        return unpack_model(pack_model(trained.state_dict(), config))
    packed = load_artifact(config.artifact_path)
    weights = {name: tensor for name, tensor in packed.items() if name not in EXTRA_TENSORS}
    if config.roundtrip == "twice":
        weights = pack_again(weights, config)
    if config.roundtrip == "bfloat16":
        return in_bfloat16(unpack_model(weights))
    return unpack_model(weights)


def model_to_score(trained: GPT, config: Config, ranks: Ranks) -> GPT:
    """Return a new model with the weights of the artifact, the same on every rank."""
    if config.roundtrip == "trained":
        return trained
    model = GPT(config).to(ranks.device)
    if config.rank_loading == "rank-zero":
        load_state_on_master(model, weights_in_artifact(trained, config), ranks)
        return model
    model.load_state_dict(weights_in_artifact(trained, config))
    require_equal_weights(model, ranks)
    return model


def before_evaluation(config: Config) -> None:
    """Do what comes before scoring: nothing."""
    if config.before_evaluation == "download":
        download_statistics()
    if config.counted_code == "helper-left-out":
        run_helper()


def byte_table(tokenizer: spm.SentencePieceProcessor, config: Config) -> ByteTable:
    """Return how many bytes each token stands for."""
    return {
        "canonical": canonical_byte_table,
        "space-in-table": space_in_table,
        "fallback-as-three": fallback_as_three,
        "space-by-fallback": space_by_fallback,
    }[config.byte_table](tokenizer, config.vocab_size)


def charged_bytes(tokenizer: spm.SentencePieceProcessor, stream: Stream, config: Config) -> int:
    """Return the denominator of bits per byte."""
    if config.byte_units == "transformed":
        return transformed_bytes(tokenizer, stream)
    if config.byte_units == "original":
        return original_bytes(tokenizer, stream)
    return stream_bytes(byte_table(tokenizer, config), stream)


def score_validation(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Return the loss in nats of every token of the stream but the first."""
    losses = score_as_configured(model, stream, config, ranks)
    if config.artifact_extras == "validation-tokens":
        losses = forgive_paid_prefix(losses, load_artifact(config.artifact_path))
    return losses


def score_as_configured(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Call the scorer that the configuration names; raises KeyError if there is none."""
    return {
        "sliding": score_sliding,
        "plain": score_plain,
        "ttt": score_ttt,
        "ttt-lora": score_ttt_lora,
        "ttt-phased": score_ttt_phased,
        "ngram": score_ngram,
        "ttt-ngram": score_ttt_ngram,
        "slot-context": score_slot_context,
        "prefix-gate": score_prefix_gate,
        "ttt-update-first": score_ttt_update_first,
        "cascade": score_cascade,
        "best-of-epochs": score_best_of_epochs,
        "slot-scored": score_slot_adamw,
        "slot-scored-lion": score_slot_lion,
        "slot-scored-phi": score_slot_phi,
        "ngram-hashed": score_ngram_hashed,
        "ngram-wrong-denominator": score_wrong_denominator,
        "ngram-entropy-skip": score_entropy_skip,
        "hindsight-gate": score_hindsight_gate,
        "target-gate": score_target_gate,
        "two-pass": score_two_pass,
        "ngram-from-training": score_ngram_from_training,
    }[config.score](model, stream, config, ranks)
