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
_SCRIPTS = (
    range(0x4E00, 0x9000),  # Han
    range(0xAC00, 0xD7A0),  # Hangul
    range(0x3042, 0x3094),  # Hiragana
    range(0x1F600, 0x1F640),  # emoticons
    range(0x1F300, 0x1F3FB),  # pictures
    range(0x0410, 0x0450),  # Cyrillic
    range(0x05D0, 0x05EB),  # Hebrew
    range(0x2190, 0x2300),  # arrows and mathematics
    range(0x1EA0, 0x1EFA),  # Latin with two accents
)
FOREIGN = 0.01
"""Share of the words of a stream in other scripts. A tokenizer trained on English spells them in bytes: some
2 % of the tokens, which makes up 1.5 % of the denominator for a script that takes each for three bytes."""


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


def documents(seed: int, words: int = 12000, lower: bool = False, foreign: float = 0.0) -> Iterator[str]:
    """Endless documents of one to twelve sentences.

    Args:
        seed: of the documents; the lexicon is always the same.
        words: size of the lexicon.
        lower: leave out capitals and rare characters.
        foreign: share of words in other scripts; none where a tokenizer is trained, or it would learn them.
    """
    rng = random.Random(seed)
    lexis = lexicon(random.Random(20240520), words)
    cumulative = list(accumulate(1.0 / (rank + 3) for rank in range(len(lexis))))
    while True:
        sentences = [_sentence(rng, lexis, cumulative, lower) for _ in range(rng.randint(1, 12))]
        yield " ".join(_abroad(rng, sentences, foreign))


def _abroad(rng: random.Random, sentences: list[str], share: float) -> Iterator[str]:
    """Put words of other scripts in place of some words."""
    for sentence in sentences:
        yield " ".join(_foreign(rng) if rng.random() < share else word for word in sentence.split(" "))


def _foreign(rng: random.Random) -> str:
    script = rng.choice(_SCRIPTS)
    return "".join(chr(rng.choice(script)) for _ in range(rng.randint(1, 3)))


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
