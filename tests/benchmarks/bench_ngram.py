"""Time and exactness of the exact n-gram, and the length of the arithmetic coder's file.

Usage: ``python tests/benchmarks/bench_ngram.py [--tokens N] [--growth docs/figures/ngram_growth.svg]``

The tokens are the standard library's own source text under a BPE of 8,192 pieces. The hashed mixer
is written as tightly as we could (one multiply and one xor per order, typed ``add.at``). CPU seconds
of one thread, best of several runs, since other work may share the machine. The dictionary form is too
slow for the whole stretch: it is compared with the exact mixer on the same first 100,000 tokens, where
its dictionaries are still small. ``--growth`` draws with
matplotlib, which ``pip install -c constraints.txt -e '.[figures]'`` brings.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from reference_model.cli import encode_sample
from reference_model.config import Config, tiny
from reference_model.corpus import clean_document, corpus_documents, train_tokenizer, write_dataset
from reference_model.dense_ngram import DenseNgram
from reference_model.exact_ngram import mix_exact, occurrence_ranks
from reference_model.hashed_ngram import mix_hashed
from reference_model.pipeline import run

VOCAB, ORDER, STRENGTH, BUCKETS = 8192, 22, 4.0, 1 << 22
DENSE_TOKENS, TIMED_EVERY, CODED_TOKENS, PERIOD = 100_000, 100, 8192, 20_000


def library_tokens(count: int, folder: Path) -> np.ndarray:
    """Return ``count`` tokens of library sources, in the order of their paths."""
    model = train_tokenizer(corpus_documents(), folder / "bpe", VOCAB)
    tokenizer = spm.SentencePieceProcessor(model_file=str(model))
    tokens: list[int] = []
    for root in (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"]):
        for path in sorted(Path(root).rglob("*.py")):
            tokens.append(1)
            tokens.extend(tokenizer.encode(clean_document(path.read_text(encoding="utf-8", errors="ignore"))))
            if len(tokens) >= count:
                return np.array(tokens[:count])
    return np.array(tokens)


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the least CPU time of several runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def time_exact(tokens: np.ndarray, repeats: int = 3) -> float:
    base = np.full(len(tokens) - 1, 1.0 / VOCAB)
    return cpu_seconds(lambda: mix_exact(tokens, base, ORDER, STRENGTH), repeats) / len(tokens)


def time_hashed(tokens: np.ndarray) -> float:
    base = np.full(len(tokens) - 1, 1.0 / VOCAB)
    return cpu_seconds(lambda: mix_hashed(tokens, base, ORDER, BUCKETS, STRENGTH), 2) / len(tokens)


def time_dense(tokens: np.ndarray) -> float:
    """Return seconds per token of the dictionary form.

    Every token is counted. The time per token is that of counting plus that of the dense distribution
    at every ``TIMED_EVERY``-th position of the whole stretch, for the number of contexts known, and
    with it the cost, grows along the text.
    """
    base, oracle = np.full(VOCAB, 1.0 / VOCAB), DenseNgram(VOCAB, ORDER, STRENGTH)
    counting, mixing, timed = 0.0, 0.0, 0
    for place, token in enumerate(tokens.tolist()):
        start = time.process_time()
        oracle.observe(token)
        counting += time.process_time() - start
        if place % TIMED_EVERY == 0:
            start = time.process_time()
            oracle.distribution(base)
            mixing += time.process_time() - start
            timed += 1
    return counting / len(tokens) + mixing / timed


def worst_sum(tokens: np.ndarray) -> float:
    """Return the largest error of the vocabulary's sum over all positions and all orders mixed.

    Each step of the recurrence adds to the sum what the followers of a context, the non-zero part of
    the vocabulary, hold in a dictionary that knows nothing of ranks, and divides by the count that the
    exact form divides by. The target's part of the sum is the exact form's own answer.
    """
    ranks = list(occurrence_ranks(tokens, ORDER - 1))
    fast = mix_exact(tokens, np.full(len(tokens) - 1, 1.0 / VOCAB), ORDER, STRENGTH)
    oracle, unigram, worst = DenseNgram(VOCAB, ORDER, STRENGTH), np.zeros(VOCAB), 0.0
    for place, (token, target) in enumerate(pairwise(tokens.tolist()), start=1):
        oracle.observe(token)
        unigram[token] += 1
        total = (unigram.sum() + STRENGTH) / (place + STRENGTH)
        own = (unigram[target] + STRENGTH / VOCAB) / (place + STRENGTH)
        for length, context in enumerate(oracle.contexts()[1:]):
            followers, seen = oracle.followers.get(context, {}), int(ranks[length][place])
            total = (sum(followers.values()) + STRENGTH * total) / (seen + STRENGTH)
            own = (followers.get(target, 0) + STRENGTH * own) / (seen + STRENGTH)
        worst = max(worst, abs(total - 1.0), abs(total - own + fast[place - 1] - 1.0))
    return worst


def peak_memory(tokens: np.ndarray) -> float:
    """Return the peak of traced memory in MB per million tokens, base and result included."""
    tracemalloc.start()
    mix_exact(tokens, np.full(len(tokens) - 1, 1.0 / VOCAB), ORDER, STRENGTH)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / len(tokens)


def coder_ratio(folder: Path) -> float:
    """Train a small model, compress validation text, decode it in a second process; file bits / claim."""
    torch.set_num_threads(1)
    data, tokenizer = write_dataset(corpus_documents(), folder, 1024)
    config = tiny(data_path=str(data), tokenizer_path=str(tokenizer), iterations=60, ttt_chunk_tokens=512)
    os.chdir(folder)
    run(config, code="")
    claimed = encode_sample(config, "sample.bin", "sample.txt", CODED_TOKENS)
    original = Path("sample.txt").read_bytes()
    Path("sample.txt").unlink()
    decode_elsewhere(config)
    if Path("decoded.txt").read_bytes() != original:
        raise AssertionError("the second process decoded another text")
    size = Path("sample.bin").stat().st_size
    print(f"coder: {len(original)} bytes of text, {claimed:.1f} bits claimed, {8 * size} bits in the file")
    return 8 * size / claimed


def decode_elsewhere(config: Config) -> None:
    """Decode in another process that has the artifact, the tokenizer and the file, but no data."""
    code = (
        "from reference_model.cli import decode_sample; from reference_model.config import tiny;"
        f"decode_sample(tiny(data_path='/nonexistent', tokenizer_path={config.tokenizer_path!r}, "
        "ttt_chunk_tokens=512), 'sample.bin', 'decoded.txt')"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def repeated_per_token(tokens: np.ndarray) -> float:
    """Return how many of the contexts of 1 .. ORDER - 1 tokens before a position occurred earlier."""
    return sum(int(np.count_nonzero(r)) for r in occurrence_ranks(tokens, ORDER - 1)) / len(tokens)


def plot_growth(tokens: np.ndarray, path: Path) -> None:
    """Draw seconds against tokens on logarithmic axes, and print the figures behind it.

    Longer texts repeat more of their contexts, and only what repeats costs time. The second line is
    the worst case, a text of one period in which every context repeats however few tokens there are.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    sizes = [n for n in (10**5, 3 * 10**5, 10**6, 3 * 10**6, 10**7) if n <= len(tokens)]
    texts = {"library sources": tokens, "every context repeats": np.resize(tokens[:PERIOD], len(tokens))}
    pyplot.rcParams["svg.hashsalt"] = "growth"
    figure, axes = pyplot.subplots(figsize=(5, 3.2))
    for (name, text), marker in zip(texts.items(), ("o-", "s-"), strict=True):
        seconds = [time_exact(text[:n], repeats=3 if n < 10**6 else 1) * n for n in sizes]
        for n, spent in zip(sizes, seconds, strict=True):
            repeated = repeated_per_token(text[:n])
            print(f"growth: {name}, {n} tokens, {1e6 * spent / n:.3f} us per token, {repeated:.2f} repeated")
        exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        print(f"growth: {name}, seconds ~ tokens ^ {exponent:.3f}", flush=True)
        axes.loglog(sizes, seconds, marker, label=name)
        axes.loglog(sizes, [seconds[0] * n / sizes[0] for n in sizes], ":", color="grey")
    axes.set(xlabel="tokens (dotted: linear)", ylabel="CPU seconds, order 22")
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--growth", type=Path)
    options = parser.parse_args()
    growth = options.growth.resolve() if options.growth else None
    with tempfile.TemporaryDirectory() as folder:
        tokens = library_tokens(max(options.tokens, 10**7 if growth else 0), Path(folder))
        if growth:
            plot_growth(tokens, growth)
        tokens = tokens[: options.tokens]
        exact, hashed = time_exact(tokens), time_hashed(tokens)
        dense, error = time_dense(tokens[:DENSE_TOKENS]), worst_sum(tokens[:DENSE_TOKENS])
        same = time_exact(tokens[:DENSE_TOKENS])
        memory = peak_memory(tokens)
        ratio = coder_ratio(Path(folder))
    print(f"{len(tokens)} tokens, vocabulary {VOCAB}, order {ORDER}")
    print(f"us per token: exact {1e6 * exact:.3f}, hashed {1e6 * hashed:.3f}, dictionaries {1e6 * dense:.1f}")
    print(f"exact on the {DENSE_TOKENS} tokens that the dictionaries counted: {1e6 * same:.3f} us per token")
    print(f"sums checked at every one of {DENSE_TOKENS - 1} positions")
    print(f"memory of exact: {memory:.0f} MB per million tokens")
    print(f"ngram_time_ratio_vs_hashed: {exact / hashed:.4f}")
    print(f"ngram_speedup_vs_dict: {dense / same:.1f}")
    print(f"ngram_max_abs_sum_error: {error:.3e}")
    print(f"coder_bits_over_claim: {ratio:.6f}")


if __name__ == "__main__":
    main()
