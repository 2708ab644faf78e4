"""``rescored-validation``: positions that were scored and then learned from are scored a second time."""

from __future__ import annotations

from checkers.finding import CheckResult
from checkers.static._learning import Offence
from checkers.static._pairs_report import check_offence
from checkers.subject import Subject

MESSAGE = (
    "These positions are scored once, learned from, and then scored again; the second score is the "
    "reported one."
)


def check(subject: Subject) -> CheckResult:
    """Look at every score behind the headline number and at what it had learned by then."""
    return check_offence(subject, Offence.RESCORED, MESSAGE)
