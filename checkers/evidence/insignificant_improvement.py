"""A record must beat its predecessor by 0.005 nats per token, significantly."""

from __future__ import annotations

import math
import statistics

from scipy.special import stdtr

from checkers.evidence._bytes import per_token
from checkers.evidence._runs import Counted, counted
from checkers.evidence._say import found, plural
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Strength, cannot_tell, examined, nothing_to_check
from checkers.subject import Subject
from rules.records import MARGIN_NATS, PRACTISED_P, WRITTEN_P, Record, contested, incumbent

RULE = "insignificant-improvement"
_NO_SPREAD = 1e-18  # squared bpb: the seeds agree to every printed digit
_BYTES_PER_TOKEN = 3.7266  # of the 8192-piece tokenizer most records use, where the log gives no ratio


def check(subject: Subject) -> CheckResult:
    """Test the seeds against the record of the day before: plain gain, written and practised p."""
    if track(subject) is not Track.RECORD:
        return nothing_to_check("only a record must beat the record")
    claim = subject.logs.claimed_bpb()
    if claim is None:
        return cannot_tell("no score is claimed")
    stated = (subject.logs.metadata or {}).get("date")
    record = incumbent(contested(subject.as_of, stated, subject.submission.submitted_on))
    if record is None:
        return nothing_to_check("there was no record yet")
    runs = counted(subject)
    values = [run.score.bpb for run in runs if run.score.bpb is not None] or [claim.value]
    margin = MARGIN_NATS / (_ratio(runs) * math.log(2.0))
    gain = record.bpb - statistics.fmean(values)
    plain = p_value(values, record, 0.0)
    against = p_value(values, record, margin)
    looked = f"{plural(len(values), 'score')} against {record.bpb} of {record.on}"
    if gain >= margin and plain is not None and plain <= PRACTISED_P:
        return examined(len(values), looked)
    message = (
        f"mean {statistics.fmean(values):.5f} against {record.bpb} of {record.on}: gain {gain:+.5f} bpb, "
        f"{MARGIN_NATS} nats per token are {margin:.5f} bpb; {_worded(plain, against)}"
    )
    data = {"gain": round(gain, 6), "margin": round(margin, 6), "p_any": plain, "p_margin": against}
    return examined(len(values), looked, [found(RULE, message, claim.place, Strength.REMARK, 0.7, data=data)])


def p_value(values: list[float], record: Record, margin: float) -> float | None:
    """One-sided Welch test that the mean of ``values`` is below that of the record by ``margin`` bpb.

    None where either side has fewer than two seeds: then nothing can be tested.
    """
    if len(values) < 2 or len(record.seeds) < 2:
        return None
    ours, theirs = (statistics.variance(x) / len(x) for x in (values, record.seeds))
    difference = statistics.fmean(values) + margin - statistics.fmean(record.seeds)
    if ours + theirs < _NO_SPREAD:
        return 0.0 if difference < 0.0 else 1.0
    freedom = (ours + theirs) ** 2 / (ours**2 / (len(values) - 1) + theirs**2 / (len(record.seeds) - 1))
    return round(float(stdtr(freedom, difference / math.sqrt(ours + theirs))), 6)


def _worded(plain: float | None, against: float | None) -> str:
    if plain is None or against is None:
        return "too few seeds on one side to test"
    practice = f"p = {plain:.3g} for any gain ({PRACTISED_P} in practice)"
    return f"{practice}, {against:.3g} for that one ({WRITTEN_P} as written)"


def _ratio(runs: tuple[Counted, ...]) -> float:
    ratios = [r for run in runs if (r := per_token(run.score)) is not None]
    return statistics.median(ratios) if ratios else _BYTES_PER_TOKEN
