"""A claimed score needs a log that reaches it: not one that stops or crashes before."""

from __future__ import annotations

from checkers.evidence._say import found, plural
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Place

RULE = "log-cut-off"


def check(subject: Subject) -> CheckResult:
    """Look for a run that printed a score after training."""
    book = subject.logs
    claim = book.claimed_bpb()
    if claim is None:
        return cannot_tell("no score is claimed")
    if not book.log_paths and not book.crashes:
        return cannot_tell("no train log is there")
    if book.finished:
        return examined(len(book.logs), plural(len(book.logs), "run"))
    crashes = [*book.crashes, *(c for log in book.logs for c in log.crashes)]
    why = "crashes" if crashes else "stops before the final evaluation"
    where = crashes[0] if crashes else Place(book.logs[-1].path, book.logs[-1].last)
    message = f"{claim.value} is claimed, but every log {why}"
    record = track(subject) is Track.RECORD
    strength = Strength.SUSPECT if record or crashes else Strength.REMARK
    if record and crashes:
        strength = Strength.CONVICTS
    finding = found(RULE, message, where, strength, 0.8, related=[(claim.place, "claimed here")])
    return examined(max(len(book.logs), 1), plural(len(book.logs), "run"), [finding])
