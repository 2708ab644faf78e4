"""From an experiment of the instrumented run to a check result."""

from __future__ import annotations

import re
from typing import Any

from checkers.finding import (
    CheckResult,
    Evidence,
    Finding,
    Kind,
    Location,
    Strength,
    cannot_tell,
    examined,
    nothing_to_check,
)
from checkers.subject import Subject
from harness.record import Experiment, Holds, Outcome, RunRecord

_SETTINGS = {
    "as_claimed": "the settings that its logs and its run command show",
    "default": "its own defaults",
}
_SITE = re.compile(r"([^\s+]+):(\d+)")


def experiment(subject: Subject, name: str) -> Experiment | CheckResult:
    """The named experiment, or why there is none."""
    run = subject.run
    if run is None or run.outcome is Outcome.SKIPPED:
        return nothing_to_check("nothing was run")
    if run.outcome is not Outcome.COMPLETED:
        return cannot_tell(f"the run did not reach a score: {run.blocker or run.outcome.value}")
    found = next((e for e in run.experiments if e.name == name), None)
    if found is None:
        return cannot_tell("the run was not accompanied by experiments")
    return found


def decide(
    subject: Subject, name: str, rule: str, strength: Strength, confidence: float, looked_at: str
) -> CheckResult:
    """A finding if the experiment was violated; otherwise what it says."""
    found = experiment(subject, name)
    if isinstance(found, CheckResult):
        return found
    if found.result is Holds.VIOLATED:
        return examined(1, looked_at, [finding(subject, rule, found, strength, confidence)])
    if found.result is Holds.HOLDS:
        return examined(1, looked_at)
    return cannot_tell(found.summary)


def finding(
    subject: Subject, rule: str, shown: Experiment, strength: Strength, confidence: float, message: str = ""
) -> Finding:
    """A finding with the experiment as its counterexample, placed where the score is added up."""
    assert subject.run is not None
    return Finding(
        rule=rule,
        message=message or shown.summary,
        where=_where(subject, subject.run),
        evidence=Evidence(Kind.COUNTEREXAMPLE, shown.summary, _data(shown)),
        strength=strength,
        confidence=confidence,
        reach=f"the script was run with {_SETTINGS.get(subject.run.profile, subject.run.profile)}",
    )


def _data(shown: Experiment) -> dict[str, Any]:
    return {"experiment": shown.name, "replay": shown.replay, **shown.data}


def _where(subject: Subject, run: RunRecord) -> Location:
    """The line at which the charges behind the score are summed, else the script as a whole."""
    trace = next((e for e in run.experiments if e.name == "trace"), None)
    site = _SITE.search(str(trace.data.get("how", ""))) if trace else None
    path = subject.submission.entry_script or "train_gpt.py"
    if site is None:
        return Location(path)
    layer = next((la for la in subject.layers if la.name == site[1]), None)
    line = int(site[2])
    if layer is None:
        return Location(path, caption="scored here") if site[1] != path else Location(path, line)
    text = layer.text.splitlines()
    excerpt = text[line - 1].strip()[:200] if 0 < line <= len(text) else ""
    return Location(layer.path, line, layer=layer.name, caption="scored here", excerpt=excerpt)
