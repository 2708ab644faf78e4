"""The same n-gram mixture token by token: dictionaries of counts and a dense vector of the vocabulary.

Slow and plain: the oracle of :mod:`reference_model.exact_ngram`, the full distribution on demand, and
the form that a decoder, who does not know the future, can run.
"""

from __future__ import annotations

import numpy as np

from reference_model.exact_ngram import Probabilities, strengths

Followers = dict[int, int]


class DenseNgram:
    """Counts of every context up to ``order - 1`` tokens, updated one token at a time."""

    def __init__(self, vocab_size: int, order: int, strength: float, shortest: int = 0) -> None:
        self.vocab_size, self.order, self.strength = vocab_size, order, strength
        self.shortest = shortest
        self.followers: dict[tuple[int, ...], Followers] = {}
        self.history: list[int] = []

    def contexts(self) -> list[tuple[int, ...]]:
        """Return the contexts of the next token, the least long first."""
        longest = min(self.order - 1, len(self.history))
        return [tuple(self.history[len(self.history) - k :]) for k in range(self.shortest, longest + 1)]

    def distribution(self, base: Probabilities, entropy: float | None = None) -> Probabilities:
        """Return the mixed distribution of the next token over the whole vocabulary."""
        known = None if entropy is None else np.array([entropy])
        prior = float(strengths(1, self.strength, known)[0])
        mixed = base.astype(np.float64)
        for context in self.contexts():
            followers = self.followers.get(context)
            if followers:
                counts = np.zeros(self.vocab_size)
                seen = np.fromiter(followers, dtype=np.int64, count=len(followers))
                counts[seen] = np.fromiter(followers.values(), dtype=np.float64, count=len(followers))
                mixed = (counts + prior * mixed) / (counts.sum() + prior)
        return mixed

    def observe(self, token: int) -> None:
        """Count ``token`` after each of its contexts; call it after the token was scored."""
        for context in self.contexts():
            followers = self.followers.setdefault(context, {})
            followers[token] = followers.get(token, 0) + 1
        self.history.append(token)
