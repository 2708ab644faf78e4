"""How far a loop of known length reads into the validation tokens: the largest index of its slices."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkers.facts import Did, Facts
from checkers.facts.source import Binding
from checkers.facts.values import VAL
from checkers.static._aliases import call_name
from checkers.static._learning import learning
from checkers.static._trace import At, Tracer
from checkers.subject import Subject

_LOOPS = (ast.For, ast.While, ast.comprehension, ast.ListComp, ast.GeneratorExp)
_DEEPEST = 12


def farthest_reads(subject: Subject, tracer: Tracer) -> Iterator[tuple[At, int]]:
    """The slices of all validation tokens in loops behind the headline's scores, with their largest index."""
    if not any(_known(subject.facts, n) for m in subject.facts.modules for n in m.subscripts):
        return
    found = learning(subject)
    scores = {
        e.order: e
        for top in found.headline.scores
        for e in (top, *found.order.scores(top.bits))
        if e.kind is Did.SCORE and e.bits & VAL and isinstance(e.node, ast.Call)
    }
    for event in scores.values():
        assert isinstance(event.node, ast.Call)
        calls = tuple(c for _, c in event.calls if isinstance(c, ast.Call))
        trace = tracer.trace([At(a, calls) for a in event.node.args], choices=False)
        slices = [at for at in trace if _whole(tracer, at)]
        ends = [most(subject.facts, at.node.slice.upper) for at in slices]  # type: ignore[attr-defined]
        if slices and None not in ends:
            yield from ((at, end) for at, end in zip(slices, ends, strict=True) if end is not None)


def _known(facts: Facts, node: ast.Subscript) -> bool:
    """Whether the largest index of a slice is known: of few submissions, and tracing is dear."""
    return _cuts(facts, node) and most(facts, node.slice.upper) is not None  # type: ignore[attr-defined]


def _whole(tracer: Tracer, at: At) -> bool:
    """Whether a place is a slice, in a loop, of validation tokens that no loop has cut before."""
    node, facts = at.node, tracer.facts
    if not _cuts(facts, node):
        return False
    assert isinstance(node, ast.Subscript)
    before = tracer.trace([At(node.value, at.calls)], choices=False)
    return not any(_cuts(facts, p.node) for p in before)


def _cuts(facts: Facts, node: ast.AST) -> bool:
    if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Slice):
        return False
    looped = any(isinstance(a, _LOOPS) for a in facts.module_of(node).ancestors(node))
    return looped and "val" in facts.sources(node.value)


def most(facts: Facts, node: ast.AST | None, depth: int = 0) -> int | None:
    """The largest value of an index made of literals, settings and counters of loops of known length."""
    if node is None or depth > _DEEPEST:
        return None
    if isinstance(node, (ast.Constant, ast.Attribute)):
        known = facts.constant(node)
        return known if isinstance(known, int) and not isinstance(known, bool) and known >= 0 else None
    if isinstance(node, ast.Name):
        bindings = facts.flow.bindings(node)
        return _bound(facts, bindings[0], depth) if len(bindings) == 1 else None
    if isinstance(node, ast.Call):
        return _call(facts, node, depth)
    if not isinstance(node, ast.BinOp):
        return None
    left, right = most(facts, node.left, depth + 1), most(facts, node.right, depth + 1)
    if left is None or right is None:
        return None
    if isinstance(node.op, ast.Sub):
        return left
    return (
        left + right
        if isinstance(node.op, ast.Add)
        else left * right
        if isinstance(node.op, ast.Mult)
        else None
    )


def _bound(facts: Facts, binding: Binding, depth: int) -> int | None:
    """Of a name with one binding: the value, or the last one that a ``for`` over a range gives."""
    if binding.unpack is not None or binding.value is None:
        return None
    if binding.how == "assign":
        return most(facts, binding.value, depth + 1)
    if binding.how != "for" or call_name(binding.value) != "range":
        return None
    assert isinstance(binding.value, ast.Call)
    given = binding.value.args
    end = most(facts, given[1] if len(given) > 1 else given[0], depth + 1) if given else None
    return end - 1 if end else None


def _call(facts: Facts, call: ast.Call, depth: int) -> int | None:
    if call_name(call) == "min":
        known = [k for a in call.args if (k := most(facts, a, depth + 1)) is not None]
        return min(known, default=None)
    return most(facts, call.args[0], depth + 1) if call_name(call) == "int" and len(call.args) == 1 else None
