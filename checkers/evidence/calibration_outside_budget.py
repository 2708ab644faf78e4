"""Calibration on training data is training: it must end inside the 600 seconds."""

from __future__ import annotations

import re

from checkers.evidence._clock import binding, grace, openly_longer, training
from checkers.evidence._runs import Counted, counted, settle
from checkers.evidence._say import found, plural
from checkers.evidence._track import RECORD_SECONDS, Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Timing, TimingKind

RULE = "calibration-outside-budget"
_OWN_SAMPLES = re.compile(
    r"autoregressive|self[-_ ]?gen|generat|random[-_ ](?:token|calib)|synthetic|\bar\b", re.IGNORECASE
)
_ACCEPTED = 5.0  # seconds: accepted records exceed the clock by up to 4.3 s (#1120, #1514, #1851, #1855)
_SETTLED = 10.0  # seconds: above it every known case was held against the entry (#1028, #1809)
_LEAST = 0.5  # seconds: shorter calibration is within the noise of the clock


def check(subject: Subject) -> CheckResult:
    """Add the printed calibration time to the training clock of every counted run."""
    if track(subject) is not Track.RECORD:
        return nothing_to_check("the ten-minute limits bind the record track")
    runs = [run for run in counted(subject) if training(run.log)]
    timed = [(run, t) for run in runs for t in _calibrations(run)]
    if not runs:
        return cannot_tell("no log gives the time that training took")
    if not timed:
        return nothing_to_check("no log prints a calibration")
    findings = [f for run, t in timed if (f := _finding(subject, run, t))]
    return examined(
        len(timed), plural(len(timed), "calibration time"), settle(findings, [run for run, _ in timed])
    )


def _calibrations(run: Counted) -> list[Timing]:
    """The longest calibration of a run, unless it calibrated on its own samples."""
    timed = [t for t in run.log.timings if t.kind is TimingKind.CALIBRATION and t.seconds >= _LEAST]
    if not timed or _calibrates_on_samples(run):
        return []
    return [max(timed, key=lambda t: t.seconds)]


def _calibrates_on_samples(run: Counted) -> bool:
    named = [s for name, s in run.log.settings.items() if "calib" in name or name.startswith("gptq")]
    lines = [s.place.excerpt for s in named] + [t.place.excerpt for t in run.log.timings]
    return any(_OWN_SAMPLES.search(line) for line in lines)


def _finding(subject: Subject, run: Counted, calibration: Timing) -> Finding | None:
    clock = training(run.log)
    if clock is None or clock.place.line > calibration.place.line:
        return None
    excess = clock.seconds + calibration.seconds - RECORD_SECONDS
    if excess <= grace(run.log):
        return None
    message = (
        f"calibration took {calibration.seconds:.1f} s after {clock.seconds:.1f} s of training: "
        f"together {excess:.1f} s too long"
    )
    bound, why = binding(subject, run.log)
    weak = bound is Strength.REMARK or openly_longer(run.log) or excess <= _ACCEPTED
    strength = bound if excess > _SETTLED else Strength.SUSPECT
    data = {"training": clock.seconds, "calibration": calibration.seconds, "limit": RECORD_SECONDS}
    return found(
        RULE,
        message + why,
        calibration.place,
        Strength.REMARK if weak else strength,
        0.8,
        data=data,
        related=[(clock.place, "training stopped here")],
    )
