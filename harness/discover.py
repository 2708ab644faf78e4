"""Finding the settings of a script: environment names, command-line options, literals of configuration
classes and of module constants, and the numbers of calibration sequences that many scripts write into
the call itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from harness import lowering, written
from harness.knobs import HEADS, ROTARY, WIDTH, Knob, Via, is_generated, is_share, rule_of, tells_size
from harness.unpack import Layer

_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,60}\Z")
_READS_ENVIRONMENT = re.compile(
    r"env|^_?[a-z]\w?$|^_?(get|int|float|bool|str|flag|cfg|param|opt|parse)", re.IGNORECASE
)


def discover(layers: Iterable[Layer]) -> tuple[Knob, ...]:
    """Find the knobs of a script's layers; the first default of a name counts."""
    found: dict[tuple[Via, str], Knob] = {}
    trees: list[ast.Module] = []
    for layer in layers:
        if layer.language != "python":
            continue
        try:
            tree = lowering.tree(layer.lowered)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        literals = [*_calibration(tree), *_evaluation(tree), *_described(tree), *_written(tree)]
        for knob in [*_called(tree), *_constants(tree), *literals, *_locals(tree)]:
            old = found.get((knob.via, knob.name))
            if old is None or (old.default is None and knob.default is not None):
                found[knob.via, knob.name] = knob
        trees.append(tree)
    if not any(WIDTH.fullmatch(knob.topic) for knob in found.values()):
        found.update({(knob.via, knob.name): knob for tree in trees for knob in _constructed(tree)})
    return tuple(found.values())


def literal(node: ast.AST | None) -> Any:
    """The value of a literal or of arithmetic on literals; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = literal(node.operand)
        return -inner if isinstance(inner, (int, float)) else None
    if isinstance(node, ast.BinOp):
        return _arithmetic(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        return literal(node.args[0]) if node.func.id in ("int", "float", "str") else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 2:
        return literal(node.args[1]) if node.func.attr == "get" else None  # another configuration's default
    return None


def _arithmetic(node: ast.BinOp) -> Any:
    left, right = literal(node.left), literal(node.right)
    if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
        return None
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, ast.LShift) and isinstance(left, int) and isinstance(right, int) and right < 40:
        return left << right
    if isinstance(node.op, ast.Pow) and abs(left) <= 1024 and 0 <= right < 12:
        return left**right
    return None


def _called(tree: ast.AST) -> Iterator[Knob]:
    readers: dict[int, str] = {}  # ast.walk meets a call before its arguments
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            name = node.slice.value
            if isinstance(name, str) and _NAME.match(name) and "environ" in ast.unparse(node.value):
                read = isinstance(node.ctx, ast.Load)
                yield Knob(Via.ENVIRONMENT, name, reader=readers.get(id(node), ""), required=read)
        elif isinstance(node, ast.Call) and node.args:
            if isinstance(node.func, ast.Name) and node.func.id in ("int", "float"):
                readers[id(node.args[0])] = node.func.id
            elif isinstance(node.args[0], ast.Constant):
                for knob in _from_call(node, node.args[0].value):
                    yield replace(knob, reader=readers.get(id(node), ""))


def _from_call(node: ast.Call, name: Any) -> Iterator[Knob]:
    if not isinstance(name, str):
        return
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if function == "add_argument" and name.startswith("--"):
        keywords = {k.arg: k.value for k in node.keywords}
        required = literal(keywords.get("required")) is True
        if "action" not in keywords or (required and literal(keywords["action"]) == "append"):
            yield Knob(Via.ARGUMENT, name, literal(keywords.get("default")), required=required)
    elif _NAME.match(name) and _READS_ENVIRONMENT.search(function):
        default = node.args[1] if len(node.args) > 1 else None
        if default is None:
            default = next((k.value for k in node.keywords if k.arg == "default"), None)
        yield Knob(Via.ENVIRONMENT, name, literal(default))


def _constants(tree: ast.Module) -> Iterator[Knob]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not _is_module(node):
            for inner in node.body:
                yield from _assigned(inner, f"{node.name}.")
        else:
            yield from _assigned(node, "")


def _locals(tree: ast.AST) -> Iterator[Knob]:
    """Sizes that a function sets for itself: under a name in capitals, the configuration of a ``main``, or
    the length of what a model is to write for its own calibration. A single letter is anything there: in an
    entropy coder ``T`` is the total of its counts."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in function.body:
                for knob in _assigned(node, f"{function.name}."):
                    name = knob.name.rpartition(".")[2]
                    capitals = knob.topic == name and len(name) > 1
                    if (capitals or is_generated(function.name, name)) and tells_size(knob):
                        yield knob


