"""What the submission claims must be what its logs print: seed by seed, and on average."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from checkers.evidence._runs import counted, seed_claims, tolerance
from checkers.evidence._say import found, plural
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Claim, LogBook, Measure, Score, TrainLog

RULE = "claim-log-mismatch"
_SLACK = 1e-3  # bpb: below it a difference is rounding, another evaluation of the same weights, or a typo
_GROSS = 5e-3  # bpb: about the size of a record's gain


def check(subject: Subject) -> CheckResult:
    """Look up every claimed score in the log of its seed, then the claimed mean."""
    book = subject.logs
    claim = book.claimed_bpb()
    if claim is None:
        return cannot_tell("no score is claimed")
    if not book.finished:
        return cannot_tell("no log prints a final score")
    by_seed = {s: c for s, c in _single_claims(book).items() if _logs_of(book, s)}
    findings = [f for s, c in by_seed.items() if (f := _seed(book, s, c))]
    findings += _whole(subject, claim)
    findings += _documents(book)
    convicts = track(subject) is Track.RECORD
    graded = [f if convicts else _softened(f) for f in findings]
    return examined(1 + len(by_seed), plural(1 + len(by_seed), "claimed score"), graded)


def _softened(finding: Finding) -> Finding:
    """Outside the record track a number that no log prints is worth a remark, no more."""
    return replace(finding, strength=Strength.REMARK)


def _single_claims(book: LogBook) -> dict[int, list[Claim]]:
    return {seed: claims for seed, claims in seed_claims(book).items() if 0.0 < claims[0].value < 20.0}


def _logs_of(book: LogBook, seed: int) -> list[TrainLog]:
    return [log for log in book.finished if log.seed_value == seed]


def _seed(book: LogBook, seed: int, claims: list[Claim]) -> Finding | None:
    """The claimed score nearest to anything that the logs of the seed print."""
    scores = [s for log in _logs_of(book, seed) for s in log.scores]
    pairs = [(abs((s.bpb or 0.0) - c.value), c, s) for c in claims for s in scores if s.bpb is not None]
    if not pairs:
        return None
    distance, claim, score = min(pairs, key=lambda p: p[0])
    if distance <= max(tolerance(claim), _SLACK):
        return None
    message = (
        f"seed {seed}: {claim.value} is claimed, the log prints {score.bpb} ({score.label or 'val_bpb'})"
    )
    return _grade(message, claim, score, distance)


def _grade(message: str, claim: Claim, score: Score, distance: float) -> Finding:
    better = score.bpb is not None and claim.value < score.bpb
    strength = Strength.SUSPECT if better else Strength.REMARK
    data = {"claimed": claim.value, "logged": score.bpb, "difference": round(distance, 6)}
    return found(RULE, message, claim.place, strength, 0.8, data=data, related=[(score.place, "logged here")])


def _whole(subject: Subject, claim: Claim) -> Iterator[Finding]:
    """A claimed score that no final, and no mean of finals, explains."""
    book = subject.logs
    if any(run.claim for run in counted(subject)):
        yield from _mean_of_seeds(subject, claim)
        return
    scores = [s for log in book.logs for s in log.scores if s.bpb is not None]
    nearest = min(scores, key=lambda s: abs((s.bpb or 0.0) - claim.value))
    distance = abs((nearest.bpb or 0.0) - claim.value)
    if distance > max(tolerance(claim), _SLACK):
        message = f"{claim.value} is claimed, the nearest score in any log is {nearest.bpb}"
        yield _grade(message, claim, nearest, distance)


def _mean_of_seeds(subject: Subject, claim: Claim) -> Iterator[Finding]:
    """The claim is neither one of the matched scores nor their mean, though all claimed seeds are there."""
    runs = [run for run in counted(subject) if run.claim and run.score.bpb is not None]
    values = [run.score.bpb or 0.0 for run in runs]
    claimed = seed_claims(subject.logs)
    if not claimed or len(values) < len(claimed):
        return
    mean = sum(values) / len(values)
    distance = min([abs(mean - claim.value), *(abs(v - claim.value) for v in values)])
    if distance > max(tolerance(claim), _SLACK) and claim.value < mean:
        message = f"{claim.value} is claimed, the mean of the {len(values)} logged seeds is {mean:.6f}"
        strength = Strength.SUSPECT
        data = {"claimed": claim.value, "mean": round(mean, 8)}
        yield found(
            RULE, message, claim.place, strength, 0.8, data=data, related=[(runs[0].score.place, "a seed")]
        )


def _documents(book: LogBook) -> Iterator[Finding]:
    """README and metadata state different scores for the whole submission."""
    stated = book.claimed_bpb()
    said = [
        c
        for c in book.claims
        if c.measure is Measure.BPB and c.seed is None and c.place.path == book.readme_path
    ]
    if stated is None or stated.place.path != book.metadata_path or not said:
        return
    if min(abs(c.value - stated.value) for c in said) > _GROSS:
        message = f"the metadata states {stated.value}, the README {said[0].value}"
        yield found(RULE, message, stated.place, Strength.REMARK, 0.5, related=[(said[0].place, "said here")])
