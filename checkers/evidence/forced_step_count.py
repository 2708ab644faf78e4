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

RULE = "forced-step-count"
_FORCED = re.compile(r"(?:force\w*_(?:stop|step)\w*|stop_step|force_step|max_steps_override)$")


def check(subject: Subject) -> CheckResult:
    """Look for a forced stopping step, or a switched-off clock, in every counted run."""
    if track(subject) is not Track.RECORD:
        return nothing_to_check("the ten-minute limits bind the record track")
    runs = counted(subject)
    if not runs:
        return cannot_tell("no finished run is logged")
    findings = [f for run in runs for f in _findings(run)]
    return examined(len(runs), plural(len(runs), "run"), findings)


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
