"""``score-after-update``: the weights or tables that charge a score have learned from its positions."""

from __future__ import annotations

from dataclasses import replace

from checkers.finding import CheckResult
from checkers.static._last_chunk import unguarded
from checkers.static._learning import Offence, learning
from checkers.static._pairs_report import check_offence
from checkers.subject import Subject

MESSAGE = "The state that scores these positions has already learned from them."


def check(subject: Subject) -> CheckResult:
    """Look at every score behind the headline number and at what it had learned by then.

    Where all is in order, learning that serves no later score is remarked upon.
    """
    result = check_offence(subject, Offence.AFTER, MESSAGE)
    if result.findings or not result.examined:
        return result
    found = learning(subject)
    if found.pairs:
        return result
    return replace(result, findings=tuple(unguarded(subject.facts, found, Offence.AFTER.value)))
