"""Counted code plus compressed model against the decimal cap, as printed and as shipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from checkers.evidence._runs import Counted, counted, settle
from checkers.evidence._say import found, plural
from checkers.evidence._size import CAP, MEBIBYTE_CAP, Sum, shipped_code, stated_totals, sum_of
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Claim, Measure, Place
from harness.submission import Change, FileEntry

RULE = "oversize-artifact"
_MODELS = (".ptz", ".lzma", ".xz", ".zst", ".br", ".zlib")


def check(subject: Subject) -> CheckResult:
    """Compare every counted run, the claimed total and the files themselves with the cap."""
    runs = counted(subject)
    claims = stated_totals(subject)
    stated = {int(c.value) for c in claims}
    sums = [(run, s) for run in runs if (s := sum_of(run.log, shipped_code(subject), stated))]
    models = [e for e in subject.submission.files() if _is_model(e)]
    if not (sums or claims or models):
        return cannot_tell("no log, document or file gives the size of the artifact")
    findings = settle(list(_printed(subject, sums)), [run for run, _ in sums])
    if _ablations(subject, len(findings), sums):
        findings = [replace(f, strength=Strength.REMARK) for f in findings]
    findings += _shipped(subject, models)
    if not any(f.strength is Strength.CONVICTS for f in findings) and all(run.astray for run, _ in sums):
        findings += _claimed(subject, claims)
    looked = plural(len(sums), "printed size") + ", " + plural(len(claims), "claimed size")
    return examined(len(sums) + len(claims) + len(models), looked, findings)


def _ablations(subject: Subject, over: int, sums: list[tuple[Counted, Sum]]) -> bool:
    """Some of a study's runs are too large, and none of them is the claimed one."""
    study = track(subject) is not Track.RECORD and all(run.astray for run, _ in sums)
    return study and over < len(sums)


def _printed(subject: Subject, sums: list[tuple[Counted, Sum]]) -> Iterator[Finding]:
    for run, total in sums:
        if total.least > CAP:
            message = f"{total.least:,} bytes: {total.least - CAP:,} above the cap of {CAP:,}"
            yield _finding(subject, total.least, message, total.place, run)
        elif total.printed > CAP and not _recounted(subject, total.least):
            message = (
                f"the log prints {total.printed:,} bytes, above the cap; only with the "
                f"{total.code:,}-byte script that is shipped it is {total.least:,}"
            )
            yield found(RULE, message, total.place, Strength.SUSPECT, 0.6, data={"printed": total.printed})


def _recounted(subject: Subject, least: int) -> bool:
    """The author states a total below the cap that the model and the shipped script explain."""
    claims = [c.value for c in subject.logs.claims if c.measure is Measure.TOTAL_BYTES]
    return any(least - 60_000 <= value <= CAP for value in claims)


def _finding(subject: Subject, size: int, message: str, where: Place, run: Counted | None) -> Finding:
    """An excess convicts; what is merely stated outside the record track was once merged (#542).

    A pull request without a record folder hands in nothing that the cap could bind, up to 16 MiB.
    """
    own = track(subject)
    stated = run is None and own is not Track.RECORD
    lenient = (stated or own is Track.NONE) and size <= MEBIBYTE_CAP
    strength = Strength.SUSPECT if lenient else Strength.CONVICTS
    related = [(run.score.place, "the score of this run")] if run else []
    return found(RULE, message, where, strength, 0.95, data={"bytes": size, "cap": CAP}, related=related)


def _claimed(subject: Subject, claims: list[Claim]) -> Iterator[Finding]:
    """Without the size that the claimed run printed, the author's own statement stands."""
    over = [c for c in claims if c.value > CAP and "MiB" not in c.text]
    exact = [c for c in over if c.digits == 0 and c.value < 10 * CAP]
    parts = _stated_parts(subject)
    for claim in exact[:3]:
        message = f"the submission states {int(claim.value):,} bytes, above the cap of {CAP:,}"
        if parts is not None and parts <= CAP:
            message += f"; the model and the code that it states make {parts:,}"
            yield found(RULE, message, claim.place, Strength.SUSPECT, 0.6, data={"bytes": claim.value})
        else:
            yield _finding(subject, int(claim.value), message, claim.place, None)
    if over and not exact:
        message = f"the submission states {over[0].text or over[0].value}, above the cap of {CAP:,} bytes"
        yield found(RULE, message, over[0].place, Strength.SUSPECT, 0.6, data={"bytes": over[0].value})


def _stated_parts(subject: Subject) -> int | None:
    """Model and code as the metadata states them one by one: a total beside them may be of raw weights."""
    book = subject.logs
    own = [c for c in book.claims if c.place.path == book.metadata_path and c.digits == 0]
    model = next((int(c.value) for c in own if c.measure is Measure.MODEL_BYTES), None)
    code = next((int(c.value) for c in own if c.measure is Measure.CODE_BYTES), None)
    return model + code if model and code else None


def _is_model(entry: FileEntry) -> bool:
    return entry.path.lower().endswith(_MODELS) and entry.change is not Change.DELETED and not entry.symlink


def _shipped(subject: Subject, models: list[FileEntry]) -> Iterator[Finding]:
    for entry in models:
        total = entry.size + min(shipped_code(subject) or 0, entry.size)
        if entry.size > CAP:
            message = f"the shipped model has {entry.size:,} bytes, above the cap of {CAP:,} without any code"
            yield _finding(subject, entry.size, message, Place(entry.path), None)
        elif total > CAP:
            message = f"the shipped model and script have {total:,} bytes, above the cap of {CAP:,}"
            yield found(RULE, message, Place(entry.path), Strength.SUSPECT, 0.6, data={"bytes": total})
