"""The Jinja environments: autoescaped for HTML, explicit filters for Markdown."""

from __future__ import annotations

from functools import lru_cache

import jinja2

from reports import text, words


@lru_cache(maxsize=1)
def html() -> jinja2.Environment:
    """Templates for HTML: everything is escaped unless the renderer marked it as markup."""
    return _environment(autoescape=True)


@lru_cache(maxsize=1)
def markdown() -> jinja2.Environment:
    """Templates for Markdown: foreign text goes through ``md``, ``code``, ``cell`` or ``fence``."""
    made = _environment(autoescape=False)
    made.filters.update(public=words.public)
    made.filters.update(md=text.md, code=text.code, cell=text.cell, fence=text.fence, url=text.ruling_url)
    return made


def _environment(*, autoescape: bool) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "templates"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.update(LABEL=words.VERDICT_LABEL, SYMBOL=words.SYMBOL)
    return made
