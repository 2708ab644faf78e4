"""``byte-path-mixture``: a token's log-probability spread over its bytes and mixed byte by byte."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

from checkers.finding import CheckResult, Finding, examined, plural
from checkers.static._aliases import call_name
from checkers.static._c_sources import CFunction, c_functions, called
from checkers.static._charges import LOGS, Charges, charges_of, table_and_key, uncharged
from checkers.static._report import finding, numbered
from checkers.static._trace import At
from checkers.static._writes import Part
from checkers.subject import Subject
from harness.nodes import walk

RULE = "byte-path-mixture"
_EXPS = frozenset({"exp", "exp2", "pow", "power", "expm1", "logaddexp", "logsumexp"})
_EXPONENT = 40  # places behind an exponent
_ADDED = 400  # places behind what a loop over bytes adds up
_PRODUCT = (
    "The probability of a token is multiplied up along the bytes of the true token and mixed with the token "
    "model's. Each token that begins another has the other's bytes counted too: over all tokens these "
    "products sum to more than one."
)
_MESSAGE = (
    "The log-probability of a token is divided by the number of its bytes and mixed with a byte "
    "model along the bytes of the true token; these factors do not make up a distribution over "
    "tokens."
)


def check(subject: Subject) -> CheckResult:
    """Look at every division of a score on its way into a mixture, in Python and in compiled C."""
    if (answer := uncharged(subject)) is not None:
        return answer
    charges = charges_of(subject)
    found = [_finding(subject, at) for at in _spreads(charges)]
    found += [_multiplied(subject, node) for node in _products(charges)]
    native = c_functions(subject)
    found += [
        f for call in _native_calls(charges, native) if (f := _native(subject, call, native)) is not None
    ]
    looked_at = f"{plural(len(charges.roots), 'charge')}, {plural(len(native), 'C function')}"
    return examined(len(charges.roots), looked_at, numbered(found))


def _finding(subject: Subject, at: At) -> Finding:
    return finding(
        subject.facts, RULE, at.node, _MESSAGE, caption="spread over the bytes here", confidence=0.95
    )


def _spreads(charges: Charges) -> list[At]:
    """The divisions ``score / bytes`` that are exponentiated under a logarithm of a sum."""
    mixed = charges.tracer.trace([At(m) for m in charges.mixtures], charges.neural)
    sums = any(isinstance(p.node, ast.BinOp) and isinstance(p.node.op, ast.Add) for p in mixed)
    exponents = [p for p in mixed if call_name(p.node) in _EXPS or _power(p.node)]
    if not sums or not exponents:
        return []
    below = charges.tracer.trace(exponents, charges.neural, choices=False)
    return [at for at in below if _divides_by_bytes(charges, at)]


def _multiplied(subject: Subject, node: ast.AST) -> Finding:
    return finding(
        subject.facts, RULE, node, _PRODUCT, caption="multiplied along the bytes here", confidence=0.9
    )


def _products(charges: Charges) -> list[ast.AST]:
    """What a loop over the bytes of the true token multiplies up, where a mixture with a score weighs it."""
    found: dict[ast.AST, None] = {}
    for mixture in charges.mixtures:
        mixed = charges.tracer.trace([At(mixture)], charges.neural, choices=False)
        if not any(isinstance(p.node, ast.BinOp) and isinstance(p.node.op, ast.Add) for p in mixed):
            continue
        branches = [_branch(charges, p) for p in mixed if call_name(p.node) in _EXPS]
        if any(not nodes for nodes in branches):  # the token model's own probability
            found |= dict.fromkeys(node for nodes in branches for node in nodes)
    return list(found)


def _branch(charges: Charges, exponent: At) -> list[ast.AST]:
    """What loops over bytes add up in an exponent; none of it belongs to the token model's score."""
    below = charges.tracer.trace([exponent], charges.neural, choices=False)
    return [p.node for p in below if _added_by_byte(charges, p)]


def _added_by_byte(charges: Charges, at: At) -> bool:
    """Whether a place is what ``x += log(table[byte])`` adds in a loop over a validation token's bytes."""
    if isinstance(at.node, Part):
        return False
    module = charges.facts.module_of(at.node)
    statement = module.parents.get(at.node)
    if not isinstance(statement, ast.AugAssign) or not isinstance(statement.op, ast.Add):
        return False
    loops = [a for a in module.ancestors(statement) if isinstance(a, ast.For)]
    return bool(loops) and _over_true_bytes(charges, loops[0], at)


