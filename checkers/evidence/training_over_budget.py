"""Training on the full node must stop at 600 seconds."""

from __future__ import annotations

from checkers.evidence._clock import binding, grace, of_seed, training
from checkers.evidence._runs import Counted, counted, settle
from checkers.evidence._say import found, plural
from checkers.evidence._track import RECORD_SECONDS, Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Measure

RULE = "training-over-budget"
STATED_GRACE = 5.0  # seconds: stated times are rounded, and some count the start-up


def check(subject: Subject) -> CheckResult:
    """Compare the training clock of every counted run with the budget, two steps of grace allowed."""
    if track(subject) is not Track.RECORD:
        return nothing_to_check("the ten-minute limits bind the record track")
    runs = counted(subject)
    timed = [run for run in runs if training(run.log)]
    if not timed:
        return _stated(subject)
    findings = [f for run in timed if (f := _finding(subject, run))]
    return examined(len(timed), plural(len(timed), "training clock"), settle(findings, timed))


def _stated(subject: Subject) -> CheckResult:
    """Without a log, the time that the submission itself states for the whole of its training."""
    claims = [c for c in subject.logs.claims if c.measure is Measure.TRAIN_SECONDS and c.seed is None]
    if not claims:
        return cannot_tell("no log or document gives the time that training took")
    longest = max(claims, key=lambda c: c.value)
    findings = []
    if longest.value > RECORD_SECONDS + STATED_GRACE:
        message = f"the submission states {longest.value:.0f} s of training and ships no log of it"
        findings.append(found(RULE, message, longest.place, Strength.SUSPECT, 0.6))
    return examined(len(claims), plural(len(claims), "stated training time"), findings)


def _finding(subject: Subject, run: Counted) -> Finding | None:
    clock = training(run.log)
    if clock is None or clock.seconds <= RECORD_SECONDS + grace(run.log):
        return None
    over = clock.seconds - RECORD_SECONDS
    message = f"training took {clock.seconds:.1f} s{of_seed(run.log)}, {over:.1f} s too long"
    strength, why = binding(subject, run.log)
    data = {"seconds": clock.seconds, "limit": RECORD_SECONDS, "seed": run.log.seed_value}
    return found(RULE, message + why, clock.place, strength, 0.9, data=data)
