"""The whole run, top to bottom: train, quantize, write, load back, evaluate what was loaded, report.

Prints the log lines of the challenge's own scripts, because reviewers and tools read those.
"""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sentencepiece as spm
import torch
import torch.distributed as dist
from torch import Tensor

from reference_model.artifact import save_artifact
from reference_model.config import Config, config_from_env
from reference_model.evaluate import Score, score_plain, summarize
from reference_model.gptq import gptq_rounders, hessians_from
from reference_model.model import GPT
from reference_model.prune import prune_to_fit
from reference_model.quantize import Packed, pack_model
from reference_model.ranks import Ranks, joined_ranks, require_equal_weights
from reference_model.stages import (
    before_evaluation,
    before_quantization,
    calibration_tokens,
    charged_bytes,
    check_size,
    model_to_score,
    score_validation,
    training_tokens,
    validation_tokens,
    what_to_ship,
)
from reference_model.tokens import decoded_byte_count
from reference_model.train import Log, Trainer, accumulated_parts

RULE = "=" * 100


def open_log(config: Config, ranks: Ranks, code: str) -> Log:
    """Return a function that prints a line and appends it to ``logs/<run_id>.txt``; master only."""
    path = Path("logs") / f"{config.run_id}.txt"

    def log(message: str) -> None:
        if ranks.is_master:
            print(message, flush=True)
            with path.open("a", encoding="utf-8") as file:
                print(message, file=file)

    if ranks.is_master:
        path.parent.mkdir(exist_ok=True)
        header = [
            code,
            RULE,
            f"Running Python {sys.version}",
            f"Running PyTorch {torch.__version__}",
            describe_machine(),
            RULE,
        ]
        path.write_text("\n".join(header) + "\n", encoding="utf-8")
    return log


def describe_machine() -> str:
    """Return what ``nvidia-smi`` says, or that there is no GPU."""
    try:
        return subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return "no GPU: running on the CPU"


def log_setup(config: Config, ranks: Ranks, scored: int, log: Log) -> None:
    """Log where the data come from and how the run is set up."""
    shards = len(glob.glob(os.path.join(config.data_path, "fineweb_train_*.bin")))
    pattern = os.path.join(config.data_path, "fineweb_val_*.bin")
    log(f"val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path={config.tokenizer_path}")
    log(f"train_loader:dataset:{Path(config.data_path).name} train_shards:{shards}")
    log(f"val_loader:shards pattern={pattern} tokens:{scored}")
    log(f"world_size:{ranks.world_size} grad_accum_steps:{accumulated_parts(config, ranks)}")
    log(f"attention_mode:gqa num_heads:{config.num_heads} num_kv_heads:{config.num_kv_heads}")
    log(
        f"train_batch_tokens:{config.train_batch_tokens} train_seq_len:{config.train_seq_len} "
        f"iterations:{config.iterations} warmup_steps:{config.warmup_steps} "
        f"max_wallclock_seconds:{config.max_wallclock_seconds:.3f}"
    )
    log(f"seed:{config.seed}")


def quantize_model(model: GPT, config: Config) -> dict[str, Packed]:
    """Return the packed weights, rounded with GPTQ where configured, pruned to fit where asked."""
    rounders = None
    if config.gptq:
        rounders = gptq_rounders(hessians_from(model, calibration_tokens(model, config)))
    packed = pack_model(model.state_dict(), config, rounders)
    if config.prune_to_bytes > 0:
        packed = prune_to_fit(packed, config.prune_to_bytes, config.compressor)
    return packed


def write_submission(model: GPT, config: Config, ranks: Ranks, code: str, log: Log) -> None:
    """Write the artifact and log every byte that is shipped; raises ValueError beyond the limit."""
    if ranks.is_master:
        shipped = what_to_ship(quantize_model(model, config), config)
        size = save_artifact(shipped, config.artifact_path, config.compressor)
        label = f"{config.quantization}+{config.compressor}"
        code_bytes = len(code.encode("utf-8"))
        log(f"Serialized model {label}: {size} bytes")
        log(f"Code size: {code_bytes} bytes")
        log(f"Total submission size {label}: {size + code_bytes} bytes")
        check_size(size + code_bytes, config)
    if ranks.world_size > 1:
        dist.barrier()


