"""Data that a script died without, and folders for its logs: read off the words of its failure, shown to the
next attempt.

What a script looks for is mostly told by its source (``harness.needs``). Where a path is put together
as it runs, or lies in a folder of the author's own, only the failure says what was missing.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from harness import needs
from harness.needs import Needs
from harness.world.build import tokenizer

_LACKS = re.compile(
    r"no such|not[ _]found|no [\w ]*(?:files?|shards?|data)\b|does ?n[o']t exist|read-only file system",
    re.IGNORECASE,
)
_NAME = r"[\w.\-*?\[\]]+"
_PATH = re.compile(rf"(?:(?<=[\s\"'`:=(])|^)((?:\.{{0,2}}/)?{_NAME}(?:/{_NAME})+|/{_NAME})/?")
_WILD = re.compile(r"\*+|\?+|\[[^\]]*\]")
_LOGS = (".log", ".txt", ".csv", ".json", ".jsonl", ".tsv")
WRITTEN = "written"
"""The folder of a run that holds absolute folders of logs: the script may write there, and its twin does."""
_SPLIT = re.compile(r"train|val", re.IGNORECASE)


def missing(blocker: str, unfound: Sequence[str] = ()) -> str | None:
    """The path of a tokenizer, of shards or of a folder of data that a script died without; with a slash at
    its end, that of a folder to write in.

    ``blocker`` is the failure, which says so at best; ``unfound`` are paths and patterns that the script
    looked for in vain, the last first.
    """
    words = blocker.rpartition(" at ")[0] or blocker
    said = [PurePosixPath(m[1]) for m in _PATH.finditer(words)] if _LACKS.search(words) else []
    if "read-only" in words.lower():
        return next((f"{path.parent}/" for path in said if _is_free(path) and not _is_model(path)), None)
    for path in said:
        if _is_data(path):
            return str(path)
        if _is_free(path) and path.suffix in _LOGS:
            return f"{path.parent}/"
    sought = map(PurePosixPath, unfound)
    return next((str(path) for path in sought if path.suffix and _is_data(path)), None)


def _is_free(path: PurePosixPath) -> bool:
    absolute = path.is_absolute()
    return ".." not in path.parts and (not absolute or needs.is_free(str(path.parent)))


def _is_data(path: PurePosixPath) -> bool:
    """Whether we can make it. What counts bytes beside tokens must fit them, and lies in their own folder."""
    kinds = (".model", ".bin") if path.suffix else ("",)
    return _is_free(path) and path.suffix in kinds and "bytes" not in path.name


def _is_model(path: PurePosixPath) -> bool:
    """Whether it may hold weights: a run and its twin would overwrite one another's."""
    return path.suffix not in ("", *_LOGS)


def provide(path: str, wanted: Needs, root: Path, cwd: Path, links: Mapping[str, Path]) -> dict[str, Path]:
    """Put what ``path`` names where a script will find it.

    Args:
        path: as `missing` gave it; absolute, or relative to ``cwd``. A folder to write in ends in a slash.
        wanted: what the script needs, with the size of its vocabulary.
        root: private folder of the run, with the data in ``root/data``.
        cwd: where the script starts, below ``root``.
        links: absolute folders as the script sees them, and the folder shown there.

    Returns:
        What to show instead of ``links``.
    """
    file, only_folder = PurePosixPath(path), path.endswith("/")
    folder = file.parent if file.suffix and not only_folder else file
    links = dict(links)
    private = root / (WRITTEN if only_folder else "supplied")
    target = _shown(folder, private, links) if folder.is_absolute() else cwd / folder
    if not target.resolve().is_relative_to(root.resolve()):
        return links  # a data set of ours, which has all it ever will
    target.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".model":
        shutil.copy(_model(file.name, wanted, root / "data"), target / file.name)
    elif not only_folder:
        _link_shards(target, file.name if file.suffix else "", _shards(wanted, root / "data"))
    return links


def _shown(folder: PurePosixPath, private: Path, links: dict[str, Path]) -> Path:
    """The folder here that is shown as ``folder``: ``links`` gains it if it is new, and loses what it has."""
    for known, here in links.items():
        if folder.is_relative_to(known):
            return _below(here / folder.relative_to(known), private)
    made = private / str(folder).strip("/")
    for known in [k for k in links if PurePosixPath(k).is_relative_to(folder)]:
        below = made / PurePosixPath(known).relative_to(folder)
        below.parent.mkdir(parents=True, exist_ok=True)
        link(below, links.pop(known))
    links[str(folder)] = made
    return made


def _below(folder: Path, private: Path) -> Path:
    """A folder in one that is shown already, where nothing can be written: logs are kept beside it."""
    if private.name != WRITTEN or folder.exists():
        return folder
    kept = private / folder.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(kept)
    return kept


def _model(name: str, wanted: Needs, data: Path) -> Path:
    known = data / "tokenizers" / name
    return known.resolve() if known.exists() else tokenizer(needs.size_in(name, wanted.vocabulary))


def _shards(wanted: Needs, data: Path) -> Path:
    """The data set of the script's vocabulary."""
    spec = next((w for w in wanted.worlds if w.vocabulary == wanted.vocabulary), wanted.worlds[0])
    return (data / "datasets" / spec.dataset).resolve()


def _link_shards(target: Path, pattern: str, shards: Path) -> None:
    """Every shard by its own name, and for a pattern or name of another form the first of its split."""
    for shard in sorted(shards.iterdir()):
        link(target / shard.name, shard)
    split = _SPLIT.search(pattern)
    if split is not None:
        first = shards / f"fineweb_{split[0].lower()}_000000.bin"
        link(target / _WILD.sub("000000", pattern), first)


def link(place: Path, target: Path) -> None:
    """Show ``target`` at ``place``, unless something is there."""
    if not os.path.lexists(place):
        place.symlink_to(target)
