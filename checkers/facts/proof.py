"""Branches that the log proves to have run although the known settings say otherwise.

A script whose switch is off by default may have been run with the switch on and no command on
record. Where the log holds a line that only a branch not taken could have printed, the branch was
taken: a final score line, or words in a line of settings that no code that runs has in it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from checkers.facts.source import Module
from checkers.facts.values import Ways
from harness.logs import LogBook
from harness.nodes import children, walk

_LEAST = 8  # characters of literal text
_TELLING = re.compile(r"[A-Za-z_]{3,}[ :=]")  # a word and what follows it, no mere unit


@dataclass(frozen=True, slots=True)
class Printed:
    """Distinct lines of the logs, as far as they are used: final scores, and settings of the headline run."""

    finals: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


def printed_lines(logs: LogBook) -> Printed:
    """What the logs printed."""
    finals = (s.place.excerpt for log in logs.finished for s in log.finals)
    headline = logs.headline
    said = headline.settings.values() if headline and headline in logs.finished else ()
    return Printed(_distinct(finals), _distinct(s.place.excerpt for s in said))


def _distinct(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({line.strip() for line in lines if line.strip()}))


def proven(
    modules: Iterable[Module], ways: dict[ast.AST, Ways], seen: set[ast.AST], printed: Printed
) -> dict[ast.AST, bool]:
    """The tests whose other outcome the log proves, with that outcome."""
    modules = tuple(modules)
    return _by_finals(modules, ways, seen, printed.finals) | _by_words(modules, ways, seen, printed.settings)


def _by_finals(
    modules: tuple[Module, ...], ways: dict[ast.AST, Ways], seen: set[ast.AST], lines: tuple[str, ...]
) -> dict[ast.AST, bool]:
    if not lines:
        return {}
    live = [p for m in modules for p in _patterns(m.tree, seen, True)]
    unexplained = [line for line in lines if not any(p.search(line) for p in live)]
    if not unexplained:
        return {}
    found: dict[ast.AST, bool] = {}
    for test, body, outcome in _not_taken(modules, ways, seen):
        dead = ast.Module(body=[n for n in body if isinstance(n, ast.stmt)], type_ignores=[])
        if any(p.search(line) for p in _patterns(dead, seen, False) for line in unexplained):
            found.setdefault(test, outcome)
    return found


def _by_words(
    modules: tuple[Module, ...], ways: dict[ast.AST, Ways], seen: set[ast.AST], lines: tuple[str, ...]
) -> dict[ast.AST, bool]:
    """Tests behind whose other outcome stand words that a line of settings has and running code has not."""
    found: dict[ast.AST, bool] = {}
    text = ""
    for test, body, outcome in _not_taken(modules, ways, seen):
        for string in (n for part in body for n in walk(part) if isinstance(n, ast.JoinedStr)):
            pattern = _words_of(string)
            if pattern is None or not any(pattern[1].search(line) for line in lines):
                continue
            text = text or "\n".join(_running_text(modules, seen, ways))
            if pattern[0] not in text:
                found.setdefault(test, outcome)
    return found


def _not_taken(
    modules: tuple[Module, ...], ways: dict[ast.AST, Ways], seen: set[ast.AST]
) -> Iterator[tuple[ast.AST, list[ast.AST], bool]]:
    """Every decided test of code that runs, with the branch or arm that was not taken."""
    for module in modules:
        for node in module.parents:
            if isinstance(node, ast.If) and node in seen:
                way = ways.get(node.test)
                for body, outcome in ((node.body, True), (node.orelse, False)):
                    if way is not None and not way.open and body and body[0] not in seen:
                        yield node.test, list(body), outcome
            elif isinstance(node, ast.IfExp) and (way := ways.get(node.test)) and not way.open:
                yield node.test, [node.orelse if way.true else node.body], not way.true


def _words_of(node: ast.JoinedStr) -> tuple[str, re.Pattern[str]] | None:
    """The longest literal piece of a formatted string, if it tells anything, and a pattern of the whole."""
    parts = [p.value if isinstance(p, ast.Constant) else None for p in node.values]
    longest = max((p.strip() for p in parts if isinstance(p, str)), key=len, default="")
    if len(longest) < _LEAST or not _TELLING.search(longest):
        return None
    return longest, _whole(parts)


def _running_text(
    modules: tuple[Module, ...], seen: set[ast.AST], ways: dict[ast.AST, Ways]
) -> Iterator[str]:
    """The literal strings of statements that run, without those in arms not taken."""
    for module in modules:
        stack: list[tuple[ast.AST, bool]] = [(module.tree, False)]
        while stack:
            node, run = stack.pop()
            if isinstance(node, ast.stmt):
                run = node in seen
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and run:
                yield node.value
            way = ways.get(node.test) if isinstance(node, ast.IfExp) else None
            if isinstance(node, ast.IfExp) and way is not None and not way.open:
                stack += [(node.test, run), (node.body if way.true else node.orelse, run)]
            else:
                stack += [(child, run) for child in children(node)]


def _patterns(tree: ast.AST, seen: set[ast.AST], live: bool) -> list[re.Pattern[str]]:
    """Patterns of the score lines that the statements of a tree print, those run or those not run."""
    found = []
    stack: list[tuple[ast.AST, bool]] = [(tree, not live)]
    while stack:
        node, run = stack.pop()
        if isinstance(node, ast.stmt):
            run = node in seen
        if isinstance(node, ast.JoinedStr) and run is live and (pattern := _pattern(node)):
            found.append(pattern)
        stack += [(child, run) for child in children(node)]
    return found


def _pattern(node: ast.JoinedStr) -> re.Pattern[str] | None:
    parts = [p.value if isinstance(p, ast.Constant) else None for p in node.values]
    literal = "".join(p for p in parts if isinstance(p, str))
    return None if "bpb" not in literal or len(literal) < _LEAST else _whole(parts)


def _whole(parts: Sequence[object]) -> re.Pattern[str]:
    return re.compile("".join(re.escape(p.strip("\n")) if isinstance(p, str) else ".{0,60}?" for p in parts))