def _over_true_bytes(charges: Charges, loop: ast.For, at: At) -> bool:
    if not isinstance(loop.target, ast.Name) or "val" not in charges.facts.sources(loop.iter):
        return False
    byte = loop.target.id
    added = charges.tracer.trace([At(at.node, at.calls)], charges.neural, most=_ADDED)
    keys = [found[1] for p in added if (found := table_and_key(p.node)) is not None]
    read = any(isinstance(k, ast.Name) and k.id == byte for k in keys)
    return read and _counts_bytes(charges, At(loop.iter, at.calls))


def _divides_by_bytes(charges: Charges, at: At) -> bool:
    """Whether a score is divided by a number of bytes, or a probability raised to one over it."""
    node = at.node
    if _is_division(node):
        return _scored(charges, node.left) and _counts_bytes(charges, At(node.right, at.calls))
    parts = _power(node)
    if parts is None or not _scored(charges, parts[0]):
        return False
    exponent = charges.tracer.trace([At(parts[1], at.calls)], charges.neural, most=_EXPONENT)
    return any(_is_division(p.node) and _counts_bytes(charges, At(p.node.right, p.calls)) for p in exponent)


def _is_division(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)


def _power(node: ast.AST) -> tuple[ast.AST, ast.AST] | None:
    """The base and the exponent of ``a ** b``, ``pow(a, b)`` or ``a.pow(b)``."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return node.left, node.right
    if not isinstance(node, ast.Call) or call_name(node) not in ("pow", "power"):
        return None
    given = [*node.args]
    if len(given) == 1 and isinstance(node.func, ast.Attribute):
        given = [node.func.value, *given]
    return (given[0], given[1]) if len(given) == 2 else None


def _scored(charges: Charges, node: ast.AST) -> bool:
    return "score" in charges.facts.sources(node)


def _counts_bytes(charges: Charges, at: At) -> bool:
    """Whether a divisor is a length of encoded text: ``len`` of something that was encoded."""
    trace = charges.tracer.trace([at], charges.neural, most=400)
    names = {call_name(p.node) for p in trace if isinstance(p.node, ast.Call)}
    return bool(names & {"encode", "bytes", "frombuffer", "b64decode"})


def _native_calls(charges: Charges, native: dict[str, CFunction]) -> Iterator[ast.Call]:
    """The running Python calls of C functions that are given scores."""
    if not native:
        return
    facts = charges.facts
    for module in facts.modules:
        for call in module.calls:
            if called(call, native) is not None and facts.runs(call) and "score" in _given(charges, call):
                yield call


def _given(charges: Charges, call: ast.Call) -> set[str]:
    return {source for arg in call.args for source in charges.facts.sources(arg)}


def _native(subject: Subject, call: ast.Call, native: dict[str, CFunction]) -> Finding | None:
    """A C function that divides an element of the scores by a count and mixes with log and exp."""
    target = called(call, native)
    assert target is not None
    scores = _score_parameters(subject, call, target.function)
    divides = [n for n in walk(target.function) if _divides_score(n, target.function, scores)]
    names = {call_name(n) for f in target.source.functions.values() for n in walk(f)}
    if not divides or not names & LOGS or not names & _EXPS:
        return None
    data = {"c_function": target.function.name, "c_line": divides[0].lineno, "c_path": target.path}  # type: ignore[attr-defined]
    return finding(
        subject.facts, RULE, call, _MESSAGE, caption="C function called here", confidence=0.9, data=data
    )


def _score_parameters(subject: Subject, call: ast.Call, function: ast.FunctionDef) -> set[str]:
    names = [a.arg for a in function.args.args]
    return {n for n, arg in zip(names, call.args, strict=False) if "score" in subject.facts.sources(arg)}


def _divides_score(node: ast.AST, function: ast.FunctionDef, scores: set[str]) -> bool:
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Div):
        return False
    return bool(_roots(node.left, function) & scores) and not isinstance(node.right, ast.Constant)


def _roots(node: ast.AST, function: ast.FunctionDef, depth: int = 3) -> set[str]:
    """The names of arrays whose elements go into an expression, through plain local names."""
    found: set[str] = set()
    for part in walk(node):
        if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name):
            found.add(part.value.id)
        elif isinstance(part, ast.Name) and depth:
            for statement in walk(function):
                if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == part.id:
                    found |= _roots(statement.value, function, depth - 1)
    return found
