"""``prequant-ttt``: the weights are tuned on validation tokens before they are quantized and saved."""

from __future__ import annotations

from checkers.finding import CheckResult
from checkers.static._learning import Offence
from checkers.static._pairs_report import check_offence
from checkers.subject import Subject

MESSAGE = (
    "The weights were tuned on the validation tokens before they were serialized, then scored on the "
    "same tokens."
)


def check(subject: Subject) -> CheckResult:
    """Look at every score behind the headline number and at what it had learned by then."""
    return check_offence(subject, Offence.PREQUANT, MESSAGE)
