"""A submission as a value: its files, where they came from, and how to read them.

Nothing here imports, executes or unpickles anything a submission contains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Origin(StrEnum):
    """Where a submission was read from."""

    FOLDER = "folder"
    PULL_REQUEST = "pull_request"
    COMMIT = "commit"


class Change(StrEnum):
    """What the head did to a file relative to its merge base (``PRESENT`` for a folder on disk)."""

    PRESENT = "present"
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


class SubmissionError(ValueError):
    """The input cannot be read as a submission; the one-line message says what to do."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the change. ``oid`` is the git blob id (computed for folders too)."""

    path: str
    size: int
    oid: str
    change: Change
    symlink: bool = False
    problem: str | None = None  # why the content cannot be read (missing blob, ...)


@dataclass(frozen=True)
class Submission:
    """One audited head: the files it adds or changes and its primary record folder.

    Paths are POSIX and relative to the repository root, or to the parent of a folder given on
    disk. ``folder`` is None when the change touches no record folder.
    """

    origin: Origin
    label: str
    entries: tuple[FileEntry, ...]
    folder: str | None
    folders: tuple[str, ...]
    entry_script: str | None  # path of the training script that is audited
    pr: int | None = None
    head: str | None = None
    base: str | None = None
    submitted_on: str | None = None  # ISO date of the head commit
    reader: Callable[[str], bytes] = field(repr=False, compare=False, default=lambda path: b"")
    around: Callable[[str], Submission | None] = field(repr=False, compare=False, default=lambda text: None)
    """The Python files that the head keeps as they were and that a script of the given text may use."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file of this head.

        Raises:
            SubmissionError: the file is not there, was deleted, or its blob is missing.
        """
        return self.reader(path)

    def text(self, path: str) -> str:
        """Decode a file: UTF-8 (a byte-order mark is dropped), else Latin-1, newlines kept."""
        raw = self.read(path)
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def files(self, suffix: str = "", folder: str | None = None) -> tuple[FileEntry, ...]:
        """Readable files below ``folder`` (default: the primary one) whose name ends in ``suffix``."""
        prefix = f"{folder or self.folder}/" if (folder or self.folder) else ""
        return tuple(
            e
            for e in self.entries
            if e.change is not Change.DELETED
            and e.problem is None
            and e.path.startswith(prefix)
            and e.path.endswith(suffix)
        )
