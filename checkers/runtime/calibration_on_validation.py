"""The artifact depends on validation tokens although no optimizer step used them."""

from __future__ import annotations

from dataclasses import replace

from checkers.finding import CheckResult, Finding, Strength
from checkers.runtime._independence import check_cause
from checkers.static._selection import chosen_by_score
from checkers.subject import Subject

RULE = "calibration-on-validation"


def check(subject: Subject) -> CheckResult:
    """Read the run on other validation tokens; selection by validation loss looks the same, so: suspect."""
    result = check_cause(subject, RULE, Strength.SUSPECT, 0.7)
    return replace(result, findings=tuple(_explained(subject, f) for f in result.findings))


def _explained(subject: Subject, finding: Finding) -> Finding:
    """A remark where the code chooses between weights by their validation loss, which no ruling forbids."""
    branch = chosen_by_score(subject.facts)
    if branch is None:
        return finding
    place = subject.facts.place(branch, "weights are chosen by their validation loss here")
    message = f"{finding.message}; the code chooses between weights by validation loss, which explains it"
    return replace(finding, message=message, strength=Strength.REMARK, related=(*finding.related, place))
