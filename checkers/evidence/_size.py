"""The size of an artifact as a log prints it, against the code that is really shipped."""

from __future__ import annotations

from dataclasses import dataclass

from checkers.subject import Subject
from harness.logs import Place, Size, SizeKind, TrainLog

CAP = 16_000_000  # bytes, decimal: code and compressed model together (README of the challenge)
MEBIBYTE_CAP = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Sum:
    """The total of one run in bytes: as ``printed``, and the ``least`` that the shipped code allows.

    ``code`` is the smaller of the printed code and the shipped script, ``place`` the printed total.
    """

    printed: int
    least: int
    code: int
    place: Place


def shipped_code(subject: Subject) -> int | None:
    """Bytes of the script that is shipped, as it is shipped (packed scripts count packed)."""
    path = subject.submission.entry_script
    return next((e.size for e in subject.submission.entries if e.path == path), None)


def sum_of(log: TrainLog, shipped: int | None) -> Sum | None:
    """The total of a run, None where it prints no size of a compressed model."""
    model, code, artifact = (_last(log, k) for k in (SizeKind.MODEL, SizeKind.CODE, SizeKind.ARTIFACT))
    total = next((s for s in reversed(log.sizes) if s.kind is SizeKind.TOTAL and not _is_raw(log, s)), None)
    if model is None and total is not None and code is not None:
        model = Size(SizeKind.MODEL, total.label, total.bytes - code.bytes, total.place)
    counted_code = code.bytes if code else (shipped or 0)
    least_code = min(counted_code, shipped) if shipped else counted_code
    if total is None and model is None:
        return Sum(artifact.bytes, artifact.bytes, 0, artifact.place) if artifact else None
    if total is None and model is not None:
        total = Size(SizeKind.TOTAL, model.label, model.bytes + counted_code, model.place)
    assert total is not None
    least = min(total.bytes, model.bytes + least_code) if model else total.bytes
    return Sum(total.bytes, least, least_code, total.place)


def _last(log: TrainLog, kind: SizeKind) -> Size | None:
    return next((s for s in reversed(log.sizes) if s.kind is kind and s.bytes > 0), None)


def _is_raw(log: TrainLog, total: Size) -> bool:
    """The baseline first prints the uncompressed checkpoint plus code under the same words."""
    raw = _last(log, SizeKind.RAW)
    code = _last(log, SizeKind.CODE)
    return not total.label and raw is not None and total.bytes == raw.bytes + (code.bytes if code else 0)