def _written(tree: ast.AST) -> Iterator[Knob]:
    """Literal numbers: steps of an optimizer, tokens to take, elements up to which a tensor is kept."""
    for node in ast.walk(tree):
        if (found := written.amount(node)) is not None:
            name, number = found
            yield Knob(Via.LITERAL, name, number.value)


_CALIBRATES = re.compile(r"calib|hessian|gptq|autoreg|awq|generate|self_gen", re.IGNORECASE)
_AMOUNT = re.compile(r"n(um)?_?\w*(seqs|samples|batches)\Z|nsamples\Z|seq_?len\Z", re.IGNORECASE)


_EVALUATES = re.compile(r"eval|score|slid|ttt|slot|n_?gram|cache|adapt", re.IGNORECASE)


def _calibration(tree: ast.AST) -> Iterator[Knob]:
    """Amounts of calibration data given as literals, in calls and as defaults."""
    for name, word, value in _named_values(tree):
        if _CALIBRATES.search(name) and _AMOUNT.match(word):
            computed = isinstance(value, ast.Attribute) and is_generated(name, word)
            if computed or isinstance(literal(value), int):
                yield Knob(Via.LITERAL, f"{name}({word})", literal(value))


def _evaluation(tree: ast.AST) -> Iterator[Knob]:
    """How much an evaluation takes at a time, given as literals: a cache that is filled from batch to
    batch, or weights that adapt from chunk to chunk, need several of them in the few tokens there are."""
    for name, word, value in _named_values(tree):
        knob = Knob(Via.LITERAL, f"{name}({word})", literal(value))
        if _EVALUATES.search(name) and is_share(knob.topic) and isinstance(knob.default, int):
            yield knob


def _named_values(tree: ast.AST) -> Iterator[tuple[str, str, ast.expr]]:
    """Function, name and value of every keyword argument and every default."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [(k.arg, k.value) for k in node.keywords if k.arg]
        elif isinstance(node, ast.FunctionDef):
            name, args = node.name, [*node.args.posonlyargs, *node.args.args]
            given = [(a.arg, d) for a, d in zip(args[::-1], node.args.defaults[::-1], strict=False)]
        else:
            continue
        yield from ((name, word, value) for word, value in given)


def _constructed(tree: ast.AST) -> Iterator[Knob]:
    """Sizes of a model that are told by its constructor alone: in the call, or as the defaults."""
    for name, word, value in _named_values(tree):
        knob = Knob(Via.CONSTANT, f"{name}({word})", literal(value))
        rule = rule_of(knob)
        model = knob.topic in (*HEADS, *ROTARY) or (rule is not None and rule.group == "model")
        if model and isinstance(knob.default, int) and name != "dict":
            yield knob


_DESCRIBES = 6
"""Entries. A dictionary that describes a model is long; optimizers take short ones."""


def _described(tree: ast.AST) -> Iterator[Knob]:
    """Widths and heads in the long dictionaries by which some scripts describe their models, and every size
    in the long calls that make a configuration of one of their own classes."""
    classes = {c.name for c in ast.walk(tree) if isinstance(c, ast.ClassDef) and not _is_module(c)}
    makers = {"dict", *classes}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers:
            name = node.func.id
            entries = [(k.arg, k.value) for k in node.keywords if k.arg]
        elif isinstance(node, ast.Dict):
            name, named = "dict", zip(node.keys, node.values, strict=True)
            entries = [
                (k.value, v) for k, v in named if isinstance(k, ast.Constant) and isinstance(k.value, str)
            ]
        else:
            continue
        via = Via.LITERAL if name == "dict" else Via.CONSTANT
        for word, value in entries if len(entries) >= _DESCRIBES else ():
            knob = Knob(via, f"{name}({word})", literal(value))
            if isinstance(knob.default, int) and tells_size(knob):
                yield knob


def _is_module(node: ast.ClassDef) -> bool:
    return any("Module" in ast.unparse(base) or "Optimizer" in ast.unparse(base) for base in node.bases)


def _either(node: ast.expr | None) -> Any:
    """A literal, or the larger of two numbers between which a condition (one GPU, several) decides."""
    if not isinstance(node, ast.IfExp):
        return literal(node)
    branches = [_either(node.body), _either(node.orelse)]
    return max(branches) if all(isinstance(b, (int, float)) for b in branches) else None


def _assigned(node: ast.stmt, prefix: str) -> Iterator[Knob]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target: ast.expr = node.targets[0]
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target = node.target
    else:
        return
    value = _either(node.value) if not isinstance(node.value, ast.Call) else None
    if isinstance(target, ast.Name) and value is not None:
        yield Knob(Via.CONSTANT, prefix + target.id, value)
    elif isinstance(target, ast.Attribute) and not prefix and value is not None:
        yield Knob(Via.CONSTANT, ast.unparse(target), value)  # of a class, set after it
