"""``scored-region-slot``: a delta is optimized on the very positions it then scores."""

from __future__ import annotations

from checkers.finding import CheckResult
from checkers.static._learning import Offence
from checkers.static._pairs_report import check_offence
from checkers.subject import Subject

MESSAGE = "What is optimized here is fitted to the targets of the same positions that are scored with it."


def check(subject: Subject) -> CheckResult:
    """Look at every score behind the headline number and at what it had learned by then."""
    return check_offence(subject, Offence.SLOT, MESSAGE)
