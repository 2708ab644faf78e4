"""Load a case of an evidence rule, and read the findings that its own files say it must have.

A case is a record folder, or a tree with ``records/`` in it that stands for a pull request. The
expected finding is marked on the line above it (``# expect: slug``); a file that takes no comments is
named by the README (``<!-- expect: slug in FILE -->``, ``.`` for the folder).
"""

import re
from datetime import date
from pathlib import Path

from checkers.subject import Subject
from harness.folder import load_folder
from harness.logs import read
from harness.selection import entry_script, primary_folder, record_folders
from harness.submission import Change, FileEntry, Origin, Submission
from harness.unpack import layers

CASES = Path(__file__).resolve().parent.parent / "cases"
_MARK = re.compile(r"expect: ([a-z0-9-]+)(?: in (\S+))?")


def names(checker_slugs):
    """Every case folder of the given rules, as ``slug/name``."""
    found = [p for slug in sorted(checker_slugs) for p in sorted((CASES / slug).glob("*"))]
    return [f"{p.parent.name}/{p.name}" for p in found if _holds_documents(p)]


def _holds_documents(path):
    return path.is_dir() and any(path.rglob("README.md"))


def subject(name):
    root = CASES / name
    inner = [p for p in root.iterdir() if p.is_dir()]
    if (root / "records").is_dir():
        submission = change(root)
    else:
        submission = load_folder(inner[0] if len(inner) == 1 and not (root / "README.md").exists() else root)
    peeled = layers(submission)
    return Subject(submission, peeled, read(submission, peeled), date(2026, 11, 1))


def record_of(folder="records/track_10min_16mb/a", **files):
    """A subject whose record folder holds the given texts."""
    texts = {f"{folder}/{name}": text for name, text in files.items()}
    entries = tuple(FileEntry(p, len(t), "0" * 40, Change.ADDED) for p, t in sorted(texts.items()))
    made = Submission(
        Origin.COMMIT, "x", entries, folder, (folder,), None, reader=lambda p: texts[p].encode()
    )
    return Subject(made, (), read(made), date(2026, 11, 1))


def change(root):
    """The tree as a pull request that adds every file of it."""
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
    entries = tuple(
        FileEntry(path, len(raw), f"{len(raw):040x}", Change.ADDED) for path, raw in files.items()
    )
    folders = record_folders(entries)
    folder = primary_folder(entries, folders)
    return Submission(
        origin=Origin.PULL_REQUEST,
        label="case",
        entries=entries,
        folder=folder,
        folders=folders,
        entry_script=entry_script(entries, folder, files.__getitem__),
        pr=1,
        reader=files.__getitem__,
    )


def expected(name, slug):
    """The marked places: (file name, line), line 0 where the file is only named."""
    found = []
    for path in sorted((CASES / name).rglob("*")):
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            marks = [m for m in _MARK.finditer(line) if m[1] == slug]
            found += [(m[2], 0) if m[2] else (path.name, number + 1) for m in marks]
    return sorted(found)


def placed(findings, where):
    """Where the findings are, in the terms of the marks ``where``."""
    folders = {name for name, line in where if line == 0}
    found = []
    for finding in findings:
        name = finding.where.path.rpartition("/")[2]
        if line_free := [f for f in folders if finding.where.path.endswith(f)]:
            found.append((line_free[0], 0))
        elif "." in folders and not finding.where.line:
            found.append((".", 0))
        else:
            found.append((name, finding.where.line))
    return sorted(found)
