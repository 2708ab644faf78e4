"""One table of formats: name -> file name and renderer. Each renders from the public JSON alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import cast

from reports.shape_v1 import Audit

Renderer = Callable[[Audit], bytes]

_FORMATS: dict[str, tuple[str, str]] = {
    # format -> (file name, module with ``render(audit) -> bytes``); imported only when asked for
    "md": ("comment.md", "reports.markdown"),
    "json": ("audit.json", "reports.plain_json"),
    "html": ("report.html", "reports.html"),
    "sarif": ("audit.sarif", "reports.sarif"),
    "github-review": ("review.json", "reports.github_review"),
    "junit": ("junit.xml", "reports.junit"),
}
FORMATS = tuple(_FORMATS)


def render(audit: Audit, name: str) -> tuple[str, bytes]:
    """Render one format; return the customary file name and the bytes.

    Raises:
        ValueError: no format has this name.
    """
    if name not in _FORMATS:
        raise ValueError(f"no format is called {name!r}; choose from {', '.join(FORMATS)}")
    filename, module = _FORMATS[name]
    renderer = cast("Renderer", import_module(module).render)
    return filename, renderer(audit)


def write_all(audit: Audit, formats: Iterable[str], out: Path) -> list[Path]:
    """Write each format into the folder ``out``, making it if need be; return the paths in order."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in formats:
        filename, content = render(audit, name)
        path = out / filename
        path.write_bytes(content)
        written.append(path)
    return written
