"""``network-at-evaluation``: something is downloaded or installed while the score is made."""

from __future__ import annotations

from checkers.facts import Did, Event
from checkers.facts.values import TRAIN, VAL
from checkers.finding import CheckResult, Strength, examined, plural
from checkers.static._events_report import event_finding
from checkers.static._learning import learning
from checkers.static._report import numbered, unreadable
from checkers.subject import Subject

RULE = "network-at-evaluation"
MESSAGE = "The network is used after training and before the reported score."
BEFORE = "The network is used before training; the evaluation does not depend on it."


def check(subject: Subject) -> CheckResult:
    """Look at every download and installation and at whether it happens after training."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    used = facts.of(Did.NETWORK)
    scores = learning(subject).headline.scores
    trained = [e.order for e in facts.of(Did.UPDATE) if e.bits & TRAIN and not e.bits & VAL]
    end = scores[-1].order if scores else -1
    findings = []
    for event in used:
        late = bool(trained) and trained[-1] < event.order < end
        strength = Strength.CONVICTS if late else Strength.REMARK
        findings.append(
            event_finding(facts, RULE, event, MESSAGE if late else BEFORE, _what(event), strength)
        )
    return examined(
        max(1, len(facts.events)), f"{plural(len(used), 'use')} of the network", numbered(findings)
    )


def _what(event: Event) -> str:
    return str(event.data.get("command") or event.data.get("name", "network"))
