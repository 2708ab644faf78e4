"""``validation-in-training``: training itself takes a gradient on validation tokens."""

from __future__ import annotations

from checkers.finding import CheckResult
from checkers.static._learning import Offence
from checkers.static._pairs_report import check_offence
from checkers.subject import Subject

MESSAGE = "Training takes gradient steps on the tokens that are scored afterwards."


def check(subject: Subject) -> CheckResult:
    """Look at every score behind the headline number and at what it had learned by then."""
    return check_offence(subject, Offence.TRAINING, MESSAGE)
