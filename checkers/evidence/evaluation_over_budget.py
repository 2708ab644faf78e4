"""The evaluation that gives the claimed score has 600 seconds of its own."""

from __future__ import annotations

from dataclasses import replace

from checkers.evidence._clock import Duration, binding, evaluation, of_seed
from checkers.evidence._runs import Counted, counted, settle
from checkers.evidence._say import found, plural
from checkers.evidence._track import RECORD_SECONDS, Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Place, TimingKind

RULE = "evaluation-over-budget"


def check(subject: Subject) -> CheckResult:
    """Compare the claimed evaluation, and what the run adapted before it, with the budget."""
    if track(subject) is not Track.RECORD:
        return nothing_to_check("the ten-minute limits bind the record track")
    timed = [(run, t) for run in counted(subject) if (t := evaluation(run))]
    if not timed:
        return cannot_tell("no log gives the time that the claimed evaluation took")
    findings = [f for run, t in timed if (f := _finding(subject, run, t))]
    return examined(
        len(timed), plural(len(timed), "evaluation time"), settle(findings, [run for run, _ in timed])
    )


def _finding(subject: Subject, run: Counted, taken: Duration) -> Finding | None:
    if taken.seconds > RECORD_SECONDS:
        message = f"the claimed evaluation took {taken.seconds:.1f} s{of_seed(run.log)}"
        return _grade(subject, run, message, taken, ())
    before = _adaptation(run)
    total = taken.seconds + sum(d.seconds for d in before)
    if before and total > RECORD_SECONDS:
        message = (
            f"evaluation and the adaptation before it took {total:.1f} s"
            f"{of_seed(run.log)}, above {RECORD_SECONDS:.0f} s"
        )
        related = [(d.place, f"{d.seconds:.1f} s of test-time training") for d in before]
        finding = _grade(subject, run, message, taken, related)
        convicts = finding.strength is Strength.CONVICTS
        return replace(finding, strength=Strength.SUSPECT) if convicts else finding
    return None


def _adaptation(run: Counted) -> list[Duration]:
    """Test-time training that ended between the training clock and the claimed score."""
    start = run.log.stop.place.line if run.log.stop else 0
    return [
        Duration(t.seconds, t.place)
        for t in run.log.timings
        if t.kind is TimingKind.ADAPTATION and start < t.place.line < run.score.place.line
    ]


def _grade(
    subject: Subject,
    run: Counted,
    message: str,
    taken: Duration,
    related: list[tuple[Place, str]] | tuple[()],
) -> Finding:
    strength, why = binding(subject, run.log)
    data = {"seconds": taken.seconds, "limit": RECORD_SECONDS, "seed": run.log.seed_value}
    return found(RULE, message + why, taken.place, strength, 0.9, data=data, related=related)
