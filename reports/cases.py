"""The test cases of a rule, as examples for its page: ``tests/cases/<slug>/violates_*, complies_*``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "cases"
WHOLE = 45  # longer files are shown around their marked lines
AROUND = 8
MOST_FILES = 6  # of a case that is a folder, each with its first lines
HEAD = 7
_SHOWN = frozenset({".py", ".json", ".md", ".txt", ".log", ".sh", ".toml"})
_MARK = re.compile(r"(?:#|<!--)\s*(expect|ok|todo):\s*[\w-]+")
_LANGUAGES = {".py": "python", ".json": "json", ".c": "c", ".md": "markdown"}


@dataclass(frozen=True, slots=True)
class Case:
    """One example. The text of a folder is that of its files, each after a line with its name."""

    name: str
    path: str
    violates: bool
    text: str
    language: str
    gaps: int


def cases(slug: str) -> list[Case]:
    """The cases of a rule in name order; none if it has no folder."""
    folder = CASES / slug
    if not folder.is_dir():
        return []
    kept = [p for p in sorted(folder.iterdir()) if p.name.startswith(("violates", "complies"))]
    return [_case(path) for path in kept]


def _case(path: Path) -> Case:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else _folder(path)
    return Case(
        name=path.stem.partition("_")[2].replace("_", " ") or path.stem,
        path=path.relative_to(ROOT).as_posix(),
        violates=path.name.startswith("violates"),
        text=_excerpt(text),
        language=_LANGUAGES.get(path.suffix, "text"),
        gaps=len(re.findall(r"(?:#|<!--)\s*todo:", text)),
    )


def _folder(path: Path) -> str:
    files = [p for p in sorted(path.rglob("*")) if p.is_file() and p.suffix in _SHOWN]
    return "\n".join(_file(p, p.relative_to(path).as_posix()) for p in files[:MOST_FILES])


def _file(path: Path, name: str) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").rstrip().split("\n")
    cut = [*lines[:HEAD], "..."] if len(lines) > HEAD else lines
    return "\n".join([f"==> {name} <==", *cut])


def _excerpt(text: str) -> str:
    lines = [line[:160] for line in text.rstrip().split("\n")]
    if len(lines) <= WHOLE:
        return "\n".join(lines)
    marks = [n for n, line in enumerate(lines) if _MARK.search(line)] or [0]
    kept = sorted({n for m in marks for n in range(max(0, m - AROUND), min(len(lines), m + AROUND + 1))})
    out: list[str] = []
    for before, number in zip([-1, *kept], kept, strict=False):
        if number > before + 1:
            out.append("...")
        out.append(lines[number])
    return "\n".join([*out, "..."] if kept[-1] < len(lines) - 1 else out)
