"""``rank-zero-weights``: one rank changes its weights and all ranks score with their own."""

from __future__ import annotations

from checkers.facts import Did, Event
from checkers.facts.values import VAL
from checkers.finding import CheckResult, Strength, examined, nothing_to_check, plural
from checkers.static._events_report import event_finding
from checkers.static._learning import learning
from checkers.static._report import numbered, unreadable
from checkers.subject import Subject

RULE = "rank-zero-weights"
MESSAGE = "Only some ranks change their weights here, and they are not sent to the others before the score."


def check(subject: Subject) -> CheckResult:
    """Look at every change of weights that hangs on the rank and at what is sent afterwards."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    if facts.settings.world_size == 1:
        return nothing_to_check("the run used one process")
    scores = [s for s in learning(subject).headline.scores if not s.data["ranked"]]
    changes = [e for e in facts.of(Did.UPDATE, Did.LOAD) if e.data["models"] and not e.bits & VAL]
    shared = [e.order for e in facts.of(Did.SHARED)]
    bad = [e for e in changes if e.data["ranked"] and scores and _stays(e, scores[-1], changes, shared)]
    findings = [
        event_finding(facts, RULE, e, MESSAGE, "only on some ranks", Strength.SUSPECT, confidence=0.5)
        for e in bad
    ]
    return examined(
        max(1, len(changes)),
        plural(len(changes), "change of weights", "changes of weights"),
        numbered(findings),
    )


def _stays(event: Event, score: Event, changes: list[Event], shared: list[int]) -> bool:
    """Whether nothing brings the ranks together again before the score."""
    if event.order > score.order or any(event.order < s < score.order for s in shared):
        return False
    later = [e for e in changes if e.kind is Did.LOAD and event.order < e.order < score.order]
    return not any(e.objects & event.objects and not e.data["ranked"] for e in later)
