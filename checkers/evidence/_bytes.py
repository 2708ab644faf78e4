"""How many validation bytes a printed score implies: tokens x loss / (bpb x ln 2)."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from harness.logs import Place, Score, TrainLog

CANONICAL_BYTES = 151_080_891  # UTF-8 bytes of the official validation text (first 50,000 documents), #1804
# The data of the first day were longer: the organizers' own baseline, 2026-03-17_NaiveBaseline, printed
# this many tokens at sp1024, with a loss and a score that make 155.77 MB of them.
FIRST_DAY_TOKENS = 63_779_840
FIRST_DAY_BYTES = 155_770_000
# With every space counted twice they become this many, whatever the vocabulary (#1370, #1698).
BYTES_WITH_SPACES_TWICE = 177_830_000
STANDARD_TOKENS = {1024: 62_021_632, 8192: 40_540_160}  # of the official text, by standard vocabulary
MOST_BYTES_PER_TOKEN = 7.0  # above what any tokenizer of up to 64k pieces reaches on English web text
_SEQUENCES = (1, 1024, 2048, 4096)  # tokens; lengths that evaluation cuts a text into
_LEAST_BPB = 0.02  # below it the printed digits no longer give the ratio
_AGREE = 0.003  # relative: two printed pairs of one run describe the same denominator


@dataclass(frozen=True, slots=True)
class Implied:
    """Validation bytes implied by a run: tokens x bytes per token, and where both stand.

    ``agrees`` tells that another score of the run stands on the official number of bytes: the tables
    count right, so this one is of another, perhaps smaller, part of the text.
    """

    bytes: float
    tokens: int
    per_token: float
    score: Place
    count: Place
    pairs: int
    agrees: bool = False


def implied(log: TrainLog) -> Implied | None:
    """The byte count behind the scores of a run.

    Every plain evaluation prints loss in nats per token and bpb, whose ratio is bytes per token. A
    mixture over bytes prints a bpb that no token loss explains, so the ratio that most pairs share is
    taken; ``pairs`` tells how many share it.
    """
    tokens, place = log.val_tokens, log.settings.get("val_tokens")
    pairs = [(r, s) for s in log.scores if (r := per_token(s)) is not None]
    if tokens is None or place is None or not pairs:
        return None
    middle = statistics.median_low([r for r, _ in pairs])
    agreeing = [(r, s) for r, s in pairs if abs(r / middle - 1.0) < _AGREE]
    if 2 * len(agreeing) < len(pairs):
        return None
    ratio, score = max(agreeing, key=lambda pair: (pair[1].exact, pair[1].place.line))
    if abs(ratio - 1.0) < _AGREE and tokens < 0.9 * CANONICAL_BYTES:
        return None  # bits per token under the name of bits per byte: the ratio says nothing
    agrees = any(abs(r * tokens / official_bytes(tokens) - 1.0) < _AGREE for r, _ in pairs)
    return Implied(tokens * ratio, tokens, ratio, score.place, place.place, len(agreeing), agrees)


def official_bytes(tokens: int) -> int:
    """UTF-8 bytes of the official validation text that has this many tokens."""
    return FIRST_DAY_BYTES if tokens == FIRST_DAY_TOKENS else CANONICAL_BYTES


def spaces_twice(ratio: float) -> int | None:
    """The standard number of tokens at which so many bytes a token are the text with its spaces twice."""
    near = (t for t in STANDARD_TOKENS.values() if abs(ratio * t / BYTES_WITH_SPACES_TWICE - 1.0) < _AGREE)
    return next(near, None)


def cut_at_round_number(tokens: int) -> bool:
    """Whether a text was cut at so many million tokens, and then to whole sequences.

    The official text has no such number of tokens under any vocabulary but by a chance of 1 in 10^5: what
    was retokenized and cut like this is another text, whose bytes nobody outside knows.
    """
    cut = round(tokens / 1e6) * 1_000_000
    return cut > 0 and any(tokens == (cut - rest) // s * s for s in _SEQUENCES for rest in (0, 1))


def per_token(score: Score) -> float | None:
    """Bytes per token that a score implies."""
    return None if score.loss is None or score.bpb is None else ratio_of(score.loss, score.bpb)


def ratio_of(loss: float, bpb: float) -> float | None:
    """Bytes per token that nats per token and bits per byte imply; None where they are too small to tell."""
    return loss / (bpb * math.log(2.0)) if bpb >= _LEAST_BPB and loss > 0.0 else None
