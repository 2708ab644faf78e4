"""Making foreign text safe and short: control characters, long lines, Markdown and HTML.

Whatever comes out of a submission (paths, excerpts, captions, quoted names) is hostile until it has
passed through here. Renderers for HTML rely on Jinja's autoescaping on top.
"""

from __future__ import annotations

import math
import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_]))")
_LINE_START = re.compile(r"^([#+>=:-]|\d+[.)](?=\s|$))")
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_REFERENCE = re.compile(r"(#|GH-)(?=\d)", re.IGNORECASE)
_MENTION = re.compile("@")
_AUTOLINK = re.compile(r"(https?|ftp|mailto|xmpp):|www\.", re.IGNORECASE)
_GUARD = "\u200b"  # zero width space: shows nothing, and stops GitHub from linking or notifying
RULING_HOST = "https://github.com/openai/parameter-golf"


MOST = 4_000  # characters of one message; no sentence of ours is longer, and forged ones are cut


def visible(text: str, *, keep_newlines: bool = False) -> str:
    """Show control, bidirectional and other invisible characters as escapes instead of obeying them."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible_char(c, keep_newlines) for c in text)


def _visible_char(char: str, keep_newlines: bool) -> str:
    if char == "\n":
        return "\n" if keep_newlines else " "
    if char == "\t":
        return "    " if keep_newlines else " "
    if char == "\r":
        return ""
    if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        return f"\\u{ord(char):04x}"
    return char


def plain(text: str) -> str:
    """One visible line: white space folded, invisible characters shown, cut to MOST characters."""
    return re.sub(r"\s+", " ", visible(shorten(text, MOST))).strip()


def shorten(text: str, limit: int) -> str:
    """Cut to ``limit`` characters, the last of them an ellipsis where something was lost."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def md(text: str) -> str:
    """Escape foreign text for a Markdown line; ```code``` spans in it stay code spans."""
    parts = _CODE_SPAN.split(plain(text))
    return "".join(code(p) if i % 2 else _md_words(p) for i, p in enumerate(parts))


def _md_words(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    text = _MARKDOWN.sub(r"\\\1", text)
    text = _LINE_START.sub(_escape_start, text)
    text = _MENTION.sub("@" + _GUARD, text)
    text = _REFERENCE.sub(r"\1" + _GUARD, text)
    return _AUTOLINK.sub(lambda m: m[0][:-1] + _GUARD + m[0][-1], text)


def _escape_start(found: re.Match[str]) -> str:
    start = found[0]
    return f"\\{start}" if len(start) == 1 else f"{start[:-1]}\\{start[-1]}"


def code(text: str) -> str:
    """A Markdown code span that no content can close."""
    text = plain(text) or " "
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def cell(text: str) -> str:
    """Escape for a cell of a Markdown table: a pipe would end it even inside a code span."""
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def fence(text: str, language: str = "") -> str:
    """A fenced code block that no content can close. Nothing inside it is linked or notified."""
    return verbatim(visible(text, keep_newlines=True).rstrip("\n"), language)


def verbatim(text: str, language: str) -> str:
    """A fenced code block of exactly this text, for code that is to be taken over."""
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def ruling_url(url: str) -> str:
    """The URL if it points into the challenge's repository, else nothing: JSON files can be forged."""
    return url if re.fullmatch(re.escape(RULING_HOST) + r"([/#?][\w./#?=&-]*)?", url) else ""


def number(value: object, digits: int = 4) -> str:
    """Word a number for people: thousands apart, few decimals, a dash for nothing."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return shorten(plain(str(value)), 60)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        return f"{int(value):,}"
    if not math.isfinite(value):
        return str(value)
    if value and (abs(value) < 10**-digits or abs(value) >= 1e7):
        return f"{value:.3g}"
    return f"{round(value, digits):,}".removesuffix(".0")
