"""Synthetic English: documents with a Zipf lexicon, numbers, capitals and a few rare characters.

Natural enough that tokenizers find merges and models find something to learn, and reproducible
to the byte from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate

_FUNCTION_WORDS = """
the of and to a in is that it for was on with as be at by this had not are but from or have an they
which one you were all she there would their we him been has when who will more no if out so what up
said about than its into them can only other time new some could these two may then do first any my
now such like our over man me even most made after also did many before must through back years
where much your way well down should because each just those people how too little state good very
make world still own see men work long get here
"""
_ONSETS = "b c d f g h j k l m n p r s t v w br ch cl cr dr fl fr gr pl pr sc sh sl sp st str th tr qu"
_NUCLEI = "a e i o u ai ea ee ou oo io y ie au"
_CODAS = "b d g k l m n p r s t ck ld nd ng nt rd rk rm rt st sh th ss ft mp x ve le"
_ENDINGS = ["", "", "", "s", "ed", "ing", "er", "ly", "tion", "ness", "ment", "able", "al", "ity"]
_RARE = ["café", "naïve", "–", "“", "”", "€", "東京", "😀", "Ω", "ß", "…", "\t"]


def lexicon(rng: random.Random, size: int) -> list[str]:
    """Distinct pronounceable words, commonest first."""
    words = dict.fromkeys(_FUNCTION_WORDS.split())
    while len(words) < size:
        stem = "".join(
            rng.choice(_ONSETS.split())
            + rng.choice(_NUCLEI.split())
            + (rng.choice(_CODAS.split()) if rng.random() < 0.7 else "")
            for _ in range(rng.choice((1, 1, 2, 2, 3)))
        )
        words[stem + rng.choice(_ENDINGS)] = None
    return list(words)


def documents(seed: int, words: int = 12000, lower: bool = False) -> Iterator[str]:
    """Endless documents of one to twelve sentences; ``lower`` leaves out capitals and rare characters."""
    rng = random.Random(seed)
    lexis = lexicon(random.Random(20240520), words)
    cumulative = list(accumulate(1.0 / (rank + 3) for rank in range(len(lexis))))
    while True:
        sentences = [_sentence(rng, lexis, cumulative, lower) for _ in range(rng.randint(1, 12))]
        yield " ".join(sentences)


def _sentence(rng: random.Random, lexis: list[str], cumulative: list[float], lower: bool) -> str:
    words = rng.choices(lexis, cum_weights=cumulative, k=rng.randint(4, 22))
    for i in range(len(words)):
        words[i] = _decorate(rng, words[i], lower)
    text = " ".join(words)
    return (text if lower else text[0].upper() + text[1:]) + rng.choice(".....?!")


def _decorate(rng: random.Random, word: str, lower: bool) -> str:
    luck = rng.random()
    if luck < 0.06:
        return word + ","
    if luck < 0.08:
        return str(rng.choice((rng.randint(0, 12), rng.randint(13, 2030))))
    if luck < 0.14 and not lower:
        return word.capitalize()
    if luck < 0.145 and not lower:
        return rng.choice(_RARE)
    return word
