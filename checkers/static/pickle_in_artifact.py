"""``pickle-in-artifact``: the artifact is read by a loader that executes what it reads."""

from __future__ import annotations

from checkers.facts import Did
from checkers.facts.values import ARTIFACT
from checkers.finding import CheckResult, Strength, examined, plural
from checkers.static._events_report import event_finding
from checkers.static._report import numbered, unreadable
from checkers.subject import Subject

RULE = "pickle-in-artifact"
MESSAGE = "The artifact is unpickled: what it holds can run code when it is loaded."


def check(subject: Subject) -> CheckResult:
    """Look at every loader of pickles and at whether it reads the artifact."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    loads = facts.of(Did.PICKLE)
    findings = [
        event_finding(facts, RULE, e, MESSAGE, str(e.data["name"]), Strength.REMARK)
        for e in loads
        if e.bits & ARTIFACT
    ]
    return examined(
        max(1, len(facts.events)),
        plural(len(loads), "loader that executes", "loaders that execute"),
        numbered(findings),
    )
