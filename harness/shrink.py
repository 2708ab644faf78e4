"""Making a run small through the script's own configuration, and saying what was changed.

``discover`` finds the knobs a script has: environment names, command-line options, literals of
configuration classes and of module constants, and the numbers of calibration sequences that many
scripts write into the call itself. ``shrink`` sets those whose name tells a size. Nothing else of
the script is touched.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.unpack import Layer


class Via(StrEnum):
    """Through what a knob is set."""

    ENVIRONMENT = "env"
    ARGUMENT = "argv"
    CONSTANT = "constant"
    LITERAL = "literal"


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting: environment name, ``--option``, dotted constant or ``function(name)``.

    ``reader`` is the type (``int``, ``float``) to which the script turns the setting's text at once.
    """

    via: Via
    name: str
    default: Any = None
    reader: str = ""

    @property
    def topic(self) -> str:
        """The name compared with the table of sizes: upper case, words joined by underscores."""
        word = self.name.partition("(")[2].rstrip(")") or self.name.rpartition(".")[2]
        return word.lstrip("-").replace("-", "_").upper()


@dataclass(frozen=True, slots=True)
class Rule:
    """Names matching ``pattern`` are lowered to at most ``cap``; ``group`` is dropped as a whole on retry."""

    group: str
    pattern: re.Pattern[str]
    cap: int


def _load_rules() -> tuple[Rule, ...]:
    table = tomllib.loads(Path(__file__).with_name("sizes.toml").read_text(encoding="utf-8"))
    return tuple(
        Rule(entry["group"], re.compile(rf"(?:{name})\Z"), entry["cap"])
        for entry in table["rule"]
        for name in entry["names"].split()
    )


RULES = _load_rules()
"""What is made small, and how small; the first rule whose pattern matches counts."""

_DIVISION = re.compile(r"%\s*(?:\w+\.)*(?:val_loss|val|eval)_every\b", re.IGNORECASE)


def divides_by_progress(layers: Iterable[Layer]) -> bool:
    """Whether a step is taken modulo an interval of validation that is not first asked to be positive."""
    for layer in layers:
        lines = layer.text.splitlines() if layer.language == "python" else []
        for before, line in zip(["", *lines], lines, strict=False):
            if _DIVISION.search(line) and ">" not in before + line:
                return True
    return False


@dataclass
class Shrunk:
    """The settings of one attempt. ``values`` has every knob that was set, ``changed`` says so in words."""

    env: dict[str, str] = field(default_factory=dict)
    argv: list[str] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)

    def apply(self, knob: Knob, value: Any) -> None:
        """Set a knob through its own channel and record it; a second time replaces the first."""
        if knob.via is Via.ENVIRONMENT:
            self.env[knob.name] = str(value)
        elif knob.via is Via.ARGUMENT and knob.name in self.argv:
            self.argv[self.argv.index(knob.name) + 1] = str(value)
        elif knob.via is Via.ARGUMENT:
            self.argv += [knob.name, str(value)]
        else:
            self.constants[knob.name] = value  # of assignments and of calls alike
        self.values[knob.name] = value
        self.changed[knob.name] = str(value) if knob.default is None else f"{value} (was {knob.default})"


_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,60}\Z")
_READS_ENVIRONMENT = re.compile(
    r"env|^_?[a-z]\w?$|^_?(get|int|float|bool|str|flag|cfg|param|opt|parse)", re.IGNORECASE
)


def discover(layers: Iterable[Layer]) -> tuple[Knob, ...]:
    """Find the knobs of a script's layers; the first default of a name counts."""
    found: dict[tuple[Via, str], Knob] = {}
    for layer in layers:
        if layer.language != "python":
            continue
        try:
            tree = ast.parse(layer.lowered)
        except (SyntaxError, ValueError, RecursionError):
            continue
        literals = [*_calibration(tree), *_evaluation(tree), *_described(tree)]
        for knob in [*_called(tree), *_constants(tree), *literals]:
            old = found.get((knob.via, knob.name))
            if old is None or (old.default is None and knob.default is not None):
                found[knob.via, knob.name] = knob
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
                yield Knob(Via.ENVIRONMENT, name, reader=readers.get(id(node), ""))
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
        if "action" not in keywords:
            yield Knob(Via.ARGUMENT, name, literal(keywords.get("default")))
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


