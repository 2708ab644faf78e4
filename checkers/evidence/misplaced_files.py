"""A record is one folder below records/<track>/, named YYYY-MM-DD_name."""

from __future__ import annotations

import re

from checkers.evidence._say import found
from checkers.finding import CheckResult, Strength, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Place
from harness.submission import Change

RULE = "misplaced-files"
_PLACE = re.compile(r"records/track_(?:10min|non_record)_16mb/[^/]+$")
_DATED = re.compile(r"\d{4}-\d\d-\d\d_[\w.+-]+$")


def check(subject: Subject) -> CheckResult:
    """Look at where the record lies and what it is called."""
    submission = subject.submission
    changed = [e for e in submission.entries if e.change is not Change.DELETED]
    if submission.folder is None:
        if not submission.entry_script:
            return nothing_to_check("the change holds neither a record folder nor a training script")
        message = (
            "a training script outside any record folder: records/<track>/<date>_<name>/ is where records go"
        )
        place = Place(submission.entry_script)
        return examined(1, "1 script", [found(RULE, message, place, Strength.REMARK, 0.9)])
    findings = []
    if not _PLACE.match(submission.folder) and submission.pr is not None:
        message = "the record folder does not lie directly below one of the two tracks"
        findings.append(found(RULE, message, Place(submission.folder), Strength.REMARK, 0.9))
    if not _DATED.match(submission.folder.rpartition("/")[2]):
        message = "the record folder is not named YYYY-MM-DD_name"
        findings.append(found(RULE, message, Place(submission.folder), Strength.REMARK, 0.9))
    return examined(len(changed), "1 record folder", findings)
