"""``byte-fallback-overcount``: a byte token counted by its name or by the replacement character."""

from __future__ import annotations

from checkers.finding import (
    CheckResult,
    Evidence,
    Finding,
    Kind,
    Location,
    Strength,
    cannot_tell,
    examined,
    nothing_to_check,
    plural,
)
from checkers.static._byte_log import against
from checkers.static._byte_tables import Counting, builders, countings, sized
from checkers.static._report import finding, numbered, unreadable
from checkers.static._sample_tokens import BYTES, PIECES
from checkers.static._shipped_tables import ShippedTable, shipped_tables
from checkers.subject import Subject

RULE = "byte-fallback-overcount"


def check(subject: Subject) -> CheckResult:
    """Ask every byte table in use about byte tokens; compare shipped tables with their vocabularies."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    built, shipped = countings(subject), shipped_tables(subject)
    found = [f for c in built if (f := _built(subject, c)) is not None]
    found += [f for t in shipped if (f := _shipped(t)) is not None]
    count = len(built) + len(shipped)
    if count:
        return examined(
            count, f"{plural(len(built), 'table')} built, {len(shipped)} shipped", numbered(found)
        )
    if builders(facts) and not sized(facts):
        return cannot_tell("a table builder runs, but it could not be evaluated and linked to its use")
    return nothing_to_check("no byte table is built or shipped")


def _built(subject: Subject, counting: Counting) -> Finding | None:
    wrong = [p for p in BYTES if counting.total(p) > PIECES[p].size]
    if not wrong:
        return None
    piece = PIECES[wrong[-1]]
    strength, but = against(subject)
    message = (
        f"The byte token {piece.text!r} stands for 1 byte and is counted as {counting.total(wrong[-1])}.{but}"
    )
    related = [subject.facts.place(counting.builder, "the table is built here")]
    return finding(
        subject.facts,
        RULE,
        counting.node,
        message,
        caption="counted here",
        related=related,
        confidence=0.95,
        strength=strength,
        data={"piece": piece.text, "counted": counting.total(wrong[-1])},
    )


def _shipped(table: ShippedTable) -> Finding | None:
    """A run of single high bytes that the table counts as three each: U+FFFD in UTF-8."""
    if table.replaced < 8:
        return None
    message = (
        f"{table.replaced} tokens in a row among the single-byte tokens are counted as 3 bytes each, "
        "the length of the replacement character: bytes that are no text of their own were decoded "
        "and encoded again."
    )
    where = Location(path=table.path, caption="the shipped table")
    evidence = Evidence(Kind.DOCUMENT, message, {"tokens": table.replaced, "first": table.first})
    return Finding(
        RULE, message, where, evidence, Strength.CONVICTS, 0.95, reach="the table is part of the submission"
    )
