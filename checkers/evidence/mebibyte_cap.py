"""The cap is 16,000,000 bytes; an artifact measured against 16 MiB may be 777,216 bytes too large."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checkers.evidence._runs import counted
from checkers.evidence._say import found, plural
from checkers.evidence._size import CAP, MEBIBYTE_CAP, shipped_code, stated_totals, sum_of
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Place

RULE = "mebibyte-cap"
_SAID = re.compile(
    r"16\s?MiB|16[,_]?777[,_]?216|16\s*\*\s*1024\s*\*\s*1024|16\s*\*\s*1024\s*\*\*\s*2|16\s*\*\s*2\s*\*\*\s*20|16\s*<<\s*20"
)
_MOST = 2_000_000


def check(subject: Subject) -> CheckResult:
    """Look for a size between the two caps, and for the wrong cap in words or code."""
    sizes = list(_sizes(subject))
    if not sizes:
        return cannot_tell("no log or document gives the size of the artifact")
    said = next(_mentions(subject), None)
    between = [(size, place) for size, place in sizes if CAP < size <= MEBIBYTE_CAP]
    looked = plural(len(sizes), "stated size")
    if not between:
        return examined(len(sizes), looked, list(_reminder(said)))
    size, place = max(between, key=lambda item: item[0])
    if said is None:
        return examined(len(sizes), looked)  # the excess alone is the business of oversize-artifact
    message = f"{size:,} bytes fit into 16 MiB, not into the decimal cap of {CAP:,}"
    strength = Strength.CONVICTS if track(subject) is Track.RECORD else Strength.SUSPECT
    finding = found(
        RULE, message, place, strength, 0.9, data={"bytes": size}, related=[(said, "measured against 16 MiB")]
    )
    return examined(len(sizes), looked, [finding])


def _sizes(subject: Subject) -> Iterator[tuple[int, Place]]:
    claims = stated_totals(subject)
    for run in counted(subject):
        total = sum_of(run.log, shipped_code(subject), {int(c.value) for c in claims})
        if total:
            yield total.least, total.place
    for claim in claims:
        yield int(claim.value), claim.place


def _mentions(subject: Subject) -> Iterator[Place]:
    """Where the README, the metadata or the script speaks of 16 MiB without calling it wrong."""
    paths = [
        p
        for p in (subject.logs.readme_path, subject.logs.metadata_path, subject.submission.entry_script)
        if p
    ]
    for path in paths:
        for number, line in enumerate(subject.submission.text(path)[:_MOST].splitlines(), 1):
            if _SAID.search(line) and not re.search(r"\bnot\b|decimal|instead of", line):
                yield Place(path, number, line.strip()[:300])


def _reminder(said: Place | None) -> Iterator[Finding]:
    if said is not None:
        yield found(
            RULE, "the cap is taken for 16 MiB here; it is 16,000,000 bytes", said, Strength.REMARK, 0.7
        )