_CALIBRATES = re.compile(r"calib|hessian|gptq|autoreg|awq|generate|self_gen", re.IGNORECASE)
_GENERATES = re.compile(r"autoreg|self_?gen|generate\w*calib|ar_calib", re.IGNORECASE)
"""One pass of the model a token: their time grows with the square of the length."""
_AMOUNT = re.compile(r"n(um)?_?\w*(seqs|samples|batches)\Z|nsamples\Z|seq_?len\Z", re.IGNORECASE)


_EVALUATES = re.compile(r"eval|score|slid|ttt|slot|n_?gram|cache|adapt", re.IGNORECASE)
_SHARES = re.compile(r"\w*(?:BATCH_SEQS|BATCH_WINDOWS|CHUNK_TOKENS|CHUNK_SIZE)")


def _calibration(tree: ast.AST) -> Iterator[Knob]:
    """Amounts of calibration data given as literals, in calls and as defaults."""
    for name, word, value in _named_values(tree):
        if _CALIBRATES.search(name) and _AMOUNT.match(word):
            computed = isinstance(value, ast.Attribute) and _is_generated(name, word)
            if computed or isinstance(literal(value), int):
                yield Knob(Via.LITERAL, f"{name}({word})", literal(value))


def _evaluation(tree: ast.AST) -> Iterator[Knob]:
    """How much an evaluation takes at a time, given as literals: a cache that is filled from batch to
    batch, or weights that adapt from chunk to chunk, need several of them in the few tokens there are."""
    for name, word, value in _named_values(tree):
        knob = Knob(Via.LITERAL, f"{name}({word})", literal(value))
        if _EVALUATES.search(name) and _SHARES.fullmatch(knob.topic) and isinstance(knob.default, int):
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


_DESCRIBES = 6
"""Entries. A dictionary that describes a model is long; optimizers take short ones."""


