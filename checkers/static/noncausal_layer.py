"""``noncausal-layer``: open attention, convolutions around a position, state carried from end to start."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checkers.facts import Facts
from checkers.finding import CheckResult, Finding, Strength, examined, nothing_to_check, plural
from checkers.static._aliases import call_name
from checkers.static._charges import charges_of
from checkers.static._convolutions import two_sided
from checkers.static._pooling import pooled
from checkers.static._report import finding, numbered, unreadable
from checkers.static._slots import DATA, slots_read
from checkers.static._trace import At, Tracer
from checkers.static._writes import FUNCTIONS
from checkers.subject import Subject
from harness.nodes import walk

RULE = "noncausal-layer"
_ATTENTION = frozenset({"scaled_dot_product_attention"})
_KEYS = 100  # places behind the keys of an attention call
_FLASH = ("flash_attn_func", "flash_attn_3_func", "flash_attn_qkvpacked_func", "flash_attn_varlen_func")


def check(subject: Subject) -> CheckResult:
    """Look at attention, convolutions and loops that hand a state on, in the modules that run."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    tracer = charges_of(subject).tracer
    layers: list[ast.AST] = [
        f for m in facts.modules for f in m.functions if _runs_in_module(facts, tracer, f)
    ]
    if not layers:
        return nothing_to_check("no neural module runs")
    found = [
        _open_attention(facts, tracer, call) for call in _attention_calls(facts, _with_helpers(facts, layers))
    ]
    found += [_carried(facts, call) for f in layers for call in _carrying_calls(facts, f)]
    found += [_convolved(facts, call, made) for call, made in two_sided(facts, tracer, layers)]
    found += [_pooled(facts, call) for call in pooled(facts, tracer, layers)]
    return examined(
        len(layers), f"{plural(len(layers), 'method')} of neural modules", numbered(f for f in found if f)
    )


def _runs_in_module(facts: Facts, tracer: Tracer, function: ast.AST) -> bool:
    body = getattr(function, "body", None)
    return isinstance(body, list) and facts.runs(body[0]) and tracer.learned(function)


def _with_helpers(facts: Facts, layers: list[ast.AST]) -> set[ast.AST]:
    """Methods of neural modules, and the functions that run on their behalf."""
    wanted, new = set(layers), list(layers)
    while new:
        function = new.pop()
        called = {f for c in walk(function) if isinstance(c, ast.Call) for f in facts.callees(c)}
        new += called - wanted
        wanted |= called
    return wanted


def _attention_calls(facts: Facts, wanted: set[ast.AST]) -> list[ast.Call]:
    """The running attention calls in some functions."""
    return [
        call
        for module in facts.modules
        for call in module.calls
        if (call_name(call) in _ATTENTION or call_name(call) in _FLASH)
        and module.function_of(call) in wanted
        and facts.runs(call)
    ]


def _open_attention(facts: Facts, tracer: Tracer, call: ast.Call) -> Finding | None:
    """Attention that is told not to be causal and is given no mask, and that sees more than one position."""
    named = {k.arg: k.value for k in call.keywords}
    if None in named:
        return None
    if call_name(call) in _FLASH:
        causal = named.get("causal", call.args[5] if len(call.args) > 5 else None)
        open_ = causal is not None and facts.constant(causal) is False
        restricted = "window_size" in named
    else:
        causal = named.get("is_causal", call.args[5] if len(call.args) > 5 else None)
        mask = named.get("attn_mask", named.get("mask", call.args[3] if len(call.args) > 3 else None))
        open_ = causal is None or facts.constant(causal) is False
        restricted = mask is not None and facts.constant(mask) is not None
    if not open_ or restricted or _apart(facts, tracer, call):
        return None
    if (reading := slots_read(facts, tracer, call)) is not None:
        return _slots(facts, call, reading)
    message = "Attention runs without a causal restriction and without a mask in a module behind the score."
    return finding(
        facts, RULE, call, message, caption="not causal", confidence=0.6, strength=Strength.SUSPECT
    )


def _slots(facts: Facts, call: ast.Call, reading: ast.Call) -> Finding:
    message = (
        "Slots that are the same for every text attend to the whole sequence, and what they read is added to "
        "its positions: each has seen all later ones."
    )
    related = [facts.place(reading, "slots read here")]
    return finding(facts, RULE, call, message, caption="not causal", related=related, confidence=0.85)


