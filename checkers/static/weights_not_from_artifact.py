"""``weights-not-from-artifact``: the weights that are scored never went through the saved artifact."""

from __future__ import annotations

from checkers.facts import Did, Event
from checkers.facts.values import ARTIFACT, TRAIN, VAL
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined, plural
from checkers.static._events_report import event_finding
from checkers.static._learning import learning
from checkers.static._pairs_report import place
from checkers.static._report import numbered, unreadable, unscored
from checkers.subject import Subject

RULE = "weights-not-from-artifact"
MESSAGE = "The reported score is made with the weights in memory, not with those read back from the artifact."


def check(subject: Subject) -> CheckResult:
    """Look at every headline score and whether its weights were read from a file the script wrote."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    scores = learning(subject).headline.scores
    if not scores:
        return unscored(facts)
    trained = [e for e in facts.of(Did.UPDATE) if e.bits & TRAIN and not e.bits & VAL]
    if not trained or not facts.complete:
        return cannot_tell("the training that makes the weights was not found in the script")
    read_back = any(e.bits & ARTIFACT for e in facts.of(Did.LOAD))
    bad = [] if read_back or any(s.bits & ARTIFACT for s in scores) else scores[-1:]
    findings = [_finding(subject, event) for event in bad]
    return examined(
        len(scores), f"{plural(len(scores), 'score')} behind the headline number", numbered(findings)
    )


# A remark only: reading alone suspected eight heads of the public verdicts, none of them for this
# offence. Artifacts that another process reads back look the same; the run decides.
def _finding(subject: Subject, event: Event) -> Finding:
    related = tuple(place(e, "the artifact is written here") for e in subject.facts.of(Did.SAVE)[-1:])
    return event_finding(
        subject.facts, RULE, event, MESSAGE, "scored here", Strength.REMARK, confidence=0.5, related=related
    )
