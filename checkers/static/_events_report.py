"""From single events of the simulated run to findings."""

from __future__ import annotations

from checkers.facts import Event, Facts, Runs
from checkers.finding import Evidence, Finding, Kind, Location, Strength
from checkers.static._pairs_report import place, way


def event_finding(
    facts: Facts,
    rule: str,
    event: Event,
    message: str,
    caption: str,
    strength: Strength,
    *,
    confidence: float = 0.8,
    related: tuple[Location, ...] = (),
) -> Finding:
    """A finding at an event. What only an undecided setting leads to is suspected, never convicted."""
    reach = facts.reaches(event.node)
    sure = event.sure and facts.complete and reach.runs is Runs.YES
    if strength is Strength.CONVICTS and not sure:
        strength = Strength.SUSPECT
    return Finding(
        rule=rule,
        message=message,
        where=place(event, caption),
        evidence=Evidence(Kind.STATIC, message),
        strength=strength,
        confidence=confidence if sure else min(confidence, 0.5),
        related=(*related, *way(event)),
        reach=reach.why,
    )
