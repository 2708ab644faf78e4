"""The link check: every relative link, anchor, image and mention of a repository file must exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from reports.site.build import ROOT

_OUTSIDE = re.compile(r"https://[\w.-]+\.[a-z]+(/\S*)?$")


@dataclass
class _Page(HTMLParser):
    ids: set[str] = field(default_factory=set)
    targets: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect ids, and what ``href`` and ``src`` point to."""
        found = dict(attrs)
        if found.get("id"):
            self.ids.add(str(found["id"]))
        self.targets += [str(found[name]) for name in ("href", "src") if found.get(name)]
        if found.get("data-file"):
            self.files.append(str(found["data-file"]))


def broken(out: Path) -> list[str]:
    """One line for each link of the built site that leads nowhere. Other hosts are not asked."""
    pages = {path: _read(path) for path in sorted(out.rglob("*.html"))}
    return [line for path, page in pages.items() for line in _faults(path, page, pages, out)]


@lru_cache(maxsize=512)
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _faults(path: Path, page: _Page, pages: dict[Path, _Page], out: Path) -> Iterator[str]:
    for target in page.targets:
        why = _fault(path, target, pages)
        if why:
            yield f"{path.relative_to(out)}: {target}: {why}"
    for file in page.files:
        if not (ROOT / unquote(file)).exists():
            yield f"{path.relative_to(out)}: {file}: no such file in the repository"


def _fault(path: Path, target: str, pages: dict[Path, _Page]) -> str:
    if re.match(r"[a-z]+:", target):
        return "" if _OUTSIDE.match(target) or target.startswith("data:") else "not an https link"
    name, _, anchor = unquote(target).partition("#")
    file_path = (path.parent / name).resolve() if name else path
    other = _page_at(file_path, pages)
    if other is None:
        return "" if file_path.exists() and not anchor else "no such page"
    return "" if not anchor or anchor in other.ids else "no such heading"


def _page_at(path: Path, pages: dict[Path, _Page]) -> _Page | None:
    """The page whose resolved path is ``path``."""
    return next((page for known, page in pages.items() if known.resolve() == path.resolve()), None)
