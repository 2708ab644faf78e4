"""Read a submission from a record folder on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.selection import entry_script
from harness.submission import Change, FileEntry, Origin, Submission, SubmissionError

MAX_FILES = 5_000
MAX_FILE_BYTES = 512 * 2**20
_IGNORED = frozenset({".git", "__pycache__", ".venv", "venv", "node_modules", ".mypy_cache", ".ruff_cache"})


def load_folder(path: Path | str) -> Submission:
    """Read the record folder at ``path``; its files are named relative to the folder's parent.

    Raises:
        SubmissionError: it is not a folder, holds no file, or holds more than ``MAX_FILES``.
    """
    root = Path(path).resolve()
    if not root.is_dir():
        what = "is a file; give the folder it lies in" if root.exists() else "no such folder"
        raise SubmissionError(f"{Path(path).name or path}: {what}")
    name = root.name or "submission"
    entries = tuple(sorted(_entries(root, name), key=lambda e: e.path))
    if not entries:
        raise SubmissionError(f"{name}: the folder holds no file")
    reader = FolderReader(str(root), name, {e.path: e for e in entries})
    return Submission(
        origin=Origin.FOLDER,
        label=name,
        entries=entries,
        folder=name,
        folders=(name,),
        entry_script=entry_script(entries, name, reader),
        reader=reader,
    )


def _entries(root: Path, name: str) -> Iterator[FileEntry]:
    count = 0
    for base, folders, files in os.walk(root, followlinks=False):
        folders[:] = sorted(f for f in folders if f not in _IGNORED)
        links = [f for f in folders if (Path(base) / f).is_symlink()]
        for file in sorted(files + links):
            count += 1
            if count > MAX_FILES:
                raise SubmissionError(f"{name}: more than {MAX_FILES} files; give the record folder itself")
            full = Path(base) / file
            yield _entry(root, full, f"{name}/{full.relative_to(root).as_posix()}")


def _entry(root: Path, full: Path, path: str) -> FileEntry:
    link = full.is_symlink()
    problem = _refusal(root, full)
    if problem is not None:
        return FileEntry(path, 0, "", Change.PRESENT, link, problem)
    try:
        size = full.stat().st_size
        return FileEntry(path, size, _blob_id(full, size), Change.PRESENT, link)
    except OSError as error:
        return FileEntry(path, 0, "", Change.PRESENT, link, f"cannot be read: {error.strerror}")


def _refusal(root: Path, full: Path) -> str | None:
    try:
        target = full.resolve(strict=True)
    except (OSError, RuntimeError):
        return "a symbolic link to nothing"
    if not target.is_relative_to(root):
        return "a symbolic link out of the folder"
    if not target.is_file():
        return "a symbolic link to a folder" if target.is_dir() else "not a regular file"
    if target.stat().st_size > MAX_FILE_BYTES:
        return f"larger than {MAX_FILE_BYTES // 2**20} MiB"
    return None


def _blob_id(full: Path, size: int) -> str:
    """The id git would give this content, so that reports agree whichever way it was loaded."""
    digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with full.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class FolderReader:
    """Reads files below the folder that were there when it was listed."""

    root: str = field(repr=False)
    name: str
    entries: dict[str, FileEntry] = field(repr=False)

    def __call__(self, path: str) -> bytes:
        """Return the content of ``path``.

        Raises:
            SubmissionError: it is not part of the folder or cannot be read.
        """
        entry = self.entries.get(path)
        if entry is None:
            raise SubmissionError(f"{path}: not a file of this submission")
        if entry.problem is not None:
            raise SubmissionError(f"{path}: {entry.problem}")
        try:
            return (Path(self.root) / path.removeprefix(self.name + "/")).read_bytes()
        except OSError as error:
            raise SubmissionError(f"{path}: cannot be read: {error.strerror}") from None
