"""Offences of n-gram caches: hashed target lookups, gates that know the truth, second passes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import sentencepiece as spm
from torch import Tensor

from reference_model.config import Config
from reference_model.data import training_stream
from reference_model.evaluate import Losses
from reference_model.exact_ngram import Probabilities, mix_exact, occurrence_ranks
from reference_model.hashed_ngram import HashedNgram, mix_hashed
from reference_model.model import GPT
from reference_model.ngram_eval import neural_view
from reference_model.ranks import Ranks
from reference_model.tokens import SPACE_MARK

FIXED_SHARE = 0.3
SURE_RATIO = 0.8
UNSURE_ENTROPY = 1.5  # nats
WORD_SHARE = 0.1
INNER_SHARE = 0.5


def score_ngram_hashed(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Look the target up in hashed counts and renormalize nothing."""
    base = neural_view(model, stream, config, ranks).target
    tokens = stream.cpu().numpy()
    chunk = config.ttt_chunk_tokens
    mixed = mix_hashed(tokens, base, config.ngram_order, config.ngram_buckets, config.ngram_strength, chunk)
    return -np.log(mixed)


def score_wrong_denominator(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Take hashed count / context count of the longest context as a probability (#978 on #972)."""
    base = neural_view(model, stream, config, ranks).target
    return -np.log(share_with_ratio(base, hashed_ratio(stream.cpu().numpy(), config)))


def score_entropy_skip(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Leave the network out where it is unsure and the target's own ratio is high (v7 of #1246).

    The gate looks at what the target gets: the same position is mixed for most of the vocabulary and
    counted alone for the favoured, so no distribution stands behind it.
    """
    view = neural_view(model, stream, config, ranks)
    ratio = hashed_ratio(stream.cpu().numpy(), config)
    alone = (ratio > SURE_RATIO) & (view.entropy > UNSURE_ENTROPY)
    return -np.log(np.where(alone, ratio, share_with_ratio(view.target, ratio)))


def share_with_ratio(base: Probabilities, ratio: Probabilities) -> Probabilities:
    """Give a fixed share to the ratio where there is one."""
    return np.where(ratio >= 0, (1 - FIXED_SHARE) * base + FIXED_SHARE * ratio, base)


def hashed_ratio(tokens: npt.NDArray[np.int64], config: Config) -> Probabilities:
    """Return hashed count / context count of each token but the first, -1 without a known context."""
    mixer = HashedNgram(config.ngram_order, config.ngram_buckets, strength=0.0)
    ratio = np.empty(len(tokens) - 1)
    for start in range(1, len(tokens), config.ttt_chunk_tokens):
        stop = min(start + config.ttt_chunk_tokens, len(tokens))
        ratio[start - 1 : stop - 1] = longest_ratio(mixer, tokens, start, stop)
        mixer.update(tokens, start, stop)
    return ratio


def longest_ratio(
    mixer: HashedNgram, tokens: npt.NDArray[np.int64], start: int, stop: int
) -> npt.NDArray[np.float64]:
    """Return the target's count over the context's count for the longest known context, -1 if none."""
    ratio = np.full(stop - start, -1.0)
    for k, (context_cell, full_key) in enumerate(mixer.keys(tokens, start, stop, tokens[start:stop])):
        context = mixer.context_counts[k][context_cell].astype(np.float64)
        full = mixer.target_counts[k][full_key].astype(np.float64)
        known = context >= 2
        ratio[known] = np.minimum(full, context)[known] / context[known]
    return ratio


def counted_alone(tokens: npt.NDArray[np.int64], config: Config) -> npt.NDArray[np.float64]:
    """Return the n-gram model's own probability of each target, from a uniform base."""
    uniform = np.full(len(tokens) - 1, 1.0 / config.vocab_size)
    return mix_exact(tokens, uniform, config.ngram_order, config.ngram_strength)


def score_hindsight_gate(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Charge each token the smaller of two experts' losses on it."""
    neural = -np.log(neural_view(model, stream, config, ranks).target)
    counted = -np.log(counted_alone(stream.cpu().numpy(), config))
    return np.minimum(neural, counted)


def begins_word(config: Config) -> npt.NDArray[np.bool_]:
    """Return for each token id whether its piece begins with a space."""
    tokenizer = spm.SentencePieceProcessor(model_file=config.tokenizer_path)
    pieces = (tokenizer.id_to_piece(token) for token in range(config.vocab_size))
    return np.array([piece.startswith(SPACE_MARK) for piece in pieces])


def score_target_gate(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Weigh the experts by whether the target itself begins a word."""
    neural = neural_view(model, stream, config, ranks).target
    tokens = stream.cpu().numpy()
    share = np.where(begins_word(config)[tokens[1:]], WORD_SHARE, INNER_SHARE)
    return -np.log((1 - share) * neural + share * counted_alone(tokens, config))


def score_prefix_gate(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """The honest twin: weigh the experts by whether the token before begins a word."""
    neural = neural_view(model, stream, config, ranks).target
    tokens = stream.cpu().numpy()
    share = np.where(begins_word(config)[tokens[:-1]], WORD_SHARE, INNER_SHARE)
    return -np.log((1 - share) * neural + share * counted_alone(tokens, config))


def score_two_pass(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Count the whole stream first, then charge all of it with the full counts."""
    mixed = neural_view(model, stream, config, ranks).target.copy()
    tokens = stream.cpu().numpy()
    totals = [totals_of(ranks_k) for ranks_k in final_counts(tokens, config.ngram_order)]
    for context, pair in pairwise(totals):
        n, m = context[1:-1], pair[2:]
        mixed = (m + config.ngram_strength * mixed) / (n + config.ngram_strength)
    return -np.log(mixed)


def final_counts(
    tokens: npt.NDArray[np.int64], order: int
) -> list[tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]]:
    """Return per length (occurrences to the left, occurrences to the right) of the k-gram before t."""
    left = occurrence_ranks(tokens, order)
    right = [np.zeros(len(tokens) + 1, dtype=np.uint32) for _ in range(order)]
    for k, ranks_k in enumerate(occurrence_ranks(tokens[::-1].copy(), order), start=1):
        right[k - 1][k:] = ranks_k[::-1][: len(tokens) + 1 - k]
    return list(zip(left, right, strict=True))


def totals_of(sides: tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]) -> npt.NDArray[np.float64]:
    """Return how often each k-gram occurs in the whole stream, itself included."""
    return sides[0].astype(np.float64) + sides[1] + 1.0


def score_ngram_from_training(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Count the training shards, which are not part of the artifact, before charging validation."""
    base = neural_view(model, stream, config, ranks).target
    known = training_stream(config.data_path)
    tokens = np.concatenate((known, stream.cpu().numpy()))
    joined = np.concatenate((np.ones(len(known)), base))
    mixed = mix_exact(tokens, joined, config.ngram_order, config.ngram_strength)
    return -np.log(mixed[len(known) :])
