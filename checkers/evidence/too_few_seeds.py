"""A record shows its gain on several seeds, usually three."""

from __future__ import annotations

from checkers.evidence._runs import counted, seed_claims
from checkers.evidence._say import found
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Strength, cannot_tell, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Place

RULE = "too-few-seeds"
USUAL = 3


def check(subject: Subject) -> CheckResult:
    """Count the distinct seeds behind the claim, in logs or at least in the claims."""
    if track(subject) is not Track.RECORD:
        return nothing_to_check("only a record must be significant")
    runs = counted(subject)
    claimed = seed_claims(subject.logs)
    if not runs and not claimed:
        return cannot_tell("no finished run and no score by seed is given")
    logged = {run.log.seed_value for run in runs}
    count = max(len(logged), 1) if runs else 0
    looked = f"{count} logged and {len(claimed)} claimed seeds"
    if count >= USUAL:
        return examined(count, looked)
    where = (
        runs[-1].score.place if runs else Place(subject.logs.metadata_path or subject.logs.readme_path or "")
    )
    message = f"the claim rests on the logs of {count} of the usual {USUAL} seeds"
    finding = found(
        RULE, message, where, Strength.REMARK, 0.9, data={"logged": count, "claimed": len(claimed)}
    )
    return examined(max(count, 1), looked, [finding])
