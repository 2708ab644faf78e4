"""Markdown to pages: README becomes the front page, ``docs/`` keeps its paths."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape
from pygments.lexers import find_lexer_class_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

from reports import templating
from reports.html.page import assets

ROOT = Path(__file__).resolve().parent.parent.parent
FRONT = "README.md"
IMAGES = (".png", ".svg", ".jpg")
NAVIGATION = (
    # file, name in the navigation; a file that does not exist is left out
    (FRONT, "Start"),
    ("docs/reading.md", "Read a report"),
    ("docs/disputing.md", "Dispute one"),
    ("docs/how-tests-decide.md", "How the tests decide"),
    ("docs/rules/index.md", "Rules"),
    ("docs/queue.md", "The queue"),
    ("docs/automation.md", "Automation"),
    ("docs/reference-model.md", "The reference stack"),
    ("docs/json.md", "JSON"),
    ("docs/adding-a-rule.md", "Add a rule"),
    ("docs/limits.md", "Limits"),
    ("CHANGELOG.md", "Changes"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """One Markdown file and where its page goes, both relative to the root."""

    path: str
    page: str


def sources() -> list[Source]:
    """Every Markdown file of the site: README, changelog and everything below ``docs/``."""
    top = [name for name in (FRONT, "CHANGELOG.md") if (ROOT / name).exists()]
    docs = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md"))
    return [Source(path, page_of(path)) for path in [*top, *docs]]


def page_of(path: str) -> str:
    """``README.md`` -> ``index.html``, ``docs/x.md`` -> ``docs/x.html``."""
    return "index.html" if path == FRONT else f"{path.removesuffix('.md')}.html"


def build(out: Path) -> list[Path]:
    """Write every page and copy every image; return the pages."""
    pages = sources()
    written = [_write(source, {s.path for s in pages}, out) for source in pages]
    for image in (p for p in (ROOT / "docs").rglob("*") if p.suffix in IMAGES):
        target = out / image.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image, target)
    return written


def _write(source: Source, known: set[str], out: Path) -> Path:
    parser = _parser()
    tokens = parser.parse((ROOT / source.path).read_text(encoding="utf-8"))
    _anchor_headings(tokens)
    _rewrite_links(tokens, source, known)
    body = parser.renderer.render(tokens, parser.options, {})
    html = (
        templating.html()
        .get_template("site.html.j2")
        .render(
            title=_title(tokens),
            body=Markup(body),
            navigation=_navigation(source, known),
            **assets("site.css", "site.js", images="'self' file: data:"),
        )
    )
    target = out / source.page
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(html, encoding="utf-8")
    return target


def _navigation(source: Source, known: set[str]) -> list[tuple[str, str, bool]]:
    """Link, name and whether it is this page, for each page of the navigation that exists."""
    return [
        (_between(source.page, page_of(path)), name, path == source.path)
        for path, name in NAVIGATION
        if path in known
    ]


def _parser() -> MarkdownIt:
    """CommonMark with tables. Raw HTML stays: the sources are our own files, not a submission's."""
    options = {"html": True, "linkify": False, "highlight": _highlight}
    return MarkdownIt("commonmark", options).enable("table")


def _highlight(text: str, language: str, _attributes: str) -> str:
    try:
        lexer = find_lexer_class_by_name(language or "text")(stripnl=False)
    except ClassNotFound:
        return ""
    pieces = []
    for kind, value in lexer.get_tokens(text):
        class_ = STANDARD_TYPES.get(kind, "")[:1]
        coloured = class_ in {"k", "s", "c", "m"}
        pieces.append(f'<span class="t{class_}">{escape(value)}</span>' if coloured else str(escape(value)))
    return "".join(pieces)


def slug(text: str) -> str:
    """GitHub's anchor for a heading."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def _anchor_headings(tokens: Sequence[Token]) -> None:
    seen: dict[str, int] = {}
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            name = slug(_text(inline))
            count = seen.get(name, 0)
            seen[name] = count + 1
            opening.attrSet("id", f"{name}-{count}" if count else name)


def _text(inline: Token) -> str:
    return "".join(t.content for t in inline.children or [] if t.type in {"text", "code_inline"})


def _title(tokens: Sequence[Token]) -> str:
    pairs = itertools.pairwise(tokens)
    return next((_text(i) for o, i in pairs if o.type == "heading_open"), "golf-audit")


def _rewrite_links(tokens: Sequence[Token], source: Source, known: set[str]) -> None:
    """Links between Markdown files become links between pages.

    Other files of the repository have no page: their links become plain text that keeps the path in
    ``data-file``, where the link check finds it.
    """
    for token in tokens:
        into_file = False
        for child in token.children or []:
            href = child.attrGet("href") if child.type == "link_open" else None
            if isinstance(href, str) and not re.match(r"[a-z]+:|#", href):
                into_file = _rewrite(child, href, source, known)
            elif child.type == "link_close" and into_file:
                child.tag, into_file = "span", False


def _rewrite(link: Token, href: str, source: Source, known: set[str]) -> bool:
    """Point one link to its page; tell whether it became plain text instead."""
    path, mark, anchor = href.partition("#")
    full = _normal(PurePosixPath(source.path).parent / path)
    if full in known:
        link.attrSet("href", _between(source.page, page_of(full)) + mark + anchor)
    elif not full.endswith(IMAGES):
        link.tag, link.attrs = "span", {"data-file": full}
        return True
    return False


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _between(page: str, other: str) -> str:
    """The relative URL from one page to another."""
    return "../" * page.count("/") + other
