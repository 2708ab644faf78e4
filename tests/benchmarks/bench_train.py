"""The small default against gzip and order-5 n-grams on held-out text, in bits per byte.

Usage: ``python tests/benchmarks/bench_train.py [--baseline train_gpt.py]``

Trains the default configuration on the default corpus with one thread per core and prints what it
took. The n-grams are given every advantage we know: they learn from training and validation text as
they go, with the best of several strengths chosen in hindsight. ``--baseline`` names the challenge's
own script, which is then run on the same shards with the same budget of tokens (it needs a GPU).
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import lzma
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from reference_model.config import DEFAULT, Config, config_from_env
from reference_model.corpus import corpus_documents, split_documents, write_default_dataset
from reference_model.data import training_stream, validation_stream
from reference_model.evaluate import summarize
from reference_model.exact_ngram import mix_exact
from reference_model.model import GPT
from reference_model.pipeline import run
from reference_model.ranks import Ranks
from reference_model.stages import model_to_score, score_validation

STRENGTHS = (0.5, 1.0, 2.0, 4.0)


def held_out_bytes() -> tuple[bytes, bytes]:
    """Return (training, validation) text, documents joined by an empty line."""
    training, validation = split_documents(corpus_documents())
    return "\n\n".join(training).encode(), "\n\n".join(validation).encode()


def ngram_bits(tokens: np.ndarray, symbols: int, scored: int, order: int) -> float:
    """Return the bits that the best order-n model charges for the last ``scored`` tokens."""
    base = np.full(len(tokens) - 1, 1.0 / symbols)
    charged = (-np.log2(mix_exact(tokens, base, order, s))[-scored:].sum() for s in STRENGTHS)
    return float(min(charged))


def print_rivals(config: Config, size: int) -> None:
    """Print the bits per byte of gzip, xz and the n-grams on the same validation text."""
    training, validation = held_out_bytes()
    print(f"gzip_bpb: {8 * len(gzip.compress(validation, 9)) / len(validation):.4f}")
    print(f"xz_bpb: {8 * len(lzma.compress(validation, preset=9)) / len(validation):.4f}")
    letters = np.frombuffer(training + validation, dtype=np.uint8).astype(np.int64)
    bits = ngram_bits(letters, 256, len(validation), 5)
    print(f"order5_bytes_bpb: {bits / len(validation):.4f}")
    tokens = np.concatenate((training_stream(config.data_path), validation_stream(config.data_path)))
    scored = len(validation_stream(config.data_path)) - 1
    print(f"order5_tokens_bpb: {ngram_bits(tokens, config.vocab_size, scored, 5) / size:.4f}")


def mixed_score(config: Config, size: int) -> float:
    """Return bits per byte of the same artifact with exact n-gram counts mixed in while scoring."""
    config = dataclasses.replace(config, score="ngram")
    alone = Ranks(0, 1, torch.device("cpu"))
    model = model_to_score(GPT(config), config, alone)
    stream = torch.from_numpy(validation_stream(config.data_path))
    return summarize(score_validation(model, stream, config, alone), size).val_bpb


def run_baseline(script: Path, config: Config) -> None:
    """Run the challenge's own script with the same data and as many training tokens."""
    env = {
        **os.environ,
        "DATA_PATH": str(Path(config.data_path).resolve()),
        "TOKENIZER_PATH": str(Path(config.tokenizer_path).resolve()),
        "ITERATIONS": str(config.iterations),
        "TRAIN_BATCH_TOKENS": str(config.train_batch_tokens * 8),
        "TRAIN_SEQ_LEN": str(config.train_seq_len),
        "VOCAB_SIZE": str(config.vocab_size),
        "MODEL_DIM": str(config.model_dim),
        "NUM_LAYERS": str(config.num_layers),
        "VAL_LOSS_EVERY": "0",
    }
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, check=False)
    last = [line for line in done.stdout.splitlines() if "roundtrip_exact" in line]
    print(f"challenge_baseline: {last[-1] if last else 'did not finish: ' + done.stderr[-300:]}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--baseline", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, tokenizer = write_default_dataset(Path(folder))
        os.chdir(folder)
        config = config_from_env(
            base=dataclasses.replace(DEFAULT, data_path=str(data), tokenizer_path=str(tokenizer))
        )
        wall, cpu = time.perf_counter(), time.process_time()
        score = run(config, code="")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"wall_seconds: {wall:.0f}\ncpu_seconds: {cpu:.0f}\nthreads: {torch.get_num_threads()}")
        print_rivals(config, score.bytes)
        if options.baseline:
            run_baseline(options.baseline, config)
        print(f"reference_with_ngram_bpb: {mixed_score(config, score.bytes):.4f}")
    print(f"reference_bpb: {score.val_bpb:.4f}")


if __name__ == "__main__":
    main()
