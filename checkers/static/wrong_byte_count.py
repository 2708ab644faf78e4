"""``wrong-byte-count``: bits per byte made of nats per token by a constant, whatever the text's bytes are."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator

from checkers.evidence._bytes import CANONICAL_BYTES, STANDARD_TOKENS
from checkers.facts import Facts
from checkers.finding import CheckResult, Finding, Strength, examined, nothing_to_check, plural
from checkers.static._aliases import call_name
from checkers.static._charges import charges_of
from checkers.static._report import finding, numbered, unreadable
from checkers.static._trace import At, Tracer
from checkers.subject import Subject

RULE = "wrong-byte-count"
_UNIT = re.compile(r"(bpb|bits[ _-]per[ _-]byte)\W*$", re.IGNORECASE)  # the words right before a number
_DATA = re.compile(r"fineweb10B_sp(\d{3,5})\b")
_TOLERANCE = 0.01  # as for what logs imply
_FEWEST, _MOST = 1.2, 8.0  # bytes a token: 1 is bits per token, more than 7 nobody's tokenizer reaches
_DEEPEST = 30
_SAME = frozenset({"float", "item", "round", "abs", "mean", "cpu", "detach", "tensor", "sum", "double", "to"})


def check(subject: Subject) -> CheckResult:
    """Look at how every printed bits per byte of validation data comes from its nats per token."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    tracer = charges_of(subject).tracer
    printed = list(_printed(facts))
    if not printed:
        return nothing_to_check("no bits per byte of validation data are printed in the code that runs")
    constants = [_constant(tracer, node) for node in printed]
    found = [
        f
        for node, each in zip(printed, constants, strict=True)
        if each is not None and None not in constants and (f := _finding(subject, node, each)) is not None
    ]
    return examined(len(printed), f"{plural(len(printed), 'score')} in bits per byte", numbered(found))


def _printed(facts: Facts) -> Iterator[ast.expr]:
    """The validation scores in formatted texts that call them bits per byte."""
    for module in facts.modules:
        for text in module.formatted:
            for before, part in zip(text.values, text.values[1:], strict=False):
                if not isinstance(part, ast.FormattedValue) or not isinstance(before, ast.Constant):
                    continue
                named = isinstance(before.value, str) and _UNIT.search(before.value)
                if named and facts.runs(text) and {"score", "val"} <= facts.sources(part.value):
                    yield part.value


def _constant(tracer: Tracer, node: ast.expr) -> float | None:
    """The constant number of bytes a token that a printed score is divided by; None if there is none.

    Where a way meets no constant at all, not even that between nats and bits, it was not followed to its end.
    """
    factors = {f for f in _factors(tracer, At(node), 1.0, 0) if f > 0}
    each = {1.0 / (f * math.log(2.0)) for f in factors}
    return max(each) if each and 1.0 not in factors and all(_FEWEST < e < _MOST for e in each) else None


def _factors(tracer: Tracer, at: At, factor: float, depth: int) -> Iterator[float]:
    """The product of the constants between a number and the score in it, by every way that leads there.

    A way past anything else that the validation data tell, a count of bytes above all, gives zero.
    """
    node, facts = at.node, tracer.facts
    if depth > _DEEPEST:
        yield 0.0
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        yield from _product(tracer, At(node, at.calls), factor, depth)
    elif isinstance(node, ast.Call) and not facts.callees(node) and call_name(node) in _SAME:
        inner = node.func.value if isinstance(node.func, ast.Attribute) and not node.args else None
        for part in [inner] if inner is not None else node.args[:1]:
            yield from _factors(tracer, At(part, at.calls), factor, depth + 1)
    elif isinstance(node, ast.expr) and (isinstance(node, ast.Name) or _calls(facts, node)):
        yield from _behind(tracer, at, factor, depth)
    elif isinstance(node, ast.expr) and _scored(facts, node):
        yield factor


def _product(tracer: Tracer, at: At, factor: float, depth: int) -> Iterator[float]:
    node, facts = at.node, tracer.facts
    assert isinstance(node, ast.BinOp)
    divides = isinstance(node.op, ast.Div)
    for mine, other in ((node.left, node.right), (node.right, node.left)):
        if not _scored(facts, mine) or (divides and mine is node.right):
            continue
        known = _fixed(facts, other)
        if known is not None:
            scaled = factor / known if divides else factor * known
            yield from _factors(tracer, At(mine, at.calls), scaled, depth + 1)
        elif "val" in facts.sources(other):
            yield 0.0
        else:
            yield from _factors(tracer, At(mine, at.calls), factor, depth + 1)


def _fixed(facts: Facts, node: ast.AST) -> float | None:
    """The positive number that an expression of literals, settings and logarithms always has."""
    value: object = None
    if isinstance(node, (ast.Constant, ast.Attribute)):
        value = facts.constant(node)
    elif isinstance(node, ast.Name):
        bound = facts.flow.bindings(node)
        if len(bound) == 1 and bound[0].how == "assign" and bound[0].unpack is None and bound[0].value:
            value = _fixed(facts, bound[0].value)
    elif isinstance(node, ast.Call) and call_name(node) == "log" and len(node.args) == 1:
        inner = _fixed(facts, node.args[0])
        value = math.log(inner) if inner is not None else None
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        left, right = _fixed(facts, node.left), _fixed(facts, node.right)
        if left is not None and right is not None:
            value = left * right if isinstance(node.op, ast.Mult) else left / right
    plain = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
    return float(value) if plain else None  # type: ignore[arg-type]


def _behind(tracer: Tracer, at: At, factor: float, depth: int) -> Iterator[float]:
    """Through names and calls, up to what a loop adds up: its terms are sums over tokens."""
    if isinstance(at.node, ast.Name) and any(b.how == "augment" for b in tracer.facts.flow.bindings(at.node)):
        yield factor
        return
    for step in tracer.behind(at):
        if isinstance(step.node, ast.expr) and _scored(tracer.facts, step.node):
            yield from _factors(tracer, step, factor, depth + 1)


def _calls(facts: Facts, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and bool(facts.callees(node))


def _scored(facts: Facts, node: ast.AST) -> bool:
    return "score" in facts.sources(node)


def _finding(subject: Subject, node: ast.expr, each: float) -> Finding | None:
    texts = [m.layer.text for m in subject.facts.modules]
    sizes = {int(n) for text in texts for n in _DATA.findall(text)}
    tokens = STANDARD_TOKENS.get(next(iter(sizes))) if len(sizes) == 1 else None
    standard = CANONICAL_BYTES / tokens if tokens is not None else None
    if standard is not None and each <= standard * (1.0 + _TOLERANCE):
        return None
    message = f"Bits per byte are made of nats per token with a constant, {each:.4g} bytes a token. "
    message += (
        f"The official validation text has {standard:.4g} at this vocabulary: the score is too low."
        if standard is not None
        else "No byte of the text is counted."
    )
    return finding(
        subject.facts,
        RULE,
        node,
        message,
        caption="printed here",
        confidence=0.9 if standard is not None else 0.6,
        strength=Strength.CONVICTS if standard is not None else Strength.SUSPECT,
        data={"bytes_per_token": round(each, 4)},
    )
