"""``target-attribute-gate``: hints, gates or weights that a flag of the scored token decides."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from checkers.facts import Facts
from checkers.finding import CheckResult, Finding, examined, plural
from checkers.static._aligned import Store, stores
from checkers.static._c_sources import CFunction, c_functions, called
from checkers.static._charges import Charges, charges_of, uncharged
from checkers.static._report import finding, numbered
from checkers.static._score_gates import Gate, score_gates
from checkers.static._target_writes import written_at_target
from checkers.static._thresholds import shut
from checkers.subject import Subject
from harness.nodes import walk

RULE = "target-attribute-gate"
_MESSAGE = (
    "What is written for a position is decided by a flag of that position's own token, and it enters "
    "the charge of that token."
)


def check(subject: Subject) -> CheckResult:
    """Look at every loop over validation tokens whose per-position outputs reach a charge."""
    facts = subject.facts
    if (answer := uncharged(subject)) is not None:
        return answer
    charges = charges_of(subject)
    functions = _functions(charges)
    open_functions = [f for f in functions if not _shut_everywhere(charges, f)]
    found = [_finding(subject, s) for f in open_functions for s in _python_stores(charges, f) if s.gated]
    native = c_functions(subject)
    found += [f for call in _native_calls(facts, native) for f in _native(subject, charges, call, native)]
    found += [_by_score(facts, gate) for gate in score_gates(charges)]
    found += [_unmasked(facts, place, score) for place, score in written_at_target(charges)]
    looked_at = (
        f"{plural(len(functions), 'function')} behind the charges, {plural(len(native), 'C function')}"
    )
    return examined(len(charges.roots), looked_at, numbered(found))


def _functions(charges: Charges) -> list[ast.AST]:
    """The functions of the submission that values behind a charge pass through."""
    found: dict[ast.AST, None] = {}
    for at in charges.trace:
        try:
            module = charges.facts.module_of(at.node)
        except KeyError:
            continue
        function = module.function_of(at.node)
        if function is not None and not charges.tracer.learned(function):
            found[function] = None
    return list(found)


def _python_stores(charges: Charges, function: ast.AST) -> list[Store]:
    facts, traced = charges.facts, charges.traced

    def is_stream(node: ast.AST) -> bool:
        sources = facts.sources(node)
        return "val" in sources and not sources & {"score", "logp"} and not _bookkeeping(facts, node)

    every = stores(function, is_stream, is_stream)
    return [s for s in every if s.value in traced and facts.runs(s.node)]


def _shut_everywhere(charges: Charges, function: ast.AST) -> bool:
    """Whether every call of a function hands what it writes to a threshold that nothing passes."""
    calls = [c for c in charges.facts.callers(function) if charges.facts.runs(c)]
    return bool(calls) and all(isinstance(c, ast.Call) and shut(charges, c) is not None for c in calls)


def _bookkeeping(facts: Facts, node: ast.AST) -> bool:
    """Whether an expression reads a list of tests or tuples, built for the rows of a batch: no tokens."""
    base = node.value if isinstance(node, ast.Subscript) else node
    if not isinstance(base, ast.Name):
        return False
    return any(_no_tokens(b.value) for b in facts.flow.bindings(base))


def _no_tokens(value: ast.AST | None) -> bool:
    if isinstance(value, ast.ListComp):
        return isinstance(value.elt, (ast.Compare, ast.BoolOp, ast.Tuple))
    return isinstance(value, ast.List) and not value.elts


def _finding(subject: Subject, store: Store) -> Finding:
    facts = subject.facts
    related = [facts.place(store.test, "the flag is tested here")] if store.test is not None else []
    return finding(
        facts,
        RULE,
        store.node,
        _MESSAGE,
        caption="written for the position",
        related=related,
        confidence=0.92,
    )


def _by_score(facts: Facts, gate: Gate) -> Finding:
    message = (
        "Whether an expert is mixed in is decided by the score of the very token that is to be decoded: the "
        "mixture is taken for some targets and left out for others, so that it does not sum to one."
    )
    related = [facts.place(gate.expert, "the expert that is let in")]
    return finding(
        facts, RULE, gate.test, message, caption="the score is tested here", related=related, confidence=0.92
    )


def _unmasked(facts: Facts, place: ast.AST, score: ast.AST) -> Finding:
    message = (
        "What is normalized was changed at the entry of the very token that is to be decoded: each target "
        "has a distribution of its own, and their values at the targets do not sum to one."
    )
    related = [facts.place(score, "normalized and scored here")]
    return finding(
        facts, RULE, place, message, caption="written at the target", related=related, confidence=0.9
    )


def _native_calls(facts: Facts, native: dict[str, CFunction]) -> list[ast.Call]:
    if not native:
        return []
    calls = [c for m in facts.modules for c in m.calls if called(c, native) is not None]
    return [c for c in calls if facts.runs(c)]


def _native(
    subject: Subject, charges: Charges, call: ast.Call, native: dict[str, CFunction]
) -> list[Finding]:
    """The gated outputs of one C function that come back to Python and reach a charge."""
    target = called(call, native)
    assert target is not None
    inner, renamed = _forwarded(target, native)
    gated = sorted(
        {s.name for s in stores(inner.function, _token_like(inner.function), lambda n: False) if s.gated}
    )
    names = [a.arg for a in target.function.args.args]
    passed = dict(zip(names, call.args, strict=False))
    arrays = _names(passed[n] for g in gated if (n := renamed.get(g, g)) in passed)
    switched_off = bool(arrays) and shut(charges, call, arrays) is not None
    found = []
    for name in gated:
        outer = renamed.get(name, name)
        if outer not in passed or switched_off:
            continue
        if _comes_back(charges, call, passed[outer]):
            found.append(_native_finding(subject, call, inner, name))
    return found[:1]


def _forwarded(target: CFunction, native: dict[str, CFunction]) -> tuple[CFunction, dict[str, str]]:
    """The method that an exported function only hands its arguments to, with the names on both sides."""
    calls = [n for n in walk(target.function) if isinstance(n, ast.Call)]
    loops = any(isinstance(n, ast.For) for n in walk(target.function))
    for inner in calls:
        method = called(inner, native)
        if not loops and method is not None and method.function is not target.function:
            names = [a.arg for a in method.function.args.args]
            pairs = zip(names, inner.args, strict=False)
            return method, {n: a.id for n, a in pairs if isinstance(a, ast.Name)}
    return target, {}


def _token_like(function: ast.FunctionDef) -> Callable[[ast.Subscript], bool]:
    """Arrays that are read only, and whose elements address tables or go into keys."""
    written = {
        n.value.id
        for n in walk(function)
        if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store) and isinstance(n.value, ast.Name)
    }

    def is_token(node: ast.Subscript) -> bool:
        return not (isinstance(node.value, ast.Name) and node.value.id in written)

    return is_token


def _comes_back(charges: Charges, call: ast.Call, argument: ast.AST) -> bool:
    """Whether the array behind an argument is read on the way to a charge."""
    facts = charges.facts
    names = _names([argument])
    function, inside = facts.module_of(call).function_of(call), set(walk(call))
    return any(
        isinstance(node, ast.Name)
        and node.id in names
        and node not in inside
        and facts.module_of(node).function_of(node) is function
        for node in charges.traced
    )


def _names(arguments: Iterable[ast.AST]) -> frozenset[str]:
    return frozenset(n.id for a in arguments for n in walk(a) if isinstance(n, ast.Name))


def _native_finding(subject: Subject, call: ast.Call, inner: CFunction, name: str) -> Finding:
    data = {"c_function": inner.function.name, "c_path": inner.path, "output": name}
    message = f"{_MESSAGE} In C: `{name}` of `{inner.function.name}`."
    return finding(
        subject.facts, RULE, call, message, caption="the C function is called here", confidence=0.9, data=data
    )
