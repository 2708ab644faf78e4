"""The size of an artifact as a log prints it, against the code that is really shipped."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from checkers.subject import Subject
from harness.logs import Claim, Measure, Place, Size, SizeKind, TrainLog

CAP = 16_000_000  # bytes, decimal: code and compressed model together (README of the challenge)
_PARTS = (SizeKind.ARTIFACT, SizeKind.MODEL)  # without the code
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


def stated_totals(subject: Subject) -> list[Claim]:
    """The totals that the submission states for itself; its metadata's own is not overruled by a table."""
    claims = [c for c in subject.logs.claims if c.measure is Measure.TOTAL_BYTES and c.value > 100_000]
    own = [c for c in claims if c.place.path == subject.logs.metadata_path]
    return [c for c in own if c.key.isidentifier()] or own or claims


def sum_of(log: TrainLog, shipped: int | None, stated: Collection[int] = ()) -> Sum | None:
    """The total of a run, None where it prints no size of a compressed model.

    A run may compress its weights in several ways and print each size. One that the submission ``stated``
    to be its own, to the byte, is that of the artifact; else it is the last.
    """
    model, code, artifact = (_last(log, k) for k in (SizeKind.MODEL, SizeKind.CODE, SizeKind.ARTIFACT))
    total = next((s for s in reversed(log.sizes) if s.kind is SizeKind.TOTAL and not _is_raw(log, s)), None)
    own = None if total and total.bytes in stated else _stated(log, stated)
    if own is not None:
        total, model = own, None  # the model printed last is another's
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


def _stated(log: TrainLog, stated: Collection[int]) -> Size | None:
    """A printed total, or a printed model with the printed code, that is a stated total to the byte."""
    code = _last(log, SizeKind.CODE)
    beside = code.bytes if code else 0
    for size in reversed(log.sizes):
        total = size.bytes + (beside if size.kind in _PARTS else 0)
        whole = not _is_raw(log, size) if size.kind is SizeKind.TOTAL else size.kind in _PARTS and beside
        if whole and total in stated:
            return Size(SizeKind.TOTAL, size.label, total, size.place)
    return None


def _last(log: TrainLog, kind: SizeKind) -> Size | None:
    return next((s for s in reversed(log.sizes) if s.kind is kind and s.bytes > 0), None)


def _is_raw(log: TrainLog, total: Size) -> bool:
    """The baseline first prints the uncompressed checkpoint plus code under the same words."""
    raw = _last(log, SizeKind.RAW)
    code = _last(log, SizeKind.CODE)
    return not total.label and raw is not None and total.bytes == raw.bytes + (code.bytes if code else 0)
