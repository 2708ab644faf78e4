"""Weights searched by trial: a loop edits them at random and keeps what lowers the loss on validation tokens.

Choosing between finished checkpoints is no such search: there nothing is drawn and tried.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from checkers.facts import Did, Facts
from checkers.static._aliases import call_name
from checkers.static._headline import Headline
from checkers.static._selection import compares_scores
from checkers.static._words import words
from harness.nodes import walk

_DRAWS = words(
    "randint randn rand randperm randn_like rand_like normal uniform choice sample normal_ uniform_"
)
_IN_PLACE = words("add_ sub_ mul_ copy_ lerp_ scatter_ index_copy_ masked_fill_")


@dataclass(frozen=True, slots=True)
class Trial:
    """The test that keeps an edit or takes it back, and the place of the edit."""

    test: ast.If
    edit: ast.AST


def trials(facts: Facts, headline: Headline) -> Iterator[Trial]:
    """The searches that run before a score behind the headline number."""
    for loop in dict.fromkeys(_drawing(facts)):
        if (found := _trial(facts, loop)) is not None and _before(facts, headline, loop):
            yield found


def _drawing(facts: Facts) -> Iterator[ast.For | ast.While]:
    """The loops around a draw of random numbers."""
    for module in facts.modules:
        draws = (call for call in module.calls if call_name(call) in _DRAWS and facts.runs(call))
        for outer in (outer for call in draws for outer in module.ancestors(call)):
            if isinstance(outer, (ast.For, ast.While)):
                yield outer


def _before(facts: Facts, headline: Headline, loop: ast.AST) -> bool:
    """Whether a score of the headline is taken after the scores inside a loop."""
    inside = [e.order for e in facts.of(Did.SCORE) if any(node is loop for node, _ in e.loops)]
    return bool(inside) and any(s.order > max(inside) for s in headline.scores)


def _trial(facts: Facts, loop: ast.For | ast.While) -> Trial | None:
    drawn = {
        t.id
        for n in walk(loop)
        if isinstance(n, ast.Assign) and any(call_name(c) in _DRAWS for c in walk(n.value))
        for t in n.targets
        if isinstance(t, ast.Name)
    }
    tests = [n for n in walk(loop) if isinstance(n, ast.If) and compares_scores(facts, n)] if drawn else []
    for test in tests:
        decided = {d for s in (*test.body, *test.orelse) for d in walk(s)}
        kept = {ast.dump(what) for node, what in _edits(test) if node in decided}
        for node, what in _edits(loop):
            if node not in decided and ast.dump(what) in kept and drawn & _names(node):
                return Trial(test, node)
    return None


def _edits(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Statements and calls that change elements in place, with what they change."""
    for node in walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((node, t.value) for t in targets if isinstance(t, ast.Subscript))
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _IN_PLACE
        ):
            yield node, node.func.value


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in walk(node) if isinstance(n, ast.Name)}
