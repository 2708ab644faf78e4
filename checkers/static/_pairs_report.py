"""From the pairs of one offence to a checker's result: scored here, learned there, first scored there."""

from __future__ import annotations

from checkers.facts import Did, Event, Facts, Runs
from checkers.facts.place import locate
from checkers.finding import (
    CheckResult,
    Evidence,
    Finding,
    Kind,
    Location,
    Strength,
    examined,
    plural,
)
from checkers.static._later_ranks import later_ranks_only
from checkers.static._learning import Learning, Offence, Pair, learning
from checkers.static._report import numbered, unreadable, unscored
from checkers.subject import Subject

_VERB = {
    Did.UPDATE: "parameters are moved along the gradient of a loss on validation tokens",
    Did.COUNT: "a table is filled from validation tokens",
    Did.WRITE: "a value computed from validation tokens is written into the weights",
}


def check_offence(subject: Subject, offence: Offence, message: str) -> CheckResult:
    """Report every place of one offence behind the headline number."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    found = learning(subject)
    if not found.headline.scores:
        return unscored(facts)
    findings = [_finding(facts, offence, pair, found, message) for pair in found.of(offence)]
    places = {e.node for e in found.headline.scores}
    learns = plural(learned_places(facts), "place that learns", "places that learn")
    looked = f"{plural(len(places), 'score site')} and {learns} from validation tokens"
    return examined(len(places), looked, numbered(findings))


def learned_places(facts: Facts) -> int:
    """How many places learn from validation tokens, legally or not."""
    return len({e.node for e in facts.of(Did.UPDATE, Did.COUNT, Did.WRITE) if "val" in _split(facts, e)})


def _split(facts: Facts, event: Event) -> set[str]:
    return {k[1] for k in facts.keys(event.bits) if k[0] == "fixed"}


def place(event: Event, caption: str, step: int = 0) -> Location:
    """Where an event happened."""
    return locate(event.module, event.node, caption, step)


def way(event: Event) -> list[Location]:
    """The calls that led to an event, outermost first; that the script calls its ``main`` goes unsaid."""
    calls = [(module, node) for module, node in event.calls[-3:] if hasattr(node, "lineno")]
    places = [locate(module, node, "called here") for module, node in calls]
    return [p for p in places if p.scope]


def _finding(facts: Facts, offence: Offence, pair: Pair, found: Learning, message: str) -> Finding:
    related = [place(pair.score, "scored here, for the reported number", 3)]
    if pair.before is not None:
        related.append(place(pair.before, "the same positions were scored here before", 1))
    reach = facts.reaches(pair.learned.node)
    sure = pair.learned.sure and pair.score.sure and facts.complete and reach.runs is Runs.YES
    if found.headline.guessed:
        sure = False
    if offence is Offence.RESCORED and not found.headline.known:
        sure = False  # the first score may be the one that was claimed
    if later_ranks_only(facts, pair.learned):
        sure, message = (
            False,
            f"{message} Only later ranks do so, perhaps with what the ranks before them score.",
        )
    return Finding(
        rule=offence.value,
        message=message,
        where=place(pair.learned, f"here {_VERB[pair.learned.kind]}", 2),
        evidence=Evidence(
            Kind.STATIC,
            f"{message} {_reported(found)}",
            {
                "learned_line": getattr(pair.learned.node, "lineno", 0),
                "scored_line": getattr(pair.score.node, "lineno", 0),
                "headline": found.headline.how,
            },
        ),
        strength=Strength.CONVICTS if sure else Strength.SUSPECT,
        confidence=0.9 if sure else 0.5,
        related=(*related, *way(pair.learned)),
        reach=reach.why,
    )


def _reported(found: Learning) -> str:
    report = found.headline.reports[-1]
    text = "".join(p if isinstance(p, str) else "…" for p in report.data["text"]).strip()
    return f"Reported as “{text[:120]}”: {found.headline.how}."
