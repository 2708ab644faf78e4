"""A record folder holds README.md, submission.json, a train log and a train_gpt.py."""

from __future__ import annotations

from checkers.evidence._say import found
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Strength, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Place

RULE = "missing-files"


def check(subject: Subject) -> CheckResult:
    """Name what is missing; a claimed score without any log leaves nothing to believe it by."""
    folder = subject.submission.folder
    if folder is None:
        return nothing_to_check("the change holds no record folder")
    names = {e.path.rpartition("/")[2].lower() for e in subject.submission.files()}
    missing = [n for n in ("README.md", "submission.json", "train_gpt.py") if n.lower() not in names]
    book = subject.logs
    claims = book.claimed_bpb() is not None
    without_log = not book.log_paths and not book.crashes
    findings = []
    if missing:
        message = f"the record folder lacks {', '.join(missing)}"
        findings.append(found(RULE, message, Place(folder), Strength.REMARK, 0.95, data={"missing": missing}))
    if without_log:
        message = "no train log" + (": nothing shows that the claimed score was measured" if claims else "")
        bare = claims and "train_gpt.py" in missing and track(subject) is Track.RECORD
        strength = Strength.SUSPECT if bare else Strength.REMARK
        findings.append(found(RULE, message, Place(folder), strength, 0.9, data={"missing": ["train log"]}))
    return examined(4, "4 required files", findings)
