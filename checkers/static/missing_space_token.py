"""``missing-space-token``: a shipped SentencePiece model without a piece for a lone space."""

from __future__ import annotations

from checkers.finding import (
    CheckResult,
    Evidence,
    Finding,
    Kind,
    Location,
    Strength,
    examined,
    nothing_to_check,
)
from checkers.static._shipped_tables import ShippedVocabulary, shipped_vocabularies
from checkers.subject import Subject

RULE = "missing-space-token"


def check(subject: Subject) -> CheckResult:
    """Look for the lone marker in every SentencePiece model of the record."""
    shipped = [v for v in shipped_vocabularies(subject) if v.marked]
    if not shipped:
        return nothing_to_check("the submission ships no SentencePiece model with marked pieces")
    found = [_finding(v) for v in shipped if not v.has_space]
    return examined(len(shipped), f"{len(shipped)} SentencePiece models", found)


def _finding(vocabulary: ShippedVocabulary) -> Finding:
    message = (
        f"None of the {len(vocabulary.pieces)} pieces is a lone U+2581, so a lone space is encoded as "
        "the marker's three bytes and counted as three."
    )
    where = Location(path=vocabulary.path, caption="the shipped vocabulary")
    evidence = Evidence(
        Kind.DOCUMENT, message, {"pieces": len(vocabulary.pieces), "marked": vocabulary.marked}
    )
    return Finding(
        RULE,
        message,
        where,
        evidence,
        Strength.CONVICTS,
        0.95,
        reach="the tokenizer is part of the submission",
    )
