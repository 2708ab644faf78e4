"""The whole validation set must be scored: token counts of the log against the known total."""

from __future__ import annotations

from checkers.evidence._bytes import CANONICAL_BYTES, MOST_BYTES_PER_TOKEN, Implied, implied
from checkers.evidence._runs import Counted, counted, settle
from checkers.evidence._say import found, plural
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined
from checkers.subject import Subject

RULE = "truncated-validation"
_LEAST_SHARE = 0.97  # the last window, and tokens that fill no sequence, may be left out


def check(subject: Subject) -> CheckResult:
    """Compare the bytes behind every counted score with those of the official validation text."""
    runs = [run for run in counted(subject) if run.log.val_tokens]
    if not runs:
        return cannot_tell("no log says how many validation tokens were loaded")
    convicts = track(subject) is Track.RECORD
    findings = [f for run in runs if (f := _finding(run, convicts))]
    return examined(len(runs), plural(len(runs), "validation token count"), settle(findings, runs))


def _finding(run: Counted, convicts: bool) -> Finding | None:
    known = implied(run.log)
    share = known.bytes / CANONICAL_BYTES if known else _greatest_share(run)
    if share >= _LEAST_SHARE:
        return None
    tokens = run.log.val_tokens or 0
    message = f"{tokens:,} validation tokens {_explain(known, share)} of the official validation text"
    place = run.log.settings["val_tokens"].place
    data = {"tokens": tokens, "share": round(share, 4), "canonical_bytes": CANONICAL_BYTES}
    strength = Strength.CONVICTS if convicts else Strength.SUSPECT
    return found(RULE, message, place, strength, 0.95, data=data, related=[(run.score.place, "the score")])


def _greatest_share(run: Counted) -> float:
    return (run.log.val_tokens or 0) * MOST_BYTES_PER_TOKEN / CANONICAL_BYTES


def _explain(known: Implied | None, share: float) -> str:
    if known is None:
        return f"are at most {share:.1%}"
    return f"at {known.per_token:.3f} bytes each are {known.bytes / 1e6:.1f} MB, {share:.1%}"
