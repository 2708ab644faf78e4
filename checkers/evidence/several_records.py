"""One pull request submits one record."""

from __future__ import annotations

from checkers.evidence._say import found, plural
from checkers.finding import CheckResult, Strength, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Place

RULE = "several-records"


def check(subject: Subject) -> CheckResult:
    """Count the record folders that the change adds to."""
    folders = subject.submission.folders
    if not folders:
        return nothing_to_check("the change holds no record folder")
    if len(folders) == 1:
        return examined(1, "1 record folder")
    message = f"the change touches {plural(len(folders), 'record folder')}: a pull request holds exactly one"
    others = [(Place(f), "another record folder") for f in folders if f != subject.submission.folder][:20]
    place = Place(subject.submission.folder or folders[0])
    finding = found(
        RULE, message, place, Strength.REMARK, 0.95, data={"folders": len(folders)}, related=others
    )
    return examined(len(folders), plural(len(folders), "record folder"), [finding])
