"""Closing the argument: the scorer as a compressor, and its decompressor in another process.

:class:`Scorer` is the contract for those who cooperate with an audit: ``reset``, ``distribution``,
``observe``, as ``harness.cooperate`` asks for. It holds the network from the artifact, trains it on
what was observed (score-first TTT), and mixes in exact n-gram counts. Whoever has the artifact alone
can decode what it encoded.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from reference_model.coder import ArithmeticDecoder, ArithmeticEncoder, cumulative_frequencies
from reference_model.config import Config
from reference_model.dense_ngram import DenseNgram
from reference_model.layers import BOS_TOKEN
from reference_model.model import GPT
from reference_model.ttt import adapt, training_rows


class Scorer:
    """Predicts one token at a time from the artifact and the tokens observed so far."""

    def __init__(self, model: GPT, config: Config) -> None:
        self.original, self.config = model.eval(), config
        self.reset()

    def reset(self) -> None:
        """Forget everything observed and learned."""
        self.model = copy.deepcopy(self.original)
        self.tokens: list[int] = []
        self.counts = DenseNgram(
            self.config.vocab_size,
            self.config.ngram_order,
            self.config.ngram_strength,
            self.config.ngram_shortest,
        )

    def distribution(self, prefix: Sequence[int] | None = None) -> npt.NDArray[np.float64]:
        """Return the distribution of the next token, (V,), from what was observed alone.

        ``prefix`` is for callers who keep the tokens themselves; raises ValueError if it is not what
        was observed.
        """
        if prefix is not None and list(prefix) != self.tokens:
            raise ValueError(f"a prefix of {len(prefix)} tokens is not the {len(self.tokens)} observed")
        neural = self.neural_distribution()
        entropy = None
        if self.config.ngram_weight != "count":
            entropy = -float((neural * np.log(neural)).sum())
        return self.counts.distribution(neural, entropy)

    @torch.no_grad()
    def neural_distribution(self) -> npt.NDArray[np.float64]:
        """Return the network's own distribution; before any token it has seen a bare BOS."""
        context = self.context()
        logits = self.model(torch.tensor([context]))[0, -1]
        probabilities: npt.NDArray[np.float64] = logits.double().softmax(dim=-1).numpy()
        return probabilities

    def context(self) -> list[int]:
        """Return the tokens since a fixed grid point, so that contexts grow from half to full length."""
        half = max(self.config.train_seq_len // 2, 1)
        first = max((len(self.tokens) // half - 1) * half, 0)
        return self.tokens[first:] or [BOS_TOKEN]

    def observe(self, token: int) -> None:
        """Take in a token that was charged; at the end of a chunk, learn from the chunk."""
        self.tokens.append(token)
        self.counts.observe(token)
        chunk = self.config.ttt_chunk_tokens
        if self.config.ttt_epochs > 0 and len(self.tokens) % chunk == 0:
            learned = torch.tensor(self.tokens[-chunk:])
            pairs = list(training_rows(learned, 0, len(learned) - 1, self.config.train_seq_len))
            adapt(self.model, self.model.parameters(), pairs, self.config.ttt_lr, self.config.ttt_epochs)


def compress_tokens(scorer: Scorer, tokens: npt.NDArray[np.int64]) -> tuple[bytes, float]:
    """Return the file that stands for ``tokens`` and the bits that the scorer claims for them."""
    scorer.reset()
    encoder, claimed = ArithmeticEncoder(), 0.0
    for token in tokens.tolist():
        distribution = scorer.distribution()
        cumulative = cumulative_frequencies(distribution)
        encoder.encode(int(cumulative[token]), int(cumulative[token + 1]))
        claimed -= math.log2(float(distribution[token]))
        scorer.observe(token)
    return encode_count(len(tokens)) + encoder.finish(), claimed


def encode_count(count: int) -> bytes:
    """Return a count in as many bytes as it needs: seven bits each, the top bit says that more follow."""
    groups = [count >> shift & 0x7F for shift in range(0, max(count.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def decode_count(data: bytes) -> tuple[int, int]:
    """Return the count at the beginning of ``data`` and the number of bytes it took."""
    count, used = 0, 0
    while True:
        count |= (data[used] & 0x7F) << 7 * used
        used += 1
        if data[used - 1] < 0x80:
            return count, used


def decompress_tokens(scorer: Scorer, data: bytes) -> npt.NDArray[np.int64]:
    """Return the tokens behind a file that :func:`compress_tokens` wrote with an equal scorer."""
    scorer.reset()
    count, used = decode_count(data)
    decoder = ArithmeticDecoder(data[used:])
    for _ in range(count):
        scorer.observe(decoder.decode(cumulative_frequencies(scorer.distribution())))
    return np.array(scorer.tokens, dtype=np.int64)
