"""The number the submission stands for: which printed line reports it, and which scores feed it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from math import inf

from checkers.facts import Did, Event, Facts
from checkers.facts.order import Order
from checkers.facts.values import VAL
from harness.logs import Claim, LogBook, Measure, Score

_NEAR = 1e-4  # bpb; two printed forms of one number differ by rounding
_CLAIMED = 2e-3  # bpb; claims are rounded
_RERUN = 0.02  # bpb; a later run of a script that was edited a little moves by less than that
_ALONE = re.compile(r"(?<=[=: ])(-?\d+(?:\.\d+)?)(?![\w.])")
_MANY_DIGITS = 5  # decimals: dozens of lines spread over 0.05 bpb meet four too easily, if a mean is near
_FLOAT = re.compile(r"\d+\.\d+")
_ALIKE = 0.85  # likeness of two lines of which one word differs
_NUMBER = r"-?[\d.]+"
_SHORTEST = 6  # characters of literal text that a printed line must have to be recognized
_STANDS = "the claimed number stands on this line of the log"
_NEAREST = "of the scores in the logs, this line's is the nearest to the claimed number"
_BETTER = "the claimed number stands on no line of the logs; this line's, the nearest to it, is far better"


@dataclass(frozen=True, slots=True)
class Headline:
    """The reports of the headline number, the scores behind them, and how the line was found.

    ``guessed`` is True where no log helped and the line chosen does not even speak of bits per byte,
    and where a far worse number is claimed than the logs show: a weaker configuration may have given it.
    ``known`` is False where the logs show the claimed number on a line that no statement here prints.
    ``claimed`` are the reports of the claimed number on whatever line; empty where it stands on none.
    """

    reports: tuple[Event, ...]
    scores: tuple[Event, ...]
    how: str
    known: bool = True
    claimed: tuple[Event, ...] = ()
    guessed: bool = False


def headline(facts: Facts, logs: LogBook, order: Order) -> Headline:
    """Find the printed line whose number is the claimed one in the logs; else the last one printed."""
    reports = [e for e in facts.of(Did.REPORT) if e.bits & VAL and order.scores(e.bits)]
    wanted = _claimed_lines(logs)
    chosen, how = _matching(reports, wanted), _found(logs, wanted)
    if not chosen and (chosen := _worded_alike(reports, wanted)):
        how = (
            "of what the script prints, this is worded most like the line of the log with the claimed number"
        )
    known = bool(chosen) or not wanted
    chosen = _most_supported(chosen, reports, wanted, order)
    fitting = [r for r in reports if _fits(r, wanted)] if chosen and how == _STANDS else []
    claimed = tuple(_most_supported(fitting, reports, wanted, order))
    guessed = how == _BETTER
    if not chosen:
        chosen, how = _last(reports), "it is the last score that the script prints"
        guessed = not any(map(_names_unit, chosen))
    scores: dict[int, Event] = {s.order: s for r in chosen for s in order.scores(r.bits)}
    counted = _charged([scores[k] for k in sorted(scores)], order)
    return Headline(tuple(chosen), tuple(counted), how, known, claimed, guessed)


def _charged(scores: list[Event], order: Order) -> list[Event]:
    """The charges, and those scores that go into the number without being charged anywhere.

    What is charged is often a part of what was scored: the tail of a window.
    """
    sums = {s.order for s in scores if s.kind is Did.CHARGE and _holds_charges(s, order)}
    charges = [s for s in scores if s.kind is Did.CHARGE and s.order not in sums]
    inside = {s.order for c in charges for s in order.scores(c.bits)} | sums
    return [s for s in scores if s in charges or s.order not in inside]


def _holds_charges(charge: Event, order: Order) -> bool:
    """Whether what is added was itself added up before: the sum of a chunk into that of the file."""
    return any(e.kind is Did.CHARGE for e in order.scores(charge.bits))


def _last(reports: list[Event]) -> list[Event]:
    """The last report outside every loop, of those that speak of bits per byte where any does."""
    told = [e for e in reports if _names_unit(e)]
    ways = [[e for e in told if not e.loops], told, [e for e in reports if not e.loops], reports]
    return next((way[-1:] for way in ways if way), [])


def _names_unit(report: Event) -> bool:
    return any("bpb" in part.lower() for part in report.data["text"] if isinstance(part, str))


def _claimed_lines(logs: LogBook) -> list[Score]:
    """The final scores whose mean over the runs of one configuration is nearest to the claimed number.

    A claim of one run among others' logs, an experiment's, meets the digits of that run and no mean.
    """
    groups, wanted = _grouped(logs), _claimed(logs)
    if not groups or not wanted:
        return []
    distance = [min(abs(_mean(scores) - w.value) for w in wanted) for scores in groups]
    nearest = min(distance)
    enough = _MANY_DIGITS if nearest <= _CLAIMED else _MANY_DIGITS - 1
    exact = [c for c in wanted if c.digits >= enough]
    if nearest > _NEAR and (single := [s for s in _each(groups) if _is_one(s, exact)]):
        return single
    matched = [scores for scores, d in zip(groups, distance, strict=True) if d <= nearest + _NEAR]
    lowest = min(map(_mean, matched))
    return _each([scores for scores in matched if _mean(scores) <= lowest + _NEAR])


def _grouped(logs: LogBook) -> list[list[Score]]:
    """The last score of each line in each run, by line: all runs, and those of each configuration."""
    labels: dict[str, list[Score]] = {}
    for log in logs.finished:
        last = {s.label: s for s in log.finals if s.bpb is not None}
        for label, score in last.items():
            labels.setdefault(label, []).append(score)
    return [group for scores in labels.values() for group in (scores, *_configurations(scores))]


def _configurations(scores: list[Score]) -> Iterator[list[Score]]:
    """Scores of one line, split where two neighbours differ by more than a rerun does; the order is kept."""
    values = sorted(s.bpb or 0.0 for s in scores)
    starts = [b for a, b in pairwise(values) if b - a > _RERUN]
    for low, high in pairwise([-inf, *starts, inf] if starts else []):
        yield [s for s in scores if low <= (s.bpb or 0.0) < high]


def _each(groups: list[list[Score]]) -> list[Score]:
    """Every score once."""
    return list({id(s): s for scores in groups for s in scores}.values())


def _is_one(score: Score, claims: list[Claim]) -> bool:
    """Whether one run printed a claimed number, to every digit of it."""
    return score.bpb is not None and any(round(score.bpb, c.digits) == c.value for c in claims)


def _found(logs: LogBook, wanted: list[Score]) -> str:
    """Whether the line has the claimed number, or only the one nearest to it.

    A claim is the mean of some of the runs, and folders hold older ones, too: it lies among their scores.
    """
    scores = [s.bpb for s in wanted if s.bpb is not None]
    low, high = min(scores, default=0.0) - _CLAIMED, max(scores, default=0.0) + _CLAIMED
    claims = [c.value for c in _claimed(logs)]
    if not scores or any(low <= claim <= high for claim in claims):
        return _STANDS
    return _BETTER if min(claims) > high + _RERUN else _NEAREST


def _claimed(logs: LogBook) -> list[Claim]:
    """The claimed number; where only a README states several, all of them."""
    claim = logs.claimed_bpb()
    if claim is None or claim.place.path == logs.metadata_path:
        return [] if claim is None else [claim]
    return [c for c in logs.claims if c.measure is Measure.BPB and c.seed is None]


def _mean(scores: list[Score]) -> float:
    return sum(s.bpb or 0.0 for s in scores) / len(scores)


def _matching(reports: list[Event], wanted: list[Score]) -> list[Event]:
    """The reports whose text fits a wanted line, those with the longest literal text only."""
    best: list[Event] = []
    longest = _SHORTEST - 1
    for report in reports:
        literal = sum(len(p) for p in report.data["text"] if isinstance(p, str))
        if literal < longest or not _fits(report, wanted):
            continue
        best = [report] if literal > longest else [*best, report]
        longest = literal
    return best


def _most_supported(
    chosen: list[Event], reports: list[Event], wanted: list[Score], order: Order
) -> list[Event]:
    """Of several reports with the same words, those whose scores stand on most lines of the claimed number.

    A script words the score of every stage alike, and the log shows the number of one of them under
    several names: the stage that prints it under all of them is meant.
    """
    if len(chosen) < 2:
        return chosen
    lines = {score.label: score for score in wanted}
    fitting = [[r for r in reports if _fits(r, [score])] for score in lines.values()]
    behind = [{s.order for r in fits for s in order.scores(r.bits)} for fits in fitting]
    own = [{s.order for s in order.scores(r.bits)} for r in chosen]
    support = [sum(bool(scores & b) for b in behind) for scores in own]
    return [r for r, number in zip(chosen, support, strict=True) if number == max(support)]


def _worded_alike(reports: list[Event], wanted: list[Score]) -> list[Event]:
    """The reports most like a wanted line: the log of an edited script names its compressor otherwise."""
    best: list[Event] = []
    most = _ALIKE
    for report in reports:
        literal = "".join(p for p in report.data["text"] if isinstance(p, str))
        for line in {_FLOAT.sub("", score.place.excerpt) for score in wanted}:
            alike = SequenceMatcher(None, literal.strip(), line.strip(), autojunk=False).ratio()
            if alike >= most:
                best = [report] if alike > most else [*best, report]
                most = alike
    return best


def _fits(report: Event, wanted: list[Score]) -> bool:
    parts = report.data["text"]
    pattern = "".join(_literal(p.strip("\n")) if isinstance(p, str) else ".{0,60}?" for p in parts)
    pattern = pattern.removesuffix("\\ ")
    return any(re.search(pattern, score.place.excerpt) for score in wanted)


def _literal(text: str) -> str:
    """A pattern for printed text; numbers that stand alone may be another setting, or rounded otherwise."""
    return "".join(_NUMBER if i % 2 else re.escape(t) for i, t in enumerate(_ALONE.split(text)))
