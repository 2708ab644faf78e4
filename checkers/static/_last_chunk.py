"""Test-time training on the last chunk, after which nothing is scored: harmless, and customarily left out.

The guard is customary since #1413. Its absence breaks no rule and can only be remarked upon.
"""

from __future__ import annotations

import ast

from checkers.facts import Did, Event, Facts
from checkers.facts.place import locate
from checkers.facts.values import TRAIN, VAL
from checkers.finding import Evidence, Finding, Kind, Strength
from checkers.static._learning import Learning
from harness.nodes import walk

MESSAGE = (
    "Nothing is scored after the last chunk, and it is trained on all the same; "
    "a guard that leaves it out is customary and saves its time."
)


def unguarded(facts: Facts, found: Learning, rule: str) -> list[Finding]:
    """A remark for each statement that trains on every chunk of a loop that scores first."""
    remarks: dict[ast.AST, Finding] = {}
    for update in facts.of(Did.UPDATE):
        loop = _scoring_loop(update, found) if update.bits & VAL and not update.bits & TRAIN else None
        statement = _statement(update, loop) if loop is not None else None
        if loop is None or statement is None or _guarded(update, loop):
            continue
        where = locate(update.module, statement, "trained on here, the last chunk included")
        remark = Finding(
            rule=rule,
            message=MESSAGE,
            where=where,
            evidence=Evidence(Kind.STATIC, MESSAGE),
            strength=Strength.REMARK,
            confidence=0.7,
            reach=facts.reaches(statement).why,
        )
        remarks.setdefault(statement, remark)
    return list(remarks.values())


def _scoring_loop(update: Event, found: Learning) -> ast.For | None:
    """The innermost counting loop in which an earlier score of the headline number was taken as well."""
    scoring = {loop for score in found.headline.scores for loop, _ in score.loops}
    loop = next((loop for loop, _ in reversed(update.loops) if loop in scoring), None)
    if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name) and _is_range(loop.iter):
        return loop
    return None


def _is_range(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    return node.func.id == "range" and len(node.args) == 1


def _statement(update: Event, loop: ast.For) -> ast.stmt | None:
    """The statement of the loop's own body that holds the update or the call that leads to it."""
    for node in (update.node, *(call for _, call in reversed(update.calls))):
        for statement in loop.body:
            if any(inner is node for inner in walk(statement)):
                return statement
    return None


def _guarded(update: Event, loop: ast.For) -> bool:
    """Whether a test on the way to the update, or an early exit of the loop, looks at the counter."""
    counter = {loop.target.id} if isinstance(loop.target, ast.Name) else set()
    for node in walk(loop):
        if isinstance(node, ast.Assign) and _names(node.value) & counter:
            counter |= {name for target in node.targets for name in _names(target)}
    passed: set[str] = set()
    for module, node in ((update.module, update.node), *update.calls):
        for outer in module.ancestors(node):
            if isinstance(outer, (ast.If, ast.IfExp, ast.While)):
                passed |= _names(outer.test)
    exits = [
        n.test
        for n in walk(loop)
        if isinstance(n, ast.If) and any(isinstance(s, (ast.Break, ast.Continue)) for s in n.body)
    ]
    return bool((passed | {name for test in exits for name in _names(test)}) & counter)


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in walk(node) if isinstance(n, ast.Name)}
