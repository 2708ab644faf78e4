"""A record pull request only adds its folder: nothing else of the repository changes."""

from __future__ import annotations

from checkers.evidence._say import found, plural
from checkers.finding import CheckResult, Strength, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Place
from harness.submission import Change, FileEntry

RULE = "changes-outside-record"
_SHOWN = 10
_SHARED = ("data/", "train_gpt.py", "README.md")  # what other entries and the scoring rely on


def check(subject: Subject) -> CheckResult:
    """List what changes outside every record folder."""
    submission = subject.submission
    if submission.folder is None or (submission.pr is None and submission.base is None):
        return nothing_to_check("there is no change to a repository with a record folder in it")
    touched = [e for e in submission.entries if e.change is not Change.PRESENT]
    outside = [e for e in touched if not any(e.path.startswith(f"{f}/") for f in submission.folders)]
    looked = plural(len(touched), "changed file")
    if not outside:
        return examined(max(len(touched), 1), looked)
    outside.sort(key=_shared_first)
    rest = [f"{len(outside) - 3} more"] if len(outside) > 3 else []
    names = ", ".join([*(e.path for e in outside[:3]), *rest])
    message = f"{plural(len(outside), 'file')} outside the record folder: {names}"
    related = [(Place(e.path), e.change.value) for e in outside[1:_SHOWN]]
    finding = found(RULE, message, Place(outside[0].path), Strength.REMARK, 0.95, related=related)
    return examined(len(touched), looked, [finding])


def _shared_first(entry: FileEntry) -> tuple[bool, str]:
    return not entry.path.startswith(_SHARED), entry.path
