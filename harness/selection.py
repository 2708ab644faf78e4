"""Which of the changed files is the record, and which of its scripts is the one that is scored.

Names decide nothing that content can decide: a name only breaks ties, because the challenge asks for
``records/<track>/<record>/train_gpt.py``.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import PurePosixPath

from harness.submission import Change, FileEntry

_SCRIPT_READ_LIMIT = 4_000_000  # bytes of a script that are looked at; the largest real one has 1.3 MB
_TOUCHED = {Change.ADDED, Change.MODIFIED}
_PACKED = re.compile(rb"\bexec\s*\(|\brunpy\b|\bexec_module\b")
_LONG_LITERAL = re.compile(rb"[^\s\"']{2000}")
_LEARNS = re.compile(rb"^\s*(?:import|from) +(?:torch|mlx|jax|tensorflow|tinygrad|triton)\b", re.MULTILINE)
_TRAINS = re.compile(rb"\.backward\s*\(|value_and_grad|optimi[sz]er\w*\.step")
BITS = re.compile(rb"bpb|bits?.?per|log\(\s*2|log2|0?\.693|1\.442", re.IGNORECASE)
"""Whoever turns nats into bits, or prints such a score, says one of these."""
_GUARD = re.compile(rb"^if\s+__name__\b", re.MULTILINE)
_SIGNS = (
    (_TRAINS, 4),
    (re.compile(rb"val_bpb|bits_per_byte"), 4),
    (re.compile(rb"cross_entropy|nll_loss|log_softmax"), 3),
    (re.compile(rb"fineweb_val|val_files|VAL_FILES|final_int8|roundtrip"), 3),
    (re.compile(rb"DATA_PATH|ITERATIONS|MAX_WALLCLOCK"), 2),
    (re.compile(rb"__main__"), 1),
    (re.compile(rb"init_process_group"), 1),
)
_PACKED_SCORE = 12  # a packed script shows nothing of itself, and nobody packs a side tool
_COMPLETE = 8  # a new script and a new manifest
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ENOUGH = 5  # signs that a script of the record folder must show unless it is named as one that trains


def record_folders(entries: Iterable[FileEntry]) -> tuple[str, ...]:
    """List the record folders that the change adds to or modifies, in path order.

    A record folder is ``records/<track>/<record>``; where a change has none, it is every directory
    that holds a ``submission.json`` and a script.
    """
    live = [e for e in entries if e.change is not Change.DELETED]
    inside = {f for e in live if (f := _under_records(e.path)) is not None}
    if inside:
        holders = {str(PurePosixPath(e.path).parent) for e in live if _is_record_file(e.path)}
        deep = {f for f in inside if f in holders or not any(f.startswith(g + "/") for g in inside)}
        return tuple(sorted(f for f in deep if not any(g.startswith(f + "/") for g in deep)))
    manifests = (PurePosixPath(e.path) for e in live if e.path.endswith("/submission.json"))
    scripts = {str(PurePosixPath(e.path).parent) for e in live if e.path.endswith(".py")}
    return tuple(sorted({str(p.parent) for p in manifests} & scripts))


def _under_records(path: str) -> str | None:
    parts = path.split("/")
    places = [i for i, part in enumerate(parts[:-1]) if part == "records"]
    for start in reversed(places):  # some heads repeat the path: records/<track>/records/<track>/<record>
        if len(parts) - start >= 4:
            return "/".join(parts[: start + 3])
    if places and len(parts) - places[-1] == 3 and _is_record_file(parts[-1]):
        return "/".join(parts[:-1])
    return None


def _is_record_file(path: str) -> bool:
    return path.endswith(("submission.json", ".py", ".log"))


def primary_folder(
    entries: Iterable[FileEntry],
    folders: tuple[str, ...],
    old: Collection[str] = frozenset(),
    added: Mapping[str, int] | None = None,
) -> str | None:
    """Pick the folder that most looks like the submitted record: new, with manifest, script and logs.

    One that trains comes before one that only analyses. Of several complete ones the newest by the date
    that a record folder starts with: authors keep adding records to the branch of an earlier pull
    request. Among those of one day the one that came last: ``added`` tells the place of the commit that
    brought a folder in, higher ones being later.
    ``old`` holds the ids of contents that main already had: moved and copied records are not new.
    """
    last = added or {}
    held: dict[str, list[FileEntry]] = defaultdict(list)
    for entry in entries:
        for folder in folders:
            if entry.path.startswith(folder + "/") and entry.change is not Change.DELETED:
                held[folder].append(entry)
    if not held:
        return None
    return max(sorted(held), key=lambda f: _folder_score(held[f], f, old, last.get(f, 0)))


def _folder_score(
    entries: list[FileEntry], folder: str, old: Collection[str], added: int
) -> tuple[bool, bool, str, int, int, int, int]:
    new = [e for e in entries if e.change is not Change.MODIFIED and e.oid not in old]
    names = [e.path.removeprefix(folder + "/") for e in new]
    score = 4 * any(n.endswith(".py") for n in names)
    score += 4 * ("submission.json" in names)
    score += 2 * any(n.endswith((".log", ".txt")) for n in names)
    score += "README.md" in names
    dated = _DATE.match(folder.rpartition("/")[2])
    complete = score >= _COMPLETE
    day = dated[0] if dated and complete else ""
    trains = any(n.startswith("train") and n.endswith(".py") for n in names)
    return complete, trains, day, added, score, len(new), sum(e.size for e in new)


def entry_script(
    entries: Iterable[FileEntry], folder: str | None, read: Callable[[str], bytes]
) -> str | None:
    """Pick the script that trains and evaluates, by what it contains; None when nothing looks like one.

    The record folder comes first; failing that, a changed script elsewhere that plainly trains. A file
    that only defines things comes after those that act when they are started. Where none is named as one
    that trains and none has a word for bits, none can have a score: probes and tools do not count.
    """
    scripts = [e for e in entries if e.path.endswith(".py") and _readable(e)]
    inside = [e for e in scripts if folder is not None and e.path.startswith(folder + "/")]
    elsewhere = [e for e in scripts if e.change is not Change.PRESENT and e not in inside]
    for candidates, strict in ((inside, False), (elsewhere, True)):
        ranked = [(rank, e.path) for e in candidates if (rank := _rank(e, folder, read, strict=strict))]
        paths = [path for _, path in sorted(ranked, key=lambda item: (tuple(-r for r in item[0]), item[1]))]
        if paths and (any(map(_is_named, paths)) or any(_tells_bits(read(e.path)) for e in candidates)):
            return next((path for path in paths if _acts(read(path))), paths[0])
    return None


def _is_named(path: str) -> bool:
    return PurePosixPath(path).name.startswith("train")


def _tells_bits(source: bytes) -> bool:
    """Whether a file could print a score; a packed one may."""
    return BITS.search(source) is not None or _PACKED.search(source) is not None


def _acts(source: bytes) -> bool:
    """Whether a file does something when it is started; one that cannot be parsed is taken to."""
    if _GUARD.search(source) or _PACKED.search(source):
        return True
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    own = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return any(_works(node, own) for node in body)


def _works(statement: ast.stmt, own: set[str]) -> bool:
    """Whether a statement of a module is work: a loop, a block, or a call of the module's own functions.

    Settings assigned from a helper, and calls of libraries that prepare them, are not.
    """
    if isinstance(statement, (ast.For, ast.While, ast.With, ast.Raise)):
        return True
    if not isinstance(statement, (ast.Expr, ast.If)):
        return False
    calls = (node for node in ast.walk(statement) if isinstance(node, ast.Call))
    return any(isinstance(call.func, ast.Name) and call.func.id in own for call in calls)


def _readable(entry: FileEntry) -> bool:
    return entry.change is not Change.DELETED and entry.problem is None and entry.size > 0


def _rank(
    entry: FileEntry, folder: str | None, read: Callable[[str], bytes], *, strict: bool
) -> tuple[int, int, int] | None:
    """How much a script looks like the scored one (higher is more), or None when it does not."""
    source = read(entry.path)[:_SCRIPT_READ_LIMIT]
    path = PurePosixPath(entry.path)
    named = path.name == "train_gpt.py" or (path.name.startswith("train") and not strict)
    score = sum(weight for sign, weight in _SIGNS if sign.search(source))
    learns = _LEARNS.search(source) is not None and score >= _ENOUGH
    if _PACKED.search(source) and (named or _LONG_LITERAL.search(source)):
        score = max(score, _PACKED_SCORE)
    elif not named and not (learns and (_TRAINS.search(source) or not strict)):
        return None
    score += 8 * (path.name == "train_gpt.py") + 3 * path.name.startswith("train")
    score += 4 * (entry.change is not Change.MODIFIED) - 4 * (b"mlx.core" in source)
    depth = len(path.parts) - len(PurePosixPath(folder or ".").parts)
    return score, -depth, entry.size
