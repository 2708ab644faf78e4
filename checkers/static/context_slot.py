"""``context-slot``: a delta is optimized on the context of the positions it then scores."""

from __future__ import annotations

from checkers.finding import CheckResult
from checkers.static._learning import Offence
from checkers.static._pairs_report import check_offence
from checkers.subject import Subject

MESSAGE = "A per-window delta is fitted on the context part of the window before its tail is scored."


def check(subject: Subject) -> CheckResult:
    """Look at every score behind the headline number and at what it had learned by then."""
    return check_offence(subject, Offence.CONTEXT, MESSAGE)
