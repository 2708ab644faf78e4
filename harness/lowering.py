"""Let the running interpreter's ``ast`` read newer syntax, without moving a token to another line.

Submissions are written for Python 3.12: their f-strings nest quotes and backslashes (PEP 701) and now
and then they use type parameters (PEP 695). The text is parsed by ``ast`` first, which is what nearly
all of them need; only a text it refuses goes through LibCST.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_MAX_CHARACTERS = 8_000_000  # the largest script of the archive has 1.3 million
_NEWER = re.compile(
    r"""[fF][rR]?["']|[rR][fF]["']|^[ \t]*(?:type[ \t]|(?:def|class)[^\n(:]*\[)""", re.MULTILINE
)
_SECONDS = 600  # the child ends itself after 20 of processor time; a busy machine changes no verdict


def lower(text: str) -> tuple[str, str | None]:
    """Return the same program in syntax that ``ast`` accepts, and why it cannot be parsed, if so.

    The text comes back unchanged when nothing had to be lowered or nothing could be.
    """
    problem = why_not(text)
    if problem is None or not problem.endswith(")") or not _NEWER.search(text):
        return text, problem  # only a SyntaxError, which names its line, can be one of new syntax
    lowered = _rewritten(text)
    if lowered is not None and lowered.count("\n") == text.count("\n") and why_not(lowered) is None:
        return lowered, None
    return text, problem


@lru_cache(maxsize=4)
def _rewritten(text: str) -> str | None:
    """Rewrite in a process of its own, which hostile nesting may crash; None when it cannot be done."""
    program = Path(__file__).with_name("lowering_cst.py")
    source = text.encode("utf-8", "surrogatepass")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(program)],
            input=source,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "surrogatepass") if done.returncode == 0 else None


def why_not(text: str) -> str | None:
    """Return None when ``ast`` accepts the text, else the reason, with its line."""
    try:
        tree(text)
    except SyntaxError as error:
        return f"{error.msg} (line {error.lineno})" if error.lineno else error.msg
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"too large or too deeply nested to parse: {type(error).__name__}"
    return None


@lru_cache(maxsize=4)
def tree(text: str) -> ast.Module:
    """Parse a text; the tree is shared, so it must not be changed.

    Raises:
        SyntaxError: the text is not Python of this interpreter.
        ValueError, RecursionError, MemoryError: it is nothing a parser can hold.
    """
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(f"more than {_MAX_CHARACTERS} characters")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def forget() -> None:
    """Drop the texts that are remembered, so that a measurement starts cold."""
    tree.cache_clear()
    _rewritten.cache_clear()


def statements(module: ast.Module) -> Iterator[ast.stmt]:
    """Every statement of a module in source order, without the (ten times more) expressions."""
    stack: list[ast.AST] = [module]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.stmt):
            yield node
        for name in ("finalbody", "orelse", "handlers", "cases", "body"):
            below = getattr(node, name, None)
            if isinstance(below, list):
                stack.extend(reversed(below))
