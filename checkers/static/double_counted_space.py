"""``double-counted-space``: the byte table and the accumulator both count the space of a marked piece."""

from __future__ import annotations

from checkers.finding import CheckResult, Finding, cannot_tell, examined, nothing_to_check, plural
from checkers.static._byte_log import against
from checkers.static._byte_tables import Counting, builders, countings, sized
from checkers.static._report import finding, numbered, unreadable
from checkers.static._sample_tokens import PIECES, SPACED_ACCENT, SPACED_WORD
from checkers.subject import Subject

RULE = "double-counted-space"


def check(subject: Subject) -> CheckResult:
    """Ask every byte table in use, together with its accumulator, about pieces with a leading space."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    made = builders(facts)
    if not made:
        return nothing_to_check("the code that runs builds no byte table from a tokenizer")
    found = countings(subject)
    if not found and sized(facts):
        return nothing_to_check(
            "the byte table is built, but nothing that runs reads it: bytes are counted otherwise"
        )
    if not found:
        return cannot_tell(
            f"{len(made)} table builders run, but none could be evaluated and linked to its use"
        )
    return examined(
        len(found), f"{plural(len(found), 'byte table')} in use", numbered(_findings(subject, found))
    )


def _findings(subject: Subject, found: list[Counting]) -> list[Finding]:
    return [_finding(subject, c) for c in found if all(c.total(p) > PIECES[p].size for p in _SPACED)]


_SPACED = (SPACED_WORD, SPACED_ACCENT)


def _finding(subject: Subject, counting: Counting) -> Finding:
    facts = subject.facts
    piece = PIECES[SPACED_WORD]
    size, total = counting.sizes[SPACED_WORD], counting.total(SPACED_WORD)
    added = " and the accumulator adds 1 for the leading space" if counting.spaces else ""
    strength, but = against(subject)
    message = (
        f"The piece {piece.text!r} stands for {piece.size} bytes; the table holds {size}{added}, so "
        f"{total} are counted and bits per byte come out too low.{but}"
    )
    related = [facts.place(counting.builder, "the table is built here")]
    if counting.space_node is not None:
        related.append(facts.place(counting.space_node, "the space is added here"))
    data = {"piece": piece.text, "bytes": piece.size, "table": size, "counted": total}
    return finding(
        facts,
        RULE,
        counting.node,
        message,
        caption="counted here",
        related=related,
        confidence=0.97,
        strength=strength,
        data=data,
    )