def _apart(facts: Facts, tracer: Tracer, call: ast.Call) -> bool:
    """Whether a model writes a text of its own: keys joined to kept ones, and no text of the data in them.

    Training data count as well: what a layer did with them is remembered, and not done again for the
    validation data. A layer that the simulated run never came to may compute a score.
    """
    places = [call, *call.args, *(k.value for k in call.keywords)]
    seen = [node for node in places if facts.value(node) is not None]
    if call not in seen or any(facts.sources(node) & DATA for node in seen):
        return False
    keys = tracer.trace([At(a) for a in call.args[1:2]], most=_KEYS, choices=False)
    return any(call_name(p.node) in ("cat", "concat") for p in keys)


def _carrying_calls(facts: Facts, function: ast.AST) -> Iterator[ast.Call]:
    """``x, state = layer(x, state)`` in a loop that does not walk along the sequence."""
    for loop in walk(function):
        if not isinstance(loop, ast.For):
            continue
        for node in walk(loop):
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            scans = _hands_on(node, loop) and any(_scans(f) for f in facts.callees(node.value))
            if scans and facts.runs(node):
                yield node.value


def _hands_on(node: ast.Assign, loop: ast.For) -> bool:
    target, call = node.targets[0], node.value
    assert isinstance(call, ast.Call)
    if not isinstance(target, ast.Tuple) or len(target.elts) != 2:
        return False
    given = {a.id for a in (*call.args, *(k.value for k in call.keywords)) if isinstance(a, ast.Name)}
    state = target.elts[1]
    counters = {n.id for n in walk(loop.target) if isinstance(n, ast.Name)}
    return isinstance(state, ast.Name) and state.id in given and len(given) >= 2 and not given & counters


def _scans(function: ast.AST) -> bool:
    """Whether a layer starts a scan over the sequence from the state it is given and returns the last one."""
    if not isinstance(function, FUNCTIONS):
        return False
    names = [a.arg for a in function.args.args]
    for node in walk(function):
        if isinstance(node, ast.Call):
            named = {k.arg: k.value for k in node.keywords}
            final = named.get("output_final_state")
            start = named.get("initial_state")
            if isinstance(final, ast.Constant) and final.value is True and isinstance(start, ast.Name):
                return start.id in names
    return _steps(function, names)


def _steps(function: ast.AST, names: list[str]) -> bool:
    """A written-out scan: ``S = state``, then ``S = f(S, x[:, t])`` for every ``t``, and ``S`` returned."""
    copies = {
        n.targets[0].id
        for n in walk(function)
        if isinstance(n, ast.Assign)
        and isinstance(n.value, ast.Name)
        and n.value.id in names
        and isinstance(n.targets[0], ast.Name)
    }
    for loop in walk(function):
        if not isinstance(loop, ast.For) or not isinstance(loop.target, ast.Name):
            continue
        stepped = {
            t.id
            for n in walk(loop)
            if isinstance(n, ast.Assign)
            for t in n.targets
            if isinstance(t, ast.Name)
        }
        along = any(
            isinstance(n, ast.Name) and n.id == loop.target.id
            for s in walk(loop)
            if isinstance(s, ast.Subscript)
            for n in walk(s.slice)
        )
        if along and stepped & copies:
            return True
    return False


def _carried(facts: Facts, call: ast.Call) -> Finding:
    message = (
        "The state at the end of the sequence is handed to another pass over the same sequence: from "
        "the second pass on, every position has seen all later ones."
    )
    return finding(facts, RULE, call, message, caption="handed on here", confidence=0.9)


def _pooled(facts: Facts, call: ast.Call) -> Finding:
    message = (
        "Neighbouring positions are pooled into one. Unless the pooled sequence is shifted before it is "
        "spread out again, the first position of each group has seen the others."
    )
    return finding(facts, RULE, call, message, caption="pooled", confidence=0.6, strength=Strength.SUSPECT)


def _convolved(facts: Facts, call: ast.Call, made: ast.Call) -> Finding:
    message = (
        "A convolution is padded on both sides and keeps the length of the sequence: what it gives at a "
        "position is computed from the ones that follow, too."
    )
    return finding(
        facts,
        RULE,
        call,
        message,
        caption="not causal",
        related=[facts.place(made, "padded here")],
        confidence=0.85,
    )
