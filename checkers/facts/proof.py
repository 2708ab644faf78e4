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
from harness.nodes import children

_LEAST = 8  # characters of literal text
_PAIR = re.compile(r"[\w.]+\s*[:=]\s*(?:\S*|\[.*\]|\(.*\)|\{.*\})")  # a name and one value
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
    printing = [(m, n, p) for m, n in _strings(modules) if (p := _pattern(n))]
    live = [pattern for module, node, pattern in printing if _statement(module, node) in seen]
    unexplained = [line for line in lines if not any(p.search(line) for p in live)]
    found: dict[ast.AST, bool] = {}
    for module, node, pattern in printing if unexplained else ():
        if _statement(module, node) not in seen and any(pattern.search(line) for line in unexplained):
            for owner, test, outcome in _not_taken(module, node, ways, seen):
                if isinstance(owner, ast.If):
                    found[test] = found.get(test, False) or outcome
    return found


def _by_words(
    modules: tuple[Module, ...], ways: dict[ast.AST, Ways], seen: set[ast.AST], lines: tuple[str, ...]
) -> dict[ast.AST, bool]:
    """Tests behind whose other outcome stand words that a line of settings has and running code has not."""
    found: dict[ast.AST, bool] = {}
    text = ""
    if any(_dumps(string) for _, string in _strings(modules)):
        lines = tuple(line for line in lines if not _PAIR.fullmatch(line))
    for module, string in _strings(modules) if lines else ():
        behind = list(_not_taken(module, string, ways, seen))
        words = _words_of(string, lines) if behind else None
        if words is None:
            continue
        text = text or "\n".join(_running_text(modules, seen, ways))
        if words not in text:
            for _, test, outcome in behind:
                found[test] = found.get(test, False) or outcome
    return found


def _dumps(node: ast.JoinedStr) -> bool:
    """Whether a formatted string has a name and a value, both of them computed: ``f"{k}: {v}"``.

    In a loop over settings it prints them all, so that a line of this form tells of no other string.
    """
    gaps = sum(isinstance(p, ast.FormattedValue) for p in node.values)
    words = any(isinstance(p, ast.Constant) and re.search(r"\w", str(p.value)) for p in node.values)
    return gaps == 2 and not words


def _strings(modules: tuple[Module, ...]) -> Iterator[tuple[Module, ast.JoinedStr]]:
    """The formatted strings of all layers."""
    for module in modules:
        for node in module.formatted:
            yield module, node


def _statement(module: Module, node: ast.AST) -> ast.AST | None:
    """The innermost statement around an expression."""
    return next((a for a in module.ancestors(node) if isinstance(a, ast.stmt)), None)


def _not_taken(
    module: Module, node: ast.AST, ways: dict[ast.AST, Ways], seen: set[ast.AST]
) -> Iterator[tuple[ast.AST, ast.AST, bool]]:
    """The branches and arms not taken that hold a node, of decided tests in code that runs.

    Each as the branching node, its test, and the outcome that would have led here.
    """
    below = node
    for outer in module.ancestors(node):
        if isinstance(outer, (ast.If, ast.IfExp)) and below is not outer.test:
            way = ways.get(outer.test)
            if way is None or way.open:
                pass
            elif isinstance(outer, ast.IfExp):
                if below is (outer.orelse if way.true else outer.body):
                    yield outer, outer.test, not way.true
            elif outer in seen:
                wanted = below in outer.body
                if (outer.body if wanted else outer.orelse)[0] not in seen:
                    yield outer, outer.test, wanted
        below = outer


def _words_of(node: ast.JoinedStr, lines: tuple[str, ...]) -> str | None:
    """The longest literal piece of a formatted string, if it tells anything and printed one of the lines."""
    parts = [p.value if isinstance(p, ast.Constant) else None for p in node.values]
    longest = max((p.strip() for p in parts if isinstance(p, str)), key=len, default="")
    if len(longest) < _LEAST or not _TELLING.search(longest):
        return None
    having = [line for line in lines if longest in line]
    return longest if having and any(map(_whole(parts).search, having)) else None


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


def _pattern(node: ast.JoinedStr) -> re.Pattern[str] | None:
    parts = [p.value if isinstance(p, ast.Constant) else None for p in node.values]
    literal = "".join(p for p in parts if isinstance(p, str))
    return None if "bpb" not in literal or len(literal) < _LEAST else _whole(parts)


def _whole(parts: Sequence[object]) -> re.Pattern[str]:
    return re.compile("".join(re.escape(p.strip("\n")) if isinstance(p, str) else ".{0,60}?" for p in parts))
