"""Which settings the words of a failure lay it at the door of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_WORD = re.compile(r"[A-Za-z][\w.+-]{2,}")
_SWITCHES = frozenset(("true", "false", "none", "auto", "default", "cuda", "train", "val"))
"""Values that a failure may name for reasons of its own."""


def mentioned(names: Iterable[str], blocker: str) -> tuple[str, ...]:
    """The settings whose whole name a failure has, else those whose last words it has (``seq_len``)."""
    words = {n: n.rpartition(".")[2].lstrip("-").replace("-", "_").strip("_") for n in names}
    tails = {n: w.partition("_")[2] for n, w in words.items()}
    for form in (words, tails):
        telling = {n: w for n, w in form.items() if "_" in w}
        found = tuple(
            n
            for n, w in telling.items()
            if re.search(rf"(?<!\w){re.escape(w)}(?!\w)", blocker, re.IGNORECASE)
        )
        if found:
            return found
    return ()


_DIVISOR = re.compile(r"(?:divisible by|multiple of|%)\s*(\d{1,4})(?![\d.])", re.IGNORECASE)


def divisor(blocker: str) -> int | None:
    """What a failure wants a size to be divisible by: ``must be divisible by 3``, ``d % 3 == 0``."""
    found = _DIVISOR.search(blocker)
    return int(found[1]) or None if found else None


def quoted(settings: Mapping[str, str], blocker: str) -> tuple[str, ...]:
    """The settings whose value, a word, a failure quotes: ``Unknown compressor: 'lrzip'``.

    A log may come of another state of the script than the one that was submitted.
    """
    said = {word.lower() for word in re.findall(r"[\"'`]([^\"'`]+)[\"'`]", blocker)} - _SWITCHES
    return tuple(n for n, value in settings.items() if _WORD.fullmatch(value) and value.lower() in said)
