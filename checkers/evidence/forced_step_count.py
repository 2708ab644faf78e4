"""A record stops on its clock; a step count that was chosen by hand hides how long training takes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checkers.evidence._clock import openly_longer, smaller_machine
from checkers.evidence._runs import Counted, counted
from checkers.evidence._say import found, plural
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Place

RULE = "forced-step-count"
_SAID = re.compile(r"\bFORCE_\w*STEP\w*\s*=\s*([1-9]\d{1,6})\b")
_FORCED = re.compile(r"(?:force\w*_(?:stop|step)\w*|stop_step|force_step|max_steps_override)$")


def check(subject: Subject) -> CheckResult:
    """Look for a forced stopping step, or a switched-off clock, in every counted run."""
    if track(subject) is not Track.RECORD:
        return nothing_to_check("the ten-minute limits bind the record track")
    runs = counted(subject)
    if not runs:
        return cannot_tell("no finished run is logged")
    findings = [f for run in runs for f in _findings(run)] or list(_stated(subject, runs))
    return examined(len(runs), plural(len(runs), "run"), findings)


def _stated(subject: Subject, runs: tuple[Counted, ...]) -> Iterator[Finding]:
    """A step that a command exports or the README names, and at which a counted run did stop."""
    stops = {step for run in runs if (step := _stopped_at(run)) is not None}
    for place, text in _statements(subject):
        for said in _SAID.finditer(text):
            if int(said[1]) in stops:
                message = f"{said[0]}, and a claimed run stopped at that very step"
                yield found(RULE, message, place, Strength.SUSPECT, 0.8, data={"step": int(said[1])})
                return


def _stopped_at(run: Counted) -> int | None:
    last = run.log.stop or run.log.last_step
    return last.step if last else None


def _statements(subject: Subject) -> Iterator[tuple[Place, str]]:
    for command in subject.logs.commands:
        yield command.place, " ".join(f"{name}={value}" for name, value in command.env.items())
    path = subject.logs.readme_path
    for number, line in enumerate(subject.submission.text(path).splitlines() if path else (), 1):
        yield Place(path or "", number, line.strip()[:300]), line[:2000]


def _findings(run: Counted) -> Iterator[Finding]:
    weak = smaller_machine(run.log) or openly_longer(run.log)
    for name, setting in run.log.settings.items():
        if _FORCED.match(name) and re.fullmatch(r"[1-9]\d{1,6}", setting.value):
            message = f"{name} = {setting.value}: the step at which training stops was set, not measured"
            strength = Strength.REMARK if weak else Strength.SUSPECT
            yield found(RULE, message, setting.place, strength, 0.8, data={name: setting.value})
    cap = run.log.settings.get("max_wallclock_seconds")
    if cap and re.fullmatch(r"0(?:\.0*)?", cap.value) and not run.log.stop:
        message = "max_wallclock_seconds = 0: the clock was switched off"
        yield found(RULE, message, cap.place, Strength.REMARK, 0.6)
