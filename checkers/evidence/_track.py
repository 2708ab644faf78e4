"""Which track an entry belongs to, and so whether the ten-minute limits bind its runs."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from checkers.subject import Subject
from harness.submission import Origin

RECORD_SECONDS = 600.0  # training; evaluation has its own 600 s (README of the challenge)
_NON_RECORD = re.compile(r"non[-_ ]?record|unlimited[-_ ]compute|not[-_ ]a[-_ ]record", re.IGNORECASE)
_KEYS = (
    "track",
    "submission_type",
    "type",
    "submission_kind",
    "category",
    "status",
    "name",
    "title",
    "blurb",
    "notes",
)
_TITLE = 400  # characters of a README that are its title


class Track(StrEnum):
    """The two tracks of the challenge, and entries outside both."""

    RECORD = "track_10min_16mb"
    NON_RECORD = "track_non_record_16mb"
    NONE = "none"


def track(subject: Subject) -> Track:
    """The track by the folder the challenge asks for, unless the entry itself says it is no record.

    A folder given on disk tells no track by its place; it is held to the rules of the record track.
    """
    submission = subject.submission
    folder = submission.folder or ""
    on_disk = submission.origin is Origin.FOLDER
    if not on_disk and not folder.startswith("records/"):
        return Track.NONE
    placed = on_disk or folder.startswith(f"records/{Track.RECORD.value}")
    if not placed or _says_non_record(subject.logs.metadata) or _titled_non_record(subject):
        return Track.NON_RECORD
    return Track.RECORD


def _says_non_record(metadata: dict[str, Any] | None) -> bool:
    if not metadata:
        return False
    if metadata.get("record") is False or metadata.get("non_record") is True:
        return True
    return any(isinstance(metadata.get(key), str) and _NON_RECORD.search(metadata[key]) for key in _KEYS)


def _titled_non_record(subject: Subject) -> bool:
    path = subject.logs.readme_path
    return path is not None and bool(_NON_RECORD.search(subject.submission.text(path)[:_TITLE]))
