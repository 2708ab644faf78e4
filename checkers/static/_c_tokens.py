"""Tokens of C and C++ sources that a submission compiles at run time.

A reader, not a compiler: comments and preprocessor lines are dropped, literals keep their text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERN = re.compile(
    r"""
      (?P<skip>\s+|//[^\n]*|/\*.*?\*/|\\\n)
    | (?P<hash>\#(?:[^\n\\]|\\.|\\\n)*)
    | (?P<string>(?:u8|[uUL])?"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<number>(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)[uUlLfF]*)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<op><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||::|[-+*/%&|^]=|[-+*/%&|^~!<>=?:;,.(){}\[\]])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind (``name``, ``number``, ``string``, ``op``, ``end``), text and line from 1."""

    kind: str
    text: str
    line: int


def tokenize(source: str) -> list[Token]:
    """Split a source into tokens. A character that belongs to none is skipped."""
    out: list[Token] = []
    line, at = 1, 0
    while at < len(source):
        match = _PATTERN.match(source, at)
        if match is None:
            at += 1
            continue
        kind, text = match.lastgroup or "skip", match.group()
        if kind not in ("skip", "hash"):
            out.append(Token(kind, text, line))
        line += text.count("\n")
        at = match.end()
    out.append(Token("end", "", line))
    return out


def number(text: str) -> int | float:
    """The value of a numeric literal without its suffix (0 when it is malformed)."""
    body = text.rstrip("uUlL") if text[:2].lower() == "0x" else text.rstrip("uUlLfF")
    try:
        return int(body, 0) if not re.search(r"[.eE]", body) or body[:2].lower() == "0x" else float(body)
    except ValueError:
        return int(body) if body.isdigit() else 0
