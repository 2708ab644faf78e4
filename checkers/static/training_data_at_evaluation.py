"""``training-data-at-evaluation``: training shards are opened after the artifact was loaded for scoring."""

from __future__ import annotations

from checkers.facts import Did, Event
from checkers.facts.values import ARTIFACT, TRAIN, VAL
from checkers.finding import CheckResult, Strength, examined, plural
from checkers.static._events_report import event_finding
from checkers.static._learning import learning
from checkers.static._pairs_report import place
from checkers.static._report import numbered, unreadable, unscored
from checkers.subject import Subject

RULE = "training-data-at-evaluation"
MESSAGE = "Training tokens are used between loading the artifact and the reported score."


def check(subject: Subject) -> CheckResult:
    """Look at every use of training tokens and at when the artifact was loaded for the headline score."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    scores = learning(subject).headline.scores
    if not scores:
        return unscored(facts)
    loads = [e for e in facts.of(Did.LOAD) if e.bits & ARTIFACT and e.order < scores[0].order]
    used = [e for e in facts.of(Did.READ, Did.UPDATE) if e.bits & TRAIN]
    late = [e for e in used if loads and loads[-1].order < e.order < scores[-1].order and _alone(e)]
    late = [e for e in late if e.kind is not Did.READ] or late
    related = tuple(place(e, "the artifact was loaded here") for e in loads[-1:])
    findings = [
        event_finding(facts, RULE, e, MESSAGE, "training tokens", _weight(e), confidence=0.7, related=related)
        for e in late
    ]
    looked = f"{plural(len(used), 'use')} of training tokens, {plural(len(loads), 'load')} of the artifact"
    return examined(max(1, len(used)), looked, numbered(findings))


def _alone(event: Event) -> bool:
    return not event.bits & VAL


def _weight(event: Event) -> Strength:
    """Training on them is an offence; a temperature fitted to them was accepted (#640, #641)."""
    return Strength.CONVICTS if event.kind is Did.UPDATE else Strength.REMARK
