"""Which of the changed files is the record, and which of its scripts is the one that is scored.

Names decide nothing that content can decide: a name only breaks ties, because the challenge asks for
``records/<track>/<record>/train_gpt.py``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from harness.submission import Change, FileEntry

_SCRIPT_READ_LIMIT = 4_000_000  # bytes of a script that are looked at; the largest real one has 1.3 MB
_TOUCHED = {Change.ADDED, Change.MODIFIED}
_PACKED = re.compile(rb"\bexec\s*\(|\brunpy\b|\bruncode\b")
_SIGNS = (
    (re.compile(rb"val_bpb|bits_per_byte"), 4),
    (re.compile(rb"\.backward\s*\(|value_and_grad"), 4),
    (re.compile(rb"fineweb_val|val_files|VAL_FILES|final_int8|roundtrip"), 3),
    (re.compile(rb"DATA_PATH|ITERATIONS|MAX_WALLCLOCK"), 2),
    (re.compile(rb"__main__"), 1),
    (re.compile(rb"init_process_group"), 1),
)


def record_folders(entries: Iterable[FileEntry]) -> tuple[str, ...]:
    """List the record folders that the change adds to or modifies, in path order.

    A record folder is ``records/<track>/<record>``; where a change has none, it is every directory
    that holds a ``submission.json``.
    """
    live = [e for e in entries if e.change is not Change.DELETED]
    inside = {f for e in live if (f := _under_records(e.path)) is not None}
    if inside:
        return tuple(sorted(inside))
    manifests = (PurePosixPath(e.path) for e in live if e.path.endswith("submission.json"))
    return tuple(sorted({str(p.parent) for p in manifests if str(p.parent) != "."}))


def _under_records(path: str) -> str | None:
    parts = path.split("/")
    if parts[0] != "records":
        return None
    if len(parts) >= 4:
        return "/".join(parts[:3])
    return "/".join(parts[:2]) if len(parts) == 3 and _is_record_file(parts[2]) else None


def _is_record_file(name: str) -> bool:
    return name == "submission.json" or name.endswith((".py", ".log"))


def primary_folder(entries: Iterable[FileEntry], folders: tuple[str, ...]) -> str | None:
    """Pick the folder that most looks like the submitted record: new, with manifest, script and logs."""
    held: dict[str, list[FileEntry]] = defaultdict(list)
    for entry in entries:
        for folder in folders:
            if entry.path.startswith(folder + "/") and entry.change is not Change.DELETED:
                held[folder].append(entry)
    if not held:
        return None
    return max(sorted(held), key=lambda f: _folder_score(held[f], f))


def _folder_score(entries: list[FileEntry], folder: str) -> tuple[int, int, int]:
    new = [e for e in entries if e.change is not Change.MODIFIED]
    names = [e.path.removeprefix(folder + "/") for e in new]
    score = 4 * any(n.endswith(".py") for n in names)
    score += 4 * ("submission.json" in names)
    score += 2 * any(n.endswith((".log", ".txt")) for n in names)
    score += "README.md" in names
    return score, len(new), sum(e.size for e in new)


def entry_script(
    entries: Iterable[FileEntry], folder: str | None, read: Callable[[str], bytes]
) -> str | None:
    """Pick the script that trains and evaluates, by what it contains; None when nothing looks like one."""
    scripts = [e for e in entries if e.path.endswith(".py") and _readable(e)]
    inside = [e for e in scripts if folder is not None and e.path.startswith(folder + "/")]
    touched = [e for e in scripts if e.change in _TOUCHED]
    for candidates in (inside, touched):
        scored = [(_script_score(e, folder, read), e.path) for e in candidates]
        good = [(score, path) for score, path in scored if score[0] > 0]
        if good:
            return min(good, key=lambda item: (tuple(-s for s in item[0]), item[1]))[1]
    return None


def _readable(entry: FileEntry) -> bool:
    return entry.change is not Change.DELETED and entry.problem is None and entry.size > 0


def _script_score(entry: FileEntry, folder: str | None, read: Callable[[str], bytes]) -> tuple[int, int, int]:
    source = read(entry.path)[:_SCRIPT_READ_LIMIT]
    score = sum(weight for sign, weight in _SIGNS if sign.search(source))
    if _PACKED.search(source):
        score = max(score, 10)
    path = PurePosixPath(entry.path)
    if score == 0 and path.name != "train_gpt.py":
        return 0, 0, 0
    score += 8 * (path.name == "train_gpt.py") + 3 * path.name.startswith("train")
    score += 4 * (entry.change is not Change.MODIFIED)
    score -= 4 * (b"mlx.core" in source) + 6 * path.name.startswith("test_")
    depth = len(path.parts) - len(PurePosixPath(folder or ".").parts)
    return max(score, 1), -depth, entry.size
