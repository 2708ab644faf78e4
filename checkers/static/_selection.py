"""Weights that are chosen by their validation loss: a branch on scores that keeps or restores parameters."""

from __future__ import annotations

import ast

from checkers.facts import Facts
from checkers.static._aliases import call_name
from checkers.static._words import words
from harness.nodes import walk

_KEEPS = words("copy_ load_state_dict state_dict deepcopy clone")


def chosen_by_score(facts: Facts) -> ast.If | None:
    """The first running branch on validation scores under which weights are kept or put back."""
    branches = (n for m in facts.modules if m.tree for n in walk(m.tree) if isinstance(n, ast.If))
    return next((n for n in branches if _keeps_weights(n) and compares_scores(facts, n)), None)


def _keeps_weights(branch: ast.If) -> bool:
    return any(call_name(n) in _KEEPS for s in (*branch.body, *branch.orelse) for n in walk(s))


def compares_scores(facts: Facts, branch: ast.If) -> bool:
    """Whether a branch runs and hangs on a comparison of validation scores."""
    compared = (n for n in walk(branch.test) if isinstance(n, ast.Compare))
    return any({"score", "val"} <= facts.sources(n) for n in compared) and bool(facts.runs(branch))
