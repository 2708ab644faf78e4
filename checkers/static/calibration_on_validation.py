"""``calibration-on-validation``: weights depend on statistics of validation tokens, or on trials."""

from __future__ import annotations

from dataclasses import replace

from checkers.finding import CheckResult, Finding
from checkers.static._learning import Offence, learning
from checkers.static._pairs_report import check_offence
from checkers.static._report import finding, numbered
from checkers.static._trials import Trial, trials
from checkers.subject import Subject

RULE = "calibration-on-validation"
MESSAGE = "A value computed from validation tokens is written into the weights that score them."
SEARCHED = "Weights are changed at random; a change is kept where it lowers the loss on validation tokens."


def check(subject: Subject) -> CheckResult:
    """Look at every score behind the headline number and at what it had learned by then."""
    result = check_offence(subject, Offence.CALIBRATION, MESSAGE)
    if not result.examined:
        return result
    searched = [_searched(subject, t) for t in trials(subject.facts, learning(subject).headline)]
    return replace(result, findings=numbered((*result.findings, *searched)))


def _searched(subject: Subject, trial: Trial) -> Finding:
    facts = subject.facts
    edited = facts.place(trial.edit, "changed here")
    return finding(facts, RULE, trial.test, SEARCHED, caption="kept or taken back here", related=[edited])
