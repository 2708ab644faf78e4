"""The denominator of val_bpb: the bytes that a log's own numbers imply against the official text."""

from __future__ import annotations

from checkers.evidence._bytes import (
    CANONICAL_BYTES,
    Implied,
    cut_at_round_number,
    implied,
    official_bytes,
    ratio_of,
    spaces_twice,
)
from checkers.evidence._runs import counted
from checkers.evidence._say import found, plural
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Claim, LogBook, Measure

RULE = "wrong-byte-count"
_TOLERANCE = 0.01  # 1 %: the smallest known offence adds 4 %, the largest honest deviation is 0.3 %


def check(subject: Subject) -> CheckResult:
    """Work out the validation bytes behind every counted run; too many make the score too low."""
    known = [i for run in counted(subject) if (i := implied(run.log))]
    if not known:
        stated = _stated(subject.logs)
        if stated is None:
            return cannot_tell(
                "no log prints its validation tokens with a score in nats and in bits per byte"
            )
        return examined(1, "1 claim in nats and in bits per byte", _claim_with_spaces_twice(*stated))
    findings = [f for i in known if (f := _finding(i))]
    return examined(len(known), plural(len(known), "implied byte count"), findings)


def _stated(book: LogBook) -> tuple[Claim, Claim] | None:
    """The claimed bits per byte and the loss that stands beside it."""
    bpb = book.claimed_bpb()
    beside = (c for c in book.claims if c.measure is Measure.LOSS and c.seed is None)
    loss = next((c for c in beside if bpb is not None and c.place.path == bpb.place.path), None)
    return (bpb, loss) if bpb is not None and loss is not None else None


def _claim_with_spaces_twice(bpb: Claim, loss: Claim) -> list[Finding]:
    """Without a log, only the mark of one defect is looked for: other vocabularies have other ratios."""
    ratio = ratio_of(loss.value, bpb.value)
    tokens = spaces_twice(ratio) if ratio is not None else None
    if ratio is None or tokens is None:
        return []
    message = (
        f"a loss of {loss.value:g} nats and {bpb.value:g} bits per byte make {ratio:.4f} bytes a token: at "
        f"{tokens:,} tokens, those of the standard vocabulary, that is the official text with every space "
        "counted twice; no log shows otherwise"
    )
    data = {"bytes_per_token": round(ratio, 4), "canonical": round(CANONICAL_BYTES / tokens, 4)}
    related = [(loss.place, "the loss")]
    return [found(RULE, message, bpb.place, Strength.SUSPECT, 0.6, data=data, related=related)]


def _finding(known: Implied) -> Finding | None:
    official = official_bytes(known.tokens)
    excess = known.bytes / official - 1.0
    if excess <= _TOLERANCE:
        return None
    message = (
        f"{known.tokens:,} tokens at {known.per_token:.4f} bytes each are {known.bytes / 1e6:.2f} MB, the "
        f"official validation text has {official / 1e6:.2f} MB: the denominator is {excess:.1%} too "
        "large, or the text is another"
    )
    if known.agrees:
        message += "; another score of this run stands on the right number, so this may be of a part of it"
    other = cut_at_round_number(known.tokens)
    if other:
        message += "; cut at a round number of tokens, it is another, and its bytes are not known"
    data = {
        "implied_bytes": round(known.bytes),
        "canonical_bytes": official,
        "excess": round(excess, 4),
    }
    # one pair may be a mixture over bytes, whose bpb no token loss explains
    alone = known.pairs < 2 or known.agrees or other
    strength = Strength.SUSPECT if alone else Strength.CONVICTS
    return found(
        RULE,
        message,
        known.score,
        strength,
        0.6 if alone else 0.9,
        data=data,
        related=[(known.count, "tokens")],
    )
