"""Branches that the log proves to have run although the known settings say otherwise.

A script whose switch is off by default may have been run with the switch on and no command on
record. Where the log holds a final score line that only a branch not taken could have printed, the
branch was taken.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from checkers.facts.source import Module
from checkers.facts.values import Ways
from harness.nodes import children

_LEAST = 8  # characters of literal text


def printed_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The distinct final score lines of the logs."""
    return tuple(sorted({line.strip() for line in lines if line.strip()}))


def proven(
    modules: Iterable[Module], ways: dict[ast.AST, Ways], seen: set[ast.AST], lines: tuple[str, ...]
) -> dict[ast.AST, bool]:
    """The tests whose other outcome the log proves, with that outcome."""
    if not lines:
        return {}
    live = [p for m in modules for p in _patterns(m.tree, seen, True)]
    unexplained = [line for line in lines if not any(p.search(line) for p in live)]
    if not unexplained:
        return {}
    found: dict[ast.AST, bool] = {}
    for module in modules:
        for node in module.parents:
            if isinstance(node, ast.If) and node in seen:
                found |= _of_branch(node, ways, seen, unexplained)
    return found


def _of_branch(
    node: ast.If, ways: dict[ast.AST, Ways], seen: set[ast.AST], lines: list[str]
) -> dict[ast.AST, bool]:
    way = ways.get(node.test)
    if way is None or way.open:
        return {}
    for body, outcome in ((node.body, True), (node.orelse, False)):
        if body and body[0] not in seen:
            dead = ast.Module(body=body, type_ignores=[])
            if any(p.search(line) for p in _patterns(dead, seen, False) for line in lines):
                return {node.test: outcome}
    return {}


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
    if "bpb" not in literal or len(literal) < _LEAST:
        return None
    return re.compile("".join(re.escape(p.strip("\n")) if isinstance(p, str) else ".{0,60}?" for p in parts))
