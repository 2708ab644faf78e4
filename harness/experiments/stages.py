"""Cut a trace into stages, one for each score reported, and explain the score by its charges.

A stage is what happened between two reports. Its score is explained when the losses that entered
some total have the reported mean; only then do the charges found count as the record of the score.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.events import Charged, Reported
from harness.experiments.bench import Ground
from harness.experiments.sums import (
    FIRST,
    MINIMUM,
    TOTALS,
    Numbered,
    candidates,
    flat,
    last_pass,
    without_echoes,
)
from harness.probes.reports import names, precision, rounding, several
from harness.trace import Trace

RELATIVE = 3e-5
"""Rounding of single-precision accumulation, relative to the loss."""
EXACT = 1e-6
"""The same where single losses are added up in double precision."""
_LEAST_SHARE = 1 / 16
"""Of the positions whose loss was computed: a mean of fewer that equals the score does so by chance."""
_FIGURE = re.compile(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?")

Counted = tuple[NDArray[np.int32], NDArray[np.float64]]
NOTHING: Counted = (np.empty(0, np.int32), np.empty(0))


@dataclass(frozen=True)
class Stage:
    """One reported score and the charges behind it, in the order in which they were made.

    ``places``, ``nats`` and ``order`` are parallel; ``order`` is the number of the event in which the
    position's loss was computed. ``explained`` says that their mean is the reported loss;
    ``computed`` is every position whose loss was computed at all, charged or not. ``counted`` are the
    places whose bytes the script added up itself, and how many it took each for; empty where that was not
    seen or does not make up the score. ``events`` are the numbers of the charges that were taken whole.
    ``aligned`` says that they were found by their turn, not by their sum.
    """

    report: Reported
    number: int
    places: NDArray[np.int32]
    nats: NDArray[np.float64]
    order: NDArray[np.int64]
    explained: bool
    how: str
    computed: NDArray[np.int32]
    counted: Counted = NOTHING
    events: tuple[int, ...] = ()
    aligned: bool = False

    def times(self) -> int:
        """How often the most charged position is charged."""
        known = self.places[self.places >= 0]
        return int(np.unique(known, return_counts=True)[1].max()) if len(known) else 0

    def first(self) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
        """Places, nats and order of the first charge of every position, in charging order."""
        _, at = np.unique(self.places, return_index=True)
        at = np.sort(at[self.places[at] >= 0])
        return self.places[at], self.nats[at], self.order[at]


def stages(trace: Trace, ground: Ground | None = None, like: Stage | None = None) -> list[Stage]:
    """All stages of one process's trace, in order; reports that repeat the last are merged.

    Progress lines report a running mean, so the charges of a report may begin before the report
    ahead of it: several beginnings are tried. Where none explains a score, the charges ``like`` those of a
    stage of another process, at the same lines and as many, are those of the stage.
    """
    byte_counts = None if ground is None else ground.byte_counts
    charges: list[list[Numbered]] = [[]]
    reports: list[tuple[int, Reported]] = []
    for stamped in trace.events:
        if isinstance(stamped.event, Charged):
            charges[-1].append((stamped.number, stamped.event))
        elif isinstance(stamped.event, Reported) and _has_score(stamped.event):
            reports.append((stamped.number, stamped.event))
            charges.append([])
    found: list[Stage] = []
    for at, (number, report) in enumerate(reports):
        tries = [_stage(report, number, part, byte_counts, like) for part in _parts(reports, charges, at)]
        named = None if charges[at] else _named_last(found, report)
        old = None if charges[at] else named or _told_before(found, report)
        unlike = old is not None and named is None and _likeness(old.report, report)[0] > 1
        if (unlike or (old is not None and not _bears(old, report))) and any(s.explained for s in tries):
            old = None  # progress lines took the charges, and one score before it is near by chance
        if old is not None:  # a summary: what it says last is what stands
            found = [s for s in found if s is not old]
            found.append(_fuller(old, report))
            continue
        again = bool(found) and not charges[at] and _repeats(found[-1].report, report)
        explained = [s for s in tries if s.explained or _alike(s, like)] or tries[:1]
        found[len(found) - again :] = [min(explained, key=_simplicity)]
    return found


def _parts(
    reports: list[tuple[int, Reported]], charges: list[list[Numbered]], at: int
) -> list[list[Numbered]]:
    """The charges that may belong to a report: since the last full report, since the last of any kind."""
    full = [i for i in range(at) if reports[i][1].val_loss is not None]
    starts = dict.fromkeys([full[-1] + 1 if full else 0, at, full[-2] + 1 if len(full) > 1 else 0])
    return [list(itertools.chain(*charges[start : at + 1])) for start in starts]


def _named_last(found: list[Stage], report: Reported) -> Stage | None:
    """Of the scores that a summary names side by side, the one that was made last, explained or not."""
    if not several(report.line):
        return None
    told = ((s, s.report.val_bpb) for s in reversed(found))
    return next((s for s, bpb in told if bpb is not None and names(report.line, bpb, s.report.line)), None)


def _told_before(found: list[Stage], report: Reported) -> Stage | None:
    """The explained stage whose score a report repeats: to the digit, else the latest that it rounds to or
    is rounded from (a running mean), else the nearest. Scores of a hardly trained model are all near."""
    same = [s for s in reversed(found) if s.explained and _repeats(s.report, report)]
    return min(same, key=lambda s: _likeness(s.report, report), default=None)


def _likeness(one: Reported, two: Reported) -> tuple[int, float]:
    """Sorts what a report may repeat, likeliest first."""
    apart = _apart(one, two)
    if apart == 0.0:
        return 0, 0.0
    return (1, 0.0) if _rounds_to(one, two) else (2, apart)


def _rounds_to(one: Reported, two: Reported) -> bool:
    """Whether the numbers of two reports are the same to the digits that the coarser line prints."""
    for name in ("val_loss", "val_bpb"):
        a, b = getattr(one, name), getattr(two, name)
        if a is not None and b is not None and abs(a - b) > rounding(one.line, two.line, name):
            return False
    return True


def _bears(stage: Stage, report: Reported) -> bool:
    """Whether a loss that a report adds to a score in bits per byte is the mean of that score's charges:
    bits per byte alone, at bytes that the script may count otherwise, are explained by more than one set."""
    if stage.report.val_loss is not None or report.val_loss is None:
        return True
    return _has_mean(report, report.val_loss, stage.places, stage.nats)


def _fuller(stage: Stage, report: Reported) -> Stage:
    """Keep what the repeated report adds."""
    old = stage.report
    pairs = ((old.val_loss, report.val_loss), (old.val_bpb, report.val_bpb))
    if not any(before is None and now is not None for before, now in pairs):
        return stage
    if not _bears(stage, report):
        stage = replace(stage, explained=False, how="the charges do not add up")
    if any(now is None for _, now in pairs):
        loss, bpb = (before if now is None else now for before, now in pairs)
        report = Reported(f"{report.line} | {old.line}", loss, bpb)
    return replace(stage, report=report)


def final(trace: Trace, ground: Ground | None = None) -> Stage | None:
    """The last stage that states bits per byte: the score that stands when the script ends."""
    found = stages(trace, ground)
    stated = [s for s in found if s.report.val_bpb is not None]
    pool = stated or found
    return pool[-1] if pool else None


def counterpart(trace: Trace, base: Stage, ground: Ground) -> Stage | None:
    """The stage of a probe that is ``base`` there: its report reads the same but for the figures.

    The last stage of a probe may be another, where its score is not explained and a summary repeats all.
    """
    found = stages(trace, ground, base)
    same = [s for s in found if _wording(s.report) == _wording(base.report)]
    return same[-1] if same else final(trace, ground)


def _wording(report: Reported) -> str:
    return _FIGURE.sub("#", report.line)


def _alike(stage: Stage, like: Stage | None) -> bool:
    return like is not None and len(stage.places) == len(like.places)


def comparable(stage: Stage, base: Stage) -> bool:
    """Whether the charges of a probe's stage are known to be the counterparts of the base's."""
    return len(stage.places) > 0 and (stage.explained or _alike(stage, base))


def _has_score(report: Reported) -> bool:
    value = report.val_loss if report.val_loss is not None else report.val_bpb
    return value is not None and math.isfinite(value)


def _repeats(one: Reported, two: Reported) -> bool:
    return _apart(one, two) <= 6e-4


def _apart(one: Reported, two: Reported) -> float:
    """The largest relative difference between the numbers of two reports (absolute, where they are small)."""
    pairs = ((one.val_loss, two.val_loss), (one.val_bpb, two.val_bpb))
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return max((abs(a - b) / max(abs(a), 1.0) for a, b in known), default=0.0)


def _empty(report: Reported, number: int) -> Stage:
    none = np.empty(0, np.int32)
    return Stage(report, number, none, np.empty(0), np.empty(0, np.int64), False, "no charges seen", none)


def _stage(
    report: Reported,
    number: int,
    charges: list[Numbered],
    byte_counts: NDArray[np.int64] | None,
    like: Stage | None = None,
) -> Stage:
    counts = [n for n in charges if n[1].via == "bytes"]
    charges = [n for n in charges if n[1].via != "bytes"]
    if not charges:
        return _empty(report, number)
    computed = np.unique(np.concatenate([c.where() for _, c in charges]))
    charges, countings = without_echoes(charges), _countings(counts)
    known = computed[computed >= 0]
    best: Stage | None = None
    ranked = (0, 0.0)
    fallback = [n for n in charges if n[1].via in TOTALS] or charges
    for how, chosen in candidates(charges):
        places, nats, order = flat(chosen)
        if like is not None and (how, len(places)) == (like.how, len(like.places)):
            fallback = chosen
        if best is not None and how.startswith(MINIMUM):
            break  # passes that hardly differ have nearly one mean, and their minimum has it, too
        counted = _counted(report, nats, countings)
        enough = len(np.unique(places)) >= _LEAST_SHARE * len(known)
        if enough and _explains(report, places, nats, byte_counts, counted):
            whole = () if how.startswith((MINIMUM, FIRST)) else tuple(n for n, _ in chosen)
            stage = Stage(report, number, places, nats, order, True, how, known, counted, whole)
            rank = _rank(stage, chosen[0][1].via)
            best, ranked = (stage, rank) if best is None or rank < ranked else (best, ranked)
            if ranked == (1, 0.0):
                break
    if best is not None:
        return replace(best, order=_computed_order(charges, best.places, best.nats, best.order))
    return Stage(report, number, *flat(fallback), False, "the charges do not add up", known)


def _rounds(places: NDArray[np.int32]) -> int:
    """How often a place is charged on average, rounded. Two evaluations of a hardly trained model have
    nearly one mean, and so have both together: the fewest charges that explain a score are its record."""
    return max(1, round(len(places) / max(len(np.unique(places)), 1)))


def _rank(stage: Stage, via: str) -> tuple[int, float]:
    """Sorts what explains one score, likeliest first. Losses that the script itself was seen to add up are
    believed; of others, drafts may have nearly the same mean, so the nearest counts."""
    loss, rounds = stage.report.val_loss, _rounds(stage.places)
    if loss is None or via in TOTALS:
        return rounds, 0.0
    off = min(abs(float(mean) - loss) for mean in _means(stage.places, stage.nats))
    near = precision(stage.report.line, "val_loss") + EXACT * abs(loss)
    return rounds, 0.0 if off <= near else off


def _simplicity(stage: Stage) -> tuple[bool, int]:
    """Sorts explanations of one score: that a scorer takes the best of passes is believed last."""
    return stage.how.startswith(MINIMUM), _rounds(stage.places)


def _countings(counts: list[Numbered]) -> list[tuple[float, list[Numbered]]]:
    """Sets of byte counts that may be the denominator, each with its total: by line, and the last pass."""
    groups: dict[str, list[Numbered]] = {}
    for numbered in counts:
        groups.setdefault(numbered[1].site, []).append(numbered)
    sets = itertools.chain.from_iterable((g, last_pass(g)) for g in (*groups.values(), counts) if g)
    return [(sum(c.total for _, c in chosen), chosen) for chosen in sets]


def _counted(
    report: Reported, nats: NDArray[np.float64], countings: list[tuple[float, list[Numbered]]]
) -> Counted:
    """The bytes by which the losses make up the bits per byte to the printed digits, if such were seen."""
    bits, bpb = abs(float(nats.sum())) / math.log(2), report.val_bpb
    slack = precision(report.line, "val_bpb") + RELATIVE * (bpb or 0.0)
    for total, chosen in countings:
        if bpb and total > 0 and abs(bits / total - bpb) <= slack:
            places, numbers, _ = flat(chosen)
            return places, numbers
    return NOTHING


def _explains(
    report: Reported,
    places: NDArray[np.int32],
    nats: NDArray[np.float64],
    byte_counts: NDArray[np.int64] | None,
    counted: Counted,
) -> bool:
    known = places >= 0
    if not known.any() or known.mean() < 0.9:
        return False
    if report.val_loss is not None:
        return _has_mean(report, report.val_loss, places, nats)
    if len(counted[0]) or report.val_bpb is None or byte_counts is None:
        return len(counted[0]) > 0
    total = byte_counts[places[known]].sum()
    bpb = float(nats[known].sum()) / math.log(2) / max(int(total), 1)
    return abs(bpb - report.val_bpb) <= 0.01 * report.val_bpb


def _has_mean(report: Reported, loss: float, places: NDArray[np.int32], nats: NDArray[np.float64]) -> bool:
    slack = precision(report.line, "val_loss") + RELATIVE * abs(loss)
    return any(abs(float(mean) - loss) <= slack for mean in _means(places, nats))


def _means(places: NDArray[np.int32], nats: NDArray[np.float64]) -> tuple[np.float64, np.float64]:
    """Over all charges, and over those whose place is known."""
    return nats.mean(), nats[places >= 0].mean()


def _computed_order(
    charges: list[Numbered],
    places: NDArray[np.int32],
    nats: NDArray[np.float64],
    order: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Where one total takes (nearly) all, order by when each loss was computed.

    A place that was computed several times (windows that overlap, several passes) counts from the first
    computation of the very loss that is charged. Where most charges equal none, they are mixtures, and
    count from the first computation of all: single ones may be near a later one by chance.
    """
    _, counts = np.unique(order, return_counts=True)
    if counts.max() < 0.9 * len(order):
        return order
    when: dict[int, list[tuple[int, float]]] = {}
    for number, charge in charges:
        if charge.via not in TOTALS:
            for place, loss in zip(charge.where().tolist(), charge.losses().tolist(), strict=True):
                when.setdefault(place, []).append((number, abs(loss)))
    rows = list(zip(places.tolist(), np.abs(nats).tolist(), order.tolist(), strict=True))
    first = [when[place][0][0] if place in when else number for place, _, number in rows]
    same = [_same(when.get(place, ()), loss) for place, loss, _ in rows]
    if same.count(None) > len(same) / 2:
        return np.array(first, np.int64)
    both = zip(same, first, strict=True)
    return np.array([earliest if own is None else own for own, earliest in both], np.int64)


def _same(computed: Sequence[tuple[int, float]], loss: float) -> int | None:
    """The number of the first event that computed this very loss."""
    same = (number for number, value in computed if abs(value - loss) <= RELATIVE * max(loss, 1e-3))
    return next(same, None)
