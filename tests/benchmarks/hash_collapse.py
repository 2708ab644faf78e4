"""Draw docs/figures/hash_collapse.svg: bits per byte against buckets, next to the vocabulary sum Z.

Usage: ``python tests/benchmarks/hash_collapse.py [--tokens 200000] [--out docs/figures/hash_collapse.svg]``

The tokens are the default corpus under a BPE of 1,024 pieces, the base is uniform, so that all that
falls below the exact model's line comes from collisions. Z is the mean, over sampled late positions,
of the sum over the whole vocabulary of what the hashed mixer calls a probability; a code has Z = 1.
Draws with matplotlib, which ``pip install -c constraints.txt -e '.[figures]'`` brings.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import sentencepiece as spm

sys.path.insert(0, str(Path(__file__).parents[2]))

from reference_model.corpus import write_default_dataset
from reference_model.data import training_stream
from reference_model.evaluate import stream_bytes
from reference_model.exact_ngram import mix_exact
from reference_model.hashed_ngram import HashedNgram, mix_hashed
from reference_model.tokens import canonical_byte_table

VOCAB, ORDER, STRENGTH, SAMPLES, CHUNK = 1024, 7, 4.0, 64, 4096


def bits_per_byte(probabilities: np.ndarray, size: int) -> float:
    return float(-np.log2(probabilities).sum() / size)


def vocabulary_sum(tokens: np.ndarray, buckets: int) -> float:
    """Return the mean Z over positions sampled from the last tenth, counts of all before in place."""
    mixer = HashedNgram(ORDER, buckets, STRENGTH)
    first = len(tokens) * 9 // 10
    mixer.update(tokens, 1, first)
    places = np.random.default_rng(0).choice(np.arange(first - 1000, first), SAMPLES, replace=False)
    base = np.full(VOCAB, 1.0 / VOCAB)
    return float(np.mean([mixer.vocabulary(tokens, base, int(place)).sum() for place in places]))


def measure(tokens: np.ndarray, size: int, exponents: list[int]) -> list[tuple[int, float, float]]:
    """Return (log2 of buckets, bits per byte, Z) for each table size."""
    base = np.full(len(tokens) - 1, 1.0 / VOCAB)
    rows = []
    for exponent in exponents:
        mixed = mix_hashed(tokens, base, ORDER, 1 << exponent, STRENGTH, CHUNK)
        rows.append((exponent, bits_per_byte(mixed, size), vocabulary_sum(tokens, 1 << exponent)))
        print(f"buckets 2^{exponent}: {rows[-1][1]:.4f} bits per byte, Z {rows[-1][2]:.3f}", flush=True)
    return rows


def draw(rows: list[tuple[int, float, float]], exact: float, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "collapse"
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3.2))
    exponents = [row[0] for row in rows]
    left.plot(exponents, [row[1] for row in rows], "o-", label="hashed, target only")
    left.axhline(exact, linestyle=":", color="black", label="exact counts")
    left.set(xlabel="log2 of buckets", ylabel="bits per byte charged")
    left.legend()
    right.semilogy(exponents, [row[2] for row in rows], "o-", color="tab:red")
    right.axhline(1.0, linestyle=":", color="black")
    right.set(xlabel="log2 of buckets", ylabel="Z: sum over the vocabulary")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/hash_collapse.svg"))
    parser.add_argument("--data", type=Path, help="where a default data set is kept; made anew if missing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, tokenizer = write_default_dataset(options.data or Path(folder), VOCAB)
        tokens = training_stream(str(data))[: options.tokens]
        table = canonical_byte_table(spm.SentencePieceProcessor(model_file=str(tokenizer)), VOCAB)
    size = stream_bytes(table, tokens)
    exact = bits_per_byte(mix_exact(tokens, np.full(len(tokens) - 1, 1.0 / VOCAB), ORDER, STRENGTH), size)
    print(f"exact: {exact:.4f} bits per byte")
    draw(measure(tokens, size, list(range(12, 23))), exact, options.out)


if __name__ == "__main__":
    main()
