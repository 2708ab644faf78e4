"""The small default against gzip and order-5 n-grams on held-out text, in bits per byte.

Usage: ``python tests/benchmarks/bench_train.py [--baseline CLONE]``

Trains the default configuration on the default corpus with one thread per core (``make bench-train``
sets two) and prints what it took; on a machine with other work ``MAX_WALLCLOCK_SECONDS=0`` leaves the
steps as the only budget, and the CPU seconds tell the cost. ``order5_*_learning`` are n-grams with
every advantage we know: they learn from training and from validation text as they go, with the best
of several strengths chosen in hindsight. ``order5_*_frozen`` have seen the training text alone, as the
network has. ``--baseline`` names a clone of the challenge's repository, whose own script is then run in
the sandbox on the same shards, over as many training tokens as ours saw (also where the clock stopped
it) and with as many parameters. It scores in windows that do not overlap, so the figure to hold
``challenge_baseline_bpb`` against is ``reference_plain_bpb``. Both are of the int8 roundtrip.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import lzma
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from challenge_baseline import run_baseline

from reference_model.config import DEFAULT, Config, config_from_env
from reference_model.corpus import corpus_documents, split_documents, write_default_dataset
from reference_model.data import training_stream, validation_stream
from reference_model.evaluate import summarize
from reference_model.exact_ngram import mix_exact
from reference_model.model import GPT
from reference_model.pipeline import run
from reference_model.ranks import Ranks
from reference_model.stages import model_to_score, score_validation

ORDER = 5
STRENGTHS = (2.0, 4.0, 8.0, 12.0, 16.0, 32.0)


def held_out_bytes() -> tuple[bytes, bytes]:
    """Return (training, validation) text, documents joined by an empty line."""
    training, validation = split_documents(corpus_documents())
    return "\n\n".join(training).encode(), "\n\n".join(validation).encode()


def learning_bits(tokens: np.ndarray, symbols: int, scored: int) -> float:
    """Return the bits that the best order-5 model, which counts on, charges the last ``scored`` tokens."""
    base = np.full(len(tokens) - 1, 1.0 / symbols)
    charged = (-np.log2(mix_exact(tokens, base, ORDER, s))[-scored:].sum() for s in STRENGTHS)
    return float(min(charged))


def frozen_bits(tokens: np.ndarray, symbols: int, scored: int) -> float:
    """Return the bits of the best order-5 model whose counts stop where the last ``scored`` begin."""
    text = tokens.tolist()
    first = len(text) - scored
    counts: Counter[tuple[int, ...]] = Counter()
    for length in range(1, ORDER + 1):
        counts.update(zip(*(text[i : first - length + 1 + i] for i in range(length)), strict=True))
    mixed = np.full((len(STRENGTHS), scored), 1.0 / symbols)
    strengths = np.array(STRENGTHS)[:, None]
    for length in range(ORDER):
        grams = [tuple(text[t - length : t + 1]) for t in range(first, len(text))]
        pair = np.array([counts[gram] for gram in grams])
        seen = np.array([counts[gram[:-1]] if length else first for gram in grams])
        rows = seen > 0
        mixed[:, rows] = (pair[rows] + strengths * mixed[:, rows]) / (seen[rows] + strengths)
    return float((-np.log2(mixed)).sum(axis=1).min())


def print_rivals(config: Config, size: int) -> None:
    """Print the bits per byte of gzip, xz and the n-grams on the same validation text."""
    training, validation = held_out_bytes()
    print(f"gzip_bpb: {8 * len(gzip.compress(validation, 9)) / len(validation):.4f}")
    print(f"xz_bpb: {8 * len(lzma.compress(validation, preset=9)) / len(validation):.4f}")
    letters = np.frombuffer(training + validation, dtype=np.uint8).astype(np.int64)
    held_out = validation_stream(config.data_path)
    tokens = np.concatenate((training_stream(config.data_path), held_out))
    rivals = (
        ("bytes", letters, 256, len(validation)),
        ("tokens", tokens, config.vocab_size, len(held_out) - 1),
    )
    for name, text, symbols, scored in rivals:
        total = len(validation) if name == "bytes" else size
        print(f"order5_{name}_frozen_bpb: {frozen_bits(text, symbols, scored) / total:.4f}", flush=True)
        print(f"order5_{name}_learning_bpb: {learning_bits(text, symbols, scored) / total:.4f}", flush=True)


def score_again(config: Config, size: int, **changes: Any) -> float:
    """Return bits per byte of the same artifact under another legal way of scoring."""
    config = dataclasses.replace(config, **changes)
    alone = Ranks(0, 1, torch.device("cpu"))
    model = model_to_score(GPT(config), config, alone)
    stream = torch.from_numpy(validation_stream(config.data_path))
    return summarize(score_validation(model, stream, config, alone), size).val_bpb


def steps_made(config: Config) -> int:
    """Return how many steps the run that just ended made: all, unless its log says the clock ran out."""
    log = Path("logs", f"{config.run_id}.txt").read_text(encoding="utf-8")
    stopped = re.search(r"^stopping_early: .*\bstep:(\d+)/", log, re.M)
    return int(stopped[1]) if stopped else config.iterations


def print_baseline(clone: Path, config: Config) -> None:
    """Print what the challenge's script makes of the same data, tokens and number of parameters."""
    parameters, steps = sum(p.numel() for p in GPT(config).parameters()), steps_made(config)
    theirs = run_baseline(clone, dataclasses.replace(config, iterations=steps), parameters)
    print(f"training_tokens_of_each: {steps * config.train_batch_tokens}")
    print(f"reference_parameters: {parameters}\nchallenge_baseline_parameters: {theirs.parameters}")
    print(f"reference_model_bytes: {Path(config.artifact_path).stat().st_size}")
    print(f"challenge_baseline_model_bytes: {theirs.model_bytes}")
    print(f"challenge_baseline_wall_seconds: {theirs.wall_seconds:.0f}")
    print(f"challenge_baseline_cpu_seconds: {theirs.cpu_seconds:.0f}")
    print(f"challenge_baseline_bpb: {theirs.val_bpb:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--baseline", type=Path)
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    clone = options.baseline.resolve() if options.baseline else None
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
        print(f"reference_bpb: {score.val_bpb:.4f}")
        print(f"reference_plain_bpb: {score_again(config, score.bytes, score='plain'):.4f}")
        if clone:
            print_baseline(clone, config)
        print_rivals(config, score.bytes)
        for name in ("ngram", "ttt", "ttt-ngram"):
            print(f"reference_{name}_bpb: {score_again(config, score.bytes, score=name):.4f}")


if __name__ == "__main__":
    main()