def _described(tree: ast.AST) -> Iterator[Knob]:
    """Widths and heads in the long dictionaries by which some scripts describe their models."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            entries = [(k.arg, k.value) for k in node.keywords if k.arg]
        elif isinstance(node, ast.Dict):
            named = zip(node.keys, node.values, strict=True)
            entries = [
                (k.value, v) for k, v in named if isinstance(k, ast.Constant) and isinstance(k.value, str)
            ]
        else:
            continue
        for word, value in entries if len(entries) >= _DESCRIBES else ():
            knob = Knob(Via.LITERAL, f"dict({word})", literal(value))
            if isinstance(knob.default, int) and (_rule(knob) or knob.topic in (*_HEADS, *_ROTARY)):
                yield knob


def _is_generated(function: str, word: str) -> bool:
    return bool(_GENERATES.search(function)) and word.upper().endswith("LEN")


def _is_module(node: ast.ClassDef) -> bool:
    return any("Module" in ast.unparse(base) or "Optimizer" in ast.unparse(base) for base in node.bases)


def _assigned(node: ast.stmt, prefix: str) -> Iterator[Knob]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target: ast.expr = node.targets[0]
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target = node.target
    else:
        return
    value = literal(node.value) if not isinstance(node.value, ast.Call) else None
    if isinstance(target, ast.Name) and value is not None:
        yield Knob(Via.CONSTANT, prefix + target.id, value)


_AMOUNTS = Rule("quant", re.compile("."), 4)
_LENGTH = Rule("quant", re.compile("."), 128)
_GENERATED = Rule("quant", re.compile("."), 48)


def _number(value: Any) -> float | None:
    try:
        return float(str(value).replace("_", ""))
    except ValueError:
        return None


def shrink(
    knobs: Iterable[Knob],
    claimed: Mapping[str, str],
    keep: Iterable[str] = (),
    own: Iterable[str] = (),
    caps: Mapping[str, int] | None = None,
) -> Shrunk:
    """Set every knob that tells a size to at most its cap.

    Args:
        knobs: the script's knobs.
        claimed: environment of the run the submission claims; sizes in it are lowered too.
        keep: groups of the table left at their own size.
        own: names of single knobs left so.
        caps: by group, in place of the table's.
    """
    kept, named, result = set(keep), set(own), Shrunk()
    result.env.update(claimed)
    for knob in knobs:
        rule = _rule(knob)
        if rule is None or rule.group in kept or knob.name in named:
            continue
        if caps and rule.group in caps:
            rule = replace(rule, cap=caps[rule.group])
        value = fitted(rule, _number(claimed.get(knob.name, knob.default)))
        if value is not None:
            result.apply(knob, value)
    _fit_width(result, knobs)
    _fit_batches(result, knobs)
    return result


def _rule(knob: Knob) -> Rule | None:
    """What applies to a knob, if its name tells a size."""
    named = next((r for r in RULES if r.pattern.match(knob.topic)), None)
    if knob.via is not Via.LITERAL:
        return named
    if knob.name.startswith("dict("):
        return named if named is not None and named.group == "model" else None
    if _SHARES.fullmatch(knob.topic):
        return named
    if _is_generated(knob.name.partition("(")[0], knob.topic):
        return _GENERATED
    return _LENGTH if knob.topic.endswith("LEN") else _AMOUNTS


def fitted(rule: Rule, current: float | None) -> int | None:
    """The lowered value, or None to leave a knob alone: zero and below mean "off" or "automatic"."""
    if current is None:
        return rule.cap if rule.group in ("steps", "time", "data", "length") or rule is _GENERATED else None
    if current <= rule.cap:
        return None
    return rule.cap


_HEADS = ("NUM_HEADS", "N_HEADS", "N_HEAD", "HEADS", "NUM_ATTENTION_HEADS")
_ROTARY = ("ROPE_DIMS", "ROPE_DIM", "PARTIAL_ROPE_DIMS", "ROTARY_DIM", "ROTARY_DIMS")
_WIDTH = re.compile(
    r"(LOCAL_|GLOBAL_|)(?:MODEL_DIM|D_MODEL|N_EMBD|DIM|EMB_DIM|EMBEDDING_DIM|HIDDEN_SIZE|EMBED_DIM)"
)
"""Widths of the residual stream; scripts of two streams name each and its heads for one of them."""


def _fit_width(result: Shrunk, knobs: Iterable[Knob]) -> None:
    """The width must hold the heads, and a head the dimensions that rotate, at least 16."""
    rotary = int(_value_of(result, knobs, _ROTARY) or 0)
    for knob in knobs:
        named = _WIDTH.fullmatch(knob.topic)
        if named is None or knob.name not in result.changed:
            continue
        heads = _value_of(result, knobs, tuple(named[1] + topic for topic in _HEADS))
        own = _number(knob.default)
        unit = max(16, rotary + rotary % 2) * int(heads or 0)
        width = unit * -(-128 // unit) if unit else 0
        if width and (own is None or width <= own):
            result.apply(knob, width)


_LENGTHS = ("TRAIN_SEQ_LEN", "SEQ_LEN", "SEQ_LENGTH", "SEQUENCE_LENGTH", "MAX_SEQ_LEN", "BLOCK_SIZE")
_ACCUMULATION = ("GRAD_ACCUM_STEPS", "GRADIENT_ACCUMULATION_STEPS", "GRAD_ACCUM")
_MICRO_STEPS = 8
"""Scripts share a batch among the eight ranks of the node, or as many micro steps where there are fewer."""


def _fit_batches(result: Shrunk, knobs: Iterable[Knob]) -> None:
    """A batch counted in tokens must hold a sequence for every micro step."""
    length = _value_of(result, knobs, _LENGTHS)
    steps = max(_value_of(result, knobs, _ACCUMULATION) or 0, _MICRO_STEPS)
    for knob in knobs:
        own = _number(knob.default)
        batch = "BATCH" in knob.topic and ("TOKENS" in knob.topic or knob.topic == "VAL_BATCH_SIZE")
        if batch and length and own and knob.name in result.changed:
            least = min(int(length * steps), int(own))
            if least > int(result.values[knob.name]):
                result.apply(knob, least)


def _value_of(result: Shrunk, knobs: Iterable[Knob], topics: tuple[str, ...]) -> float | None:
    for knob in knobs:
        if knob.topic in topics:
            return _number(result.values.get(knob.name, result.env.get(knob.name, knob.default)))
    return None
