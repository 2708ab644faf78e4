"""Which runs stand behind the claimed score, and which printed score of each is the claimed one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from checkers.finding import Finding, Strength
from checkers.subject import Subject
from harness.logs import Claim, LogBook, Measure, Score, TrainLog

_SPREAD = 0.02  # bpb: seeds of one configuration lie closer together
_NEAR = 0.008  # bpb; so far apart are two seeds of one configuration at most
_LEAST = 6e-5  # bpb: finals are printed to four decimals
_EXACT = 5  # digits: a score given so exactly is that of one run
_ROUNDING = 6e-4  # claims are usually rounded to three or four decimals


@dataclass(frozen=True, slots=True)
class Counted:
    """A run behind the claim. ``claim`` is what it was matched with, None where nothing matched.

    ``certain`` is False for one of several runs that no claim could be matched with: an excess there
    may be that of a baseline or an ablation. ``astray`` are the runs of a submission whose claimed score
    none of them prints: its run is not among them.
    """

    log: TrainLog
    score: Score
    claim: Claim | None
    certain: bool = True
    astray: bool = False


def settle(findings: list[Finding], runs: tuple[Counted, ...] | list[Counted]) -> list[Finding]:
    """Lower convictions to suspicions where the offending run may not be the claimed one.

    Where every run offends it does not matter which of them was claimed, if one of them was.
    """
    everyone = len(findings) >= len(runs) and not any(run.astray for run in runs)
    if everyone or all(run.certain for run in runs):
        return findings
    return [replace(f, strength=Strength.SUSPECT) if f.strength is Strength.CONVICTS else f for f in findings]


def counted(subject: Subject) -> tuple[Counted, ...]:
    """The runs that the claimed score rests on, one for each distinct result.

    They are found by their numbers: first the seeds whose claimed score a log of that seed prints,
    then the runs whose common score averages to the claim, else every finished run.
    """
    book = subject.logs
    if claims_nothing(book):
        return ()
    finished = _distinct(book.finished)
    ways = [w for w in (_by_seed(book, finished), _by_value(book, finished), _by_mean(book, finished)) if w]
    explained = [w for w in ways if explains(w, book.claimed_bpb())]
    named = named_seeds(book)
    listed = [w for w in explained if named and {run.log.seed_value for run in w} == named]
    if ways:
        chosen = listed or [max(explained, key=len)] if explained else ways
        return _beside_others(book, finished, chosen[0])
    astray = book.claimed_bpb() is not None
    alone = len(finished) == 1 and not astray
    return tuple(Counted(log, _last(log), None, alone, astray) for log in finished)


def _beside_others(
    book: LogBook, finished: tuple[TrainLog, ...], runs: tuple[Counted, ...]
) -> tuple[Counted, ...]:
    """Runs that only a text gives a score, next to other runs of which it does the same: none is sure.

    A comparison of two settings whose metadata names neither as the submitted one may claim either.
    """
    headline = book.claimed_bpb()
    if book.metadata is None or headline is None or headline.place.path == book.metadata_path:
        return runs
    told = [c for c in book.claims if c.measure is Measure.BPB and c.digits >= _EXACT]
    others = [
        Counted(log, pair[1], pair[2], certain=False)
        for log in finished
        if all(log is not run.log for run in runs) and (pair := _match(log, told, headline))
    ]
    return (*(replace(run, certain=False) for run in runs), *others) if others else runs


def explains(runs: tuple[Counted, ...], claim: Claim | None) -> bool:
    """The claim is the mean of the runs' scores, or one of them, and then the others are near it."""
    values = [run.score.bpb for run in runs if run.score.bpb is not None]
    if claim is None or not values:
        return False
    if abs(sum(values) / len(values) - claim.value) <= _ROUNDING:
        return True
    off = [abs(v - claim.value) for v in values]
    return min(off) <= _ROUNDING and max(off) <= _NEAR


def claims_nothing(book: LogBook) -> bool:
    """The metadata leaves its score open: a draft, whose logs stand behind nothing."""
    return book.metadata is not None and "val_bpb" in book.metadata and not book.claimed_bpb()


def tolerance(claim: Claim) -> float:
    """How far a printed score may lie from a claim: its rounding, and never less than 1e-6."""
    digits = max(claim.digits, 2) if claim.digits else 4  # JSON drops the zero of 1.10
    return 0.6 * 10.0**-digits + 1e-6


def meets(claim: Claim, printed: float) -> bool:
    """Whether a claim gives a printed score: rounded, or its digits cut off (1.1249 for 1.12499).

    Of fewer than three digits a cut would be wider than what quantization costs; they must be rounded.
    """
    cut = 10.0**-claim.digits if claim.digits >= 3 else 0.0
    below = max(tolerance(claim), _LEAST)
    return -below <= printed - claim.value <= max(below, cut)