def count_bytes(config: Config, stream: npt.NDArray[np.int64], log: Log) -> int:
    """Return the bytes of the scored tokens; log them next to what decoding the tokens gives.

    The two agree on every text whose pieces have no space inside; on a stream that is not the
    encoding of a text (noise, say) they may differ, which is worth a line but no refusal.
    """
    tokenizer = spm.SentencePieceProcessor(model_file=config.tokenizer_path)
    if int(tokenizer.vocab_size()) != config.vocab_size:
        raise ValueError(f"VOCAB_SIZE={config.vocab_size} but the tokenizer has {tokenizer.vocab_size()}")
    by_table = charged_bytes(tokenizer, stream, config)
    decoded = decoded_byte_count(tokenizer, stream) - decoded_byte_count(tokenizer, stream[:1])
    log(f"bytes_by_table:{by_table} bytes_by_decoding:{decoded}")
    return by_table


def evaluate_artifact(trained: GPT, config: Config, ranks: Ranks, stream: Tensor, size: int) -> Score:
    """Load the artifact and score the validation stream, of ``size`` bytes, with it."""
    before_evaluation(config)
    model = model_to_score(trained, config, ranks)
    return summarize(score_validation(model, stream, config, ranks), size)


def run(config: Config, code: str) -> Score:
    """Run everything, on all ranks that there are; return the score that the log reports."""
    with joined_ranks() as ranks:
        return run_on(ranks, config, code)


def run_on(ranks: Ranks, config: Config, code: str) -> Score:
    """Do this rank's share of the whole run."""
    log = open_log(config, ranks, code)
    tokens = validation_tokens(config)
    stream = torch.from_numpy(tokens).to(ranks.device)
    log_setup(config, ranks, len(tokens) - 1, log)
    size = count_bytes(config, tokens, log)
    model = GPT(config) if config.eval_only else train_and_ship(ranks, config, code, stream, size, log)
    started = time.perf_counter()
    score = evaluate_artifact(model, config, ranks, stream, size)
    log_final(score, config, 1000.0 * (time.perf_counter() - started), log)
    return score


def train_and_ship(ranks: Ranks, config: Config, code: str, stream: Tensor, size: int, log: Log) -> GPT:
    """Train, log the trained model's score, write the artifact; return the trained model."""
    trainer = Trainer(config, ranks, training_tokens(config))
    log(f"model_params:{sum(p.numel() for p in trainer.model.parameters())}")
    model = trainer.run(log)
    require_equal_weights(model, ranks)
    log_trained(summarize(score_plain(model, stream, config, ranks), size), log)
    before_quantization(model, config, ranks)
    write_submission(model, config, ranks, code, log)
    return model


def log_trained(score: Score, log: Log) -> None:
    """Log the trained model's plain score, for comparison with what the artifact will get."""
    log(f"trained_model val_loss:{score.val_loss:.4f} val_bpb:{score.val_bpb:.4f}")


def log_final(score: Score, config: Config, milliseconds: float, log: Log) -> None:
    """Log the score of the artifact in the challenge's words."""
    label = f"final_{config.quantization}_{config.compressor}_roundtrip"
    log(f"scored_tokens:{score.tokens} scored_bytes:{score.bytes} score:{config.score}")
    log(f"{label} val_loss:{score.val_loss:.4f} val_bpb:{score.val_bpb:.4f} eval_time:{milliseconds:.0f}ms")
    log(f"{label}_exact val_loss:{score.val_loss:.8f} val_bpb:{score.val_bpb:.8f}")


def main() -> None:
    """Run with the configuration that the environment gives."""
    run(config_from_env(), Path(__file__).read_text(encoding="utf-8"))
