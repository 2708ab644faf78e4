"""A submission that lives in memory."""

from __future__ import annotations

import hashlib

from harness.submission import Change, FileEntry, Origin, Submission, SubmissionError

FOLDER = "records/track/mine"


def submission(
    files: dict[str, str | bytes], entry: str = "train_gpt.py", folder: str = FOLDER
) -> Submission:
    """Files by path below ``folder``; a leading slash names one from the repository's root."""
    stored = {
        path[1:] if path.startswith("/") else f"{folder}/{path}": t if isinstance(t, bytes) else t.encode()
        for path, t in files.items()
    }

    def read(path: str) -> bytes:
        if path not in stored:
            raise SubmissionError(f"{path}: not a file of this submission")
        return stored[path]

    entries = tuple(
        FileEntry(p, len(t), hashlib.sha1(t).hexdigest(), Change.ADDED) for p, t in sorted(stored.items())
    )
    return Submission(Origin.FOLDER, "mine", entries, folder, (folder,), f"{folder}/{entry}", reader=read)