def seed_claims(book: LogBook) -> dict[int, list[Claim]]:
    """The scores claimed for each seed: by the metadata, or by the README where it names none.

    Seeds that the metadata leaves out of its own list do not count: a README may tell of runs set aside.
    """
    named = named_seeds(book)
    found: dict[int, list[Claim]] = {}
    ordered = sorted(book.claims, key=lambda c: c.place.path != book.metadata_path)
    for claim in ordered:
        if claim.measure is Measure.BPB and claim.seed is not None and (not named or claim.seed in named):
            found.setdefault(claim.seed, []).append(claim)
    stated = {s: [c for c in cs if c.place.path == book.metadata_path] for s, cs in found.items()}
    return {s: cs for s, cs in stated.items() if cs} or found


def named_seeds(book: LogBook) -> frozenset[int]:
    """The seeds that the metadata lists as its own; empty where it lists none."""
    own = book.metadata.get("seeds") if book.metadata else None
    return frozenset(s for s in own if isinstance(s, int)) if isinstance(own, list) else frozenset()


def _distinct(logs: Iterable[TrainLog]) -> tuple[TrainLog, ...]:
    """Drop copies of a run: the same seed and the same scores to the last digit."""
    seen: dict[object, TrainLog] = {}
    for log in logs:
        key = (log.seed_value, tuple((s.bpb, s.loss) for s in log.finals[-6:]))
        seen.setdefault(key, log)
    return tuple(seen.values())


def _by_seed(book: LogBook, finished: tuple[TrainLog, ...]) -> tuple[Counted, ...]:
    """For each claimed seed, the run that prints its claimed score most exactly.

    Of several scores claimed for a seed, one may be of an ablation: the one nearest to the headline counts.
    """
    claims = seed_claims(book)
    headline = book.claimed_bpb()
    best: dict[int, tuple[tuple[float, float], Counted]] = {}
    for log in finished:
        seed = log.seed_value
        if seed is None or seed not in claims:
            continue
        near = [c for c in claims[seed] if headline is None or abs(c.value - headline.value) < _SPREAD]
        pair = _match(log, near, headline)
        if pair is None:
            continue
        far = round(abs(pair[2].value - headline.value), 3) if headline else 0.0
        if (far, pair[0]) < (best[seed][0] if seed in best else (float("inf"), 0.0)):
            best[seed] = ((far, pair[0]), Counted(log, pair[1], pair[2]))
    return tuple(run for _, run in best.values())


def _match(log: TrainLog, claims: list[Claim], headline: Claim | None) -> tuple[float, Score, Claim] | None:
    """The claim that a final score of the log meets, preferring the one that speaks of the headline."""
    pairs = [
        (abs(s.bpb - c.value), s, c)
        for c in claims
        for s in log.finals
        if s.bpb is not None and meets(c, s.bpb)
    ]
    wanted = headline.value if headline else 0.0
    return min(pairs, key=lambda p: (round(abs(p[2].value - wanted), 3), not p[1].exact, p[0]), default=None)


def _by_value(book: LogBook, finished: tuple[TrainLog, ...]) -> tuple[Counted, ...]:
    headline = book.claimed_bpb()
    if headline is None:
        return ()
    pairs = [(log, _match(log, [headline], headline)) for log in finished]
    return tuple(Counted(log, pair[1], pair[2]) for log, pair in pairs if pair)


def _by_mean(book: LogBook, finished: tuple[TrainLog, ...]) -> tuple[Counted, ...]:
    """Runs of distinct seeds that share a label whose mean is the claim."""
    headline = book.claimed_bpb()
    if headline is None or len(finished) < 2:
        return ()
    for label in sorted({s.label for log in finished for s in log.finals}):
        having = [(log, s) for log in finished if (s := _labelled(log, label))]
        seeds = [log.seed_value for log, _ in having if log.seed_value is not None]
        if len(set(seeds)) < len(seeds):
            continue  # an export or an ablation of a seed that is there already
        values = [s.bpb for _, s in having if s.bpb is not None]
        if len(values) >= 2 and abs(sum(values) / len(values) - headline.value) <= _ROUNDING:
            return tuple(Counted(log, s, headline) for log, s in having)
    return ()


def _labelled(log: TrainLog, label: str) -> Score | None:
    return next((s for s in reversed(log.finals) if s.label == label), None)


def _last(log: TrainLog) -> Score:
    """The headline of a run nobody matched: its last exact score, else its last one."""
    exact = [s for s in log.finals if s.exact]
    return (exact or list(log.finals))[-1]
