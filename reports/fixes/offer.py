"""Try the codemods of a rule on its findings, audit the result, and keep what clears the rule."""

from __future__ import annotations

import difflib
import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from checkers.audit import Audit
from checkers.finding import Finding, Strength
from checkers.verdict import RuleVerdict
from harness.submission import Submission, SubmissionError
from reports.fixes import guard, order, space
from reports.fixes.edit import Codemod, Edit
from reports.shape_v1 import Fix
from rules.model import Verdict

CODEMODS: dict[str, tuple[Codemod, ...]] = {
    "double-counted-space": (space.count_once,),
    "score-after-update": (order.update_after_score,),
    "prequant-ttt": (order.update_after_score,),
}
REMARKED: dict[str, tuple[Codemod, ...]] = {"score-after-update": (guard.spare_last_chunk,)}
MOST_LINES = 60  # a longer suggestion is no longer one that a person checks at a glance
MOST_FIXES = 6
_BADNESS = (
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
    Verdict.INCONCLUSIVE,
    Verdict.REVIEW,
    Verdict.FAIL,
    Verdict.ERROR,
)

Again = Callable[[Submission], Mapping[str, Verdict]]


def verdicts(rules: Iterable[RuleVerdict]) -> dict[str, Verdict]:
    """What `offer` compares: the verdict of each rule, and its remarks as if they were a rule to look at."""
    said = {result.rule.slug: result.verdict for result in rules}
    return said | {
        _remarks(result.rule.slug): Verdict.REVIEW
        for result in rules
        if any(f.strength is Strength.REMARK for f in result.findings)
    }


def _remarks(slug: str) -> str:
    return f"remarks of {slug}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finding, the key of `verdicts` that must become clear, and what may correct it."""

    slug: str
    key: str
    finding: Finding
    codemods: tuple[Codemod, ...]


def offer(audit: Audit, again: Again) -> dict[str, Fix]:
    """Corrections by fingerprint of the finding.

    ``again`` audits a submission in the way that corrections are judged and returns the verdict of
    each rule. It is first asked about the submission as it is: where it does not see the offence, it
    cannot see it go either. A correction is kept only if its rule then passes and no other got worse.
    """
    fixes: dict[str, Fix] = {}
    candidates = list(_candidates(audit))
    before = again(audit.submission) if candidates else {}
    for candidate in candidates:
        if len(fixes) >= MOST_FIXES:
            break
        if before.get(candidate.key) not in (Verdict.FAIL, Verdict.REVIEW):
            continue
        fix = _first_that_holds(audit.submission, candidate, before, again)
        if fix is not None:
            fixes[candidate.finding.fingerprint] = fix
    return fixes


def _candidates(audit: Audit) -> Iterator[Candidate]:
    """Findings in plain Python files of the change: nothing can be suggested inside a packed layer."""
    for result in audit.decision.rules:
        slug, accused = result.rule.slug, result.verdict in (Verdict.FAIL, Verdict.REVIEW)
        for finding in result.findings:
            where, remark = finding.where, finding.strength is Strength.REMARK
            codemods = REMARKED.get(slug, ()) if remark else CODEMODS.get(slug, ()) if accused else ()
            if codemods and where.path.endswith(".py") and where.line and where.layer in (None, where.path):
                yield Candidate(slug, _remarks(slug) if remark else slug, finding, codemods)


def _first_that_holds(
    submission: Submission, candidate: Candidate, before: Mapping[str, Verdict], again: Again
) -> Fix | None:
    finding = candidate.finding
    try:
        source = submission.text(finding.where.path)
    except SubmissionError:
        return None
    for codemod in candidate.codemods:
        edit = codemod(source, finding)
        fix = _as_fix(source, edit, finding.where.path, candidate.slug) if edit else None
        if edit and fix and _holds(again(patched(submission, fix.path, edit.text)), before, candidate):
            return fix
    return None


def _holds(after: Mapping[str, Verdict], before: Mapping[str, Verdict], candidate: Candidate) -> bool:
    worse = [s for s, v in after.items() if _BADNESS.index(v) > _BADNESS.index(before.get(s, Verdict.PASS))]
    cleared = after.get(candidate.key, Verdict.PASS) is Verdict.PASS
    return cleared and after.get(candidate.slug) is Verdict.PASS and not worse


def _as_fix(source: str, edit: Edit, path: str, slug: str) -> Fix | None:
    """The smallest range of lines that holds every change, or None if it is no fit suggestion."""
    old, new = source.split("\n"), edit.text.split("\n")
    changes = [
        c for c in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes() if c[0] != "equal"
    ]
    if not changes:
        return None
    first, last = changes[0][1], max(changes[-1][2], changes[0][1] + 1)
    tail = len(old) - last
    replacement = "\n".join(new[first : len(new) - tail])
    if last - first > MOST_LINES or not _printable(replacement):
        return None
    return Fix(
        path=path,
        start_line=first + 1,
        end_line=last,
        replacement=replacement,
        description=edit.description,
        cleared=(slug,),
    )


def _printable(text: str) -> bool:
    """A suggestion is taken over with one click: it must not hide characters."""
    return all(c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Co", "Cs"} for c in text)


def patched(submission: Submission, path: str, text: str) -> Submission:
    """The submission with one file replaced; size and blob id follow."""
    raw = text.encode("utf-8")
    oid = hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()
    entries = tuple(
        replace(entry, size=len(raw), oid=oid) if entry.path == path else entry
        for entry in submission.entries
    )
    return replace(
        submission,
        entries=entries,
        reader=lambda wanted: raw if wanted == path else submission.reader(wanted),
    )
