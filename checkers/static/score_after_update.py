"""``score-after-update``: the weights or tables that charge a score have learned from its positions."""

from __future__ import annotations

from checkers.finding import CheckResult
from checkers.static._learning import Offence
from checkers.static._pairs_report import check_offence
from checkers.subject import Subject

MESSAGE = "The state that scores these positions has already learned from them."


def check(subject: Subject) -> CheckResult:
    """Look at every score behind the headline number and at what it had learned by then."""
    return check_offence(subject, Offence.AFTER, MESSAGE)
