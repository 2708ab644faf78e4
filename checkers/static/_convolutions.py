"""Convolutions along the sequence that are padded on both sides: every position sees later ones."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from checkers.facts import UNKNOWN, Facts, Module
from checkers.static._aliases import call_name
from checkers.static._trace import At, Tracer
from harness.nodes import walk

_PLACES = {"kernel_size": 2, "padding": 4, "dilation": 5}
_DEFAULTS = {"padding": 0, "dilation": 1}
_CUT_OR_PADDED = frozenset({"pad", "narrow", "roll", "flip"})


def two_sided(facts: Facts, tracer: Tracer, layers: Iterable[ast.AST]) -> Iterator[tuple[ast.Call, ast.Call]]:
    """The calls of such convolutions in some functions, each with the call that made the layer.

    What a method pads, cuts or shifts itself is left to the run.
    """
    for function in layers:
        module = facts.module_of(function)
        calls = [n for n in walk(function) if isinstance(n, ast.Call)]
        for call in calls:
            made = _layer(facts, tracer, module, call)
            if made is None or not _reads_tokens(facts, call) or _moved(module, call):
                continue
            if _both_sides(facts, tracer, made):
                yield call, made


def _reads_tokens(facts: Facts, call: ast.Call) -> bool:
    """Whether a call runs on what was made of the data: the letters of a vocabulary have no future."""
    return facts.runs(call) and any({"val", "train"} & facts.sources(a) for a in call.args)


def _layer(facts: Facts, tracer: Tracer, module: Module, call: ast.Call) -> ast.Call | None:
    """The ``nn.Conv1d(...)`` behind a call of an attribute that its own class gave itself."""
    func = call.func
    if not isinstance(func, ast.Attribute) or not isinstance(func.value, ast.Name) or func.value.id != "self":
        return None
    own = module.class_of(call)
    for at in tracer.behind(At(func), choices=False):
        if call_name(at.node) == "Conv1d" and at.node in module.parents and module.class_of(at.node) is own:
            return at.node if isinstance(at.node, ast.Call) else None
    return None


def _both_sides(facts: Facts, tracer: Tracer, made: ast.Call) -> bool:
    """Whether a layer keeps the length of what it reads by padding before and behind it."""
    kernel, padding, dilation = (_argument(made, name) for name in _PLACES)
    width = _constant(facts, kernel, UNKNOWN)
    if width == 1 or padding is None:
        return False
    amount = _constant(facts, padding, _DEFAULTS["padding"])
    step = _constant(facts, dilation, _DEFAULTS["dilation"])
    if isinstance(width, int) and isinstance(amount, int) and isinstance(step, int):
        return 0 < 2 * amount == step * (width - 1)
    return amount == "same" or (amount is UNKNOWN and any(_half(at.node) for at in _near(tracer, padding)))


def _near(tracer: Tracer, node: ast.AST) -> list[At]:
    return [At(node), *tracer.behind(At(node), choices=False)]


def _half(node: ast.AST) -> bool:
    """``dilation * (kernel - 1) // 2``."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.FloorDiv)
        and isinstance(node.right, ast.Constant)
        and node.right.value == 2
    )


def _argument(made: ast.Call, name: str) -> ast.expr | None:
    place = _PLACES[name]
    named = (k.value for k in made.keywords if k.arg == name)
    return made.args[place] if len(made.args) > place else next(named, None)


def _constant(facts: Facts, node: ast.AST | None, default: object) -> object:
    return default if node is None else facts.constant(node)


def _moved(module: Module, call: ast.Call) -> bool:
    """Whether the input is padded or shifted in the call, or its result cut at once."""
    outer = module.parents.get(call)
    inside = {call_name(n) for n in walk(call)}
    return isinstance(outer, ast.Subscript) or bool(inside & _CUT_OR_PADDED)
