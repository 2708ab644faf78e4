"""Excerpts as HTML: colours by Pygments, a link for each line, a caret under the column that matters."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup, escape
from pygments.lexer import Lexer
from pygments.lexers.data import JsonLexer
from pygments.lexers.python import PythonLexer
from pygments.lexers.special import TextLexer
from pygments.token import STANDARD_TYPES, _TokenType

from reports.excerpt import Line
from reports.items import Spot

_KEPT = frozenset("kscm")  # keywords, strings, comments, numbers; the rest stays plain


def block(spot: Spot, anchor: str) -> Markup:
    """A ``pre`` with one anchored line each; ``anchor`` makes the ids unique in the page."""
    coloured = list(_lines(spot))
    lines = [_line(line, text, anchor, spot) for line, text in zip(spot.lines, coloured, strict=True)]
    return Markup('<pre class="code" tabindex="0"><code>{}</code></pre>').format(Markup("\n").join(lines))


def _lines(spot: Spot) -> Iterator[Markup]:
    """Highlight all lines together, so that strings over several lines are right, and split again."""
    source = "\n".join(line.text for line in spot.lines)
    made: list[Markup] = []
    for kind, value in _lexer(spot.path).get_tokens(source):
        for number, piece in enumerate(value.split("\n")):
            if number:
                yield Markup("").join(made)
                made = []
            made.append(_token(kind, piece))
    if made and any(made):
        yield Markup("").join(made)


def _lexer(path: str) -> Lexer:
    options = {"stripnl": False, "ensurenl": True}
    if path.endswith(".py"):
        return PythonLexer(**options)
    return JsonLexer(**options) if path.endswith(".json") else TextLexer(**options)


def _token(kind: _TokenType, text: str) -> Markup:
    class_ = STANDARD_TYPES.get(kind, "")[:1]
    if not text or class_ not in _KEPT:
        return escape(text)
    return Markup('<span class="t{}">{}</span>').format(class_, text)


def _line(line: Line, text: Markup, anchor: str, spot: Spot) -> Markup:
    shown = _number(line, anchor, spot) + text
    if line.caret < 0:
        return shown
    caret = Markup('\n<span class="caret" aria-hidden="true">{}^</span>').format(" " * (7 + line.caret))
    return Markup('<span class="hit">{}</span>').format(shown) + caret


def _number(line: Line, anchor: str, spot: Spot) -> Markup:
    if not line.number:
        return Markup("       ")
    padded = f"{line.number:>5}"
    if spot.url:
        link = spot.url.rpartition("#")[0] + f"#L{line.number}"
        return Markup('<a class="ln" href="{}" rel="noreferrer">{}</a>  ').format(link, padded)
    name = f"{anchor}-L{line.number}"
    return Markup('<a class="ln" id="{}" href="#{}">{}</a>  ').format(name, name, padded)
