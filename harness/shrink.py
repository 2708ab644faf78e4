"""Making a run small through the script's own configuration, and saying what was changed.

``discover`` finds the knobs a script has: environment names, command-line options, literals of
configuration classes and of module constants, and the numbers of calibration sequences that many
scripts write into the call itself. ``shrink`` sets those whose name tells a size. Nothing else of
the script is touched.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
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
    """One setting of a script. ``name``: environment name, ``--option``, dotted constant or ``function(name)``."""

    via: Via
    name: str
    default: Any = None

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


def _rules(group: str, cap: int, names: str) -> list[Rule]:
    return [Rule(group, re.compile(rf"(?:{name})\Z"), cap) for name in names.split()]


RULES: tuple[Rule, ...] = tuple(
    _rules("progress", 0, "VAL_LOSS_EVERY VAL_EVERY EVAL_EVERY")
    + _rules(
        "time",
        4,
        "ITERATIONS NUM_ITERATIONS MAX_STEPS TRAIN_STEPS NUM_STEPS TOTAL_STEPS MAX_ITERS STEPS N_STEPS TOTAL_ITERS NUM_TRAIN_STEPS MAX_ITERATIONS",
    )
    + _rules(
        "time",
        1,
        "WARMUP_STEPS COMPILE_WARMUP_STEPS TRAIN_LOG_EVERY LOG_EVERY SWA_EVERY EMA_EVERY LAWA_FREQ LOG_INTERVAL",
    )
    + _rules(
        "time",
        2,
        "WARMDOWN_ITERS WARMDOWN_STEPS COOLDOWN_ITERS MUON_MOMENTUM_WARMUP_STEPS LR_WARMUP_STEPS WARMDOWN_ITERATIONS",
    )
    + _rules("time", 2, r"\w*START_STEP \w*_AT_STEP")
    + _rules(
        "data",
        128,
        r"TRAIN_SEQ_LEN SEQ_LEN SEQ_LENGTH SEQUENCE_LENGTH MAX_SEQ_LEN BLOCK_SIZE CONTEXT_LENGTH CONTEXT_LEN CTX_LEN CTX SEQLEN MAX_SEQ_LENGTH T ROPE_TRAIN_SEQ_LEN EVAL_SEQ_LEN VAL_SEQ_LEN TTT_EVAL_SEQ_LEN TTT_SEQ_LEN EVAL_CONTEXT_LEN EVAL_CTX EVAL_CONTEXT SLOT_SEQ_LEN GPTQ_SEQ_LEN EVAL_SEQLEN TTT_TRAIN_SEQ_LEN NTK_EVAL_SEQ_LEN CURRICULUM_SEQ_LEN MAX_POSITION_EMBEDDINGS",
    )
    + _rules(
        "data",
        1024,
        "TRAIN_BATCH_TOKENS BATCH_TOKENS TOTAL_BATCH_TOKENS TOKENS_PER_STEP GLOBAL_BATCH_TOKENS TRAIN_BATCH_SIZE_TOKENS TOTAL_BATCH_SIZE BATCH_SIZE_TOKENS TRAIN_TOKENS_PER_STEP",
    )
    + _rules(
        "data",
        2048,
        r"VAL_BATCH_SIZE VAL_BATCH_TOKENS EVAL_BATCH_TOKENS VAL_TOKENS_PER_BATCH VAL_LOSS_BATCH_TOKENS",
    )
    + _rules(
        "data", 64, r"EVAL_STRIDE SLIDING_STRIDE STRIDE SLIDING_EVAL_STRIDE EVAL_SLIDING_STRIDE TTT_STRIDE"
    )
    + _rules(
        "data",
        8,
        r"BATCH_SIZE TRAIN_BATCH_SIZE DEVICE_BATCH_SIZE MICRO_BATCH_SIZE BATCH_SEQS EVAL_BATCH_SEQS SLIDING_BATCH_SEQS EVAL_BATCH_SIZE",
    )
    + _rules("model", 128, r"MODEL_DIM D_MODEL N_EMBD DIM EMBEDDING_DIM HIDDEN_SIZE HIDDEN_DIM EMBED_DIM")
    + _rules(
        "model",
        512,
        r"BIGRAM_VOCAB_SIZE BIGRAM_BUCKETS TRIGRAM_BUCKETS TRIGRAM_VOCAB_SIZE BIGRAM_HASH_BUCKETS BIGRAM_HASH_SIZE BIGRAM_HASH_VOCAB_SIZE HASH_BUCKETS ENGRAM_BUCKETS",
    )
    + _rules("model", 32, r"BIGRAM_DIM TRIGRAM_DIM BIGRAM_HASH_DIM BIGRAM_EMBED_DIM VE_DIM")
    + _rules(
        "eval",
        1024,
        r"TTT_CHUNK_TOKENS GLOBAL_TTT_CHUNK_TOKENS TTT_CHUNK SLOT_CHUNK_TOKENS NGRAM_CHUNK_TOKENS NGRAM_EVAL_CHUNK_TOKENS \w*TTT_CHUNK_TOKENS CHUNK_TOKENS TTT_BATCH_TOKENS PPM_CHUNK_TOKENS EVAL_CHUNK_TOKENS ADAPT_CHUNK_TOKENS",
    )
    + _rules("eval", 4, r"TTT_BATCH_SEQS GLOBAL_TTT_BATCH_SEQS TTT_TRAIN_BATCH_SEQS PREQUANT_TTT_BATCH_SEQS")
    + _rules("eval", 8, r"SLOT_BATCH_SEQS TTT_BATCH_SIZE PHASED_TTT_PREFIX_DOCS TTT_BATCH_DOCS TTT_LORA_RANK")
    + _rules("eval", 32, r"TTT_CHUNK_SIZE")
    + _rules(
        "eval", 2, r"TTT_EPOCHS \w*TTT_EPOCHS TTT_STEPS TTT_MAX_STEPS GLOBAL_TTT_EPOCHS TTT_PREQUANT_EPOCHS"
    )
    + _rules("eval", 3, r"SLOT_STEPS ETLB_STEPS SLOT_ITERS \w*SLOT_STEPS")
    + _rules(
        "quant",
        2,
        r"GPTQ_CALIB_BATCHES GPTQ_CALIBRATION_BATCHES GPTQ_CALIB_SAMPLES CALIB_BATCHES GPTQ_NUM_BATCHES NUM_CALIB_BATCHES GPTQ_BATCHES AWQ_CALIB_BATCHES GPTQ_CALIB_SEQS GPTQ_AR_SEQS GPTQ_NSAMPLES CALIB_SEQS HESSIAN_BATCHES GPTQ_NUM_SEQS AR_CALIB_SEQS GPTQ_HESSIAN_BATCHES",
    )
)
"""What is made small, and how small: see docs on the instrumented run."""

GROUPS = ("time", "progress", "data", "model", "eval", "quant")
"""A retry may keep the script's own sizes of some of them."""


@dataclass
class Shrunk:
    """The settings of one attempt. ``changed`` names every knob with its old and new value."""

    env: dict[str, str] = field(default_factory=dict)
    argv: list[str] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)

    def apply(self, knob: Knob, value: Any) -> None:
        """Set a knob through its own channel and record it."""
        if knob.via is Via.ENVIRONMENT:
            self.env[knob.name] = str(value)
        elif knob.via is Via.ARGUMENT:
            self.argv += [knob.name, str(value)]
        else:
            self.constants[knob.name] = value  # of assignments and of calls alike
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
        for knob in [*_called(tree), *_constants(tree), *_calibration(tree)]:
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
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            name = node.slice.value
            if isinstance(name, str) and _NAME.match(name) and "environ" in ast.unparse(node.value):
                yield Knob(Via.ENVIRONMENT, name)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            yield from _from_call(node, node.args[0].value)


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
_AMOUNT = re.compile(r"n(um)?_?\w*(seqs|samples|batches)\Z|nsamples\Z|seq_?len\Z", re.IGNORECASE)


def _calibration(tree: ast.AST) -> Iterator[Knob]:
    """Amounts of calibration data given as literals, in calls and as defaults."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [(k.arg, k.value) for k in node.keywords if k.arg]
        elif isinstance(node, ast.FunctionDef):
            name, args = node.name, [*node.args.posonlyargs, *node.args.args]
            given = [(a.arg, d) for a, d in zip(args[::-1], node.args.defaults[::-1], strict=False)]
        else:
            continue
        if _CALIBRATES.search(name):
            for word, value in given:
                if _AMOUNT.match(word) and isinstance(literal(value), int):
                    yield Knob(Via.LITERAL, f"{name}({word})", literal(value))


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


def _number(value: Any) -> float | None:
    try:
        return float(str(value).replace("_", ""))
    except ValueError:
        return None


def shrink(knobs: Iterable[Knob], claimed: Mapping[str, str], keep: Iterable[str] = ()) -> Shrunk:
    """Set every knob that tells a size to at most its cap.

    Args:
        knobs: the script's knobs.
        claimed: environment of the run the submission claims; sizes in it are lowered too.
        keep: groups of ``GROUPS`` left at their own size.
    """
    kept, result = set(keep), Shrunk()
    result.env.update(claimed)
    for knob in knobs:
        rule = (
            _AMOUNTS
            if knob.via is Via.LITERAL
            else next((r for r in RULES if r.pattern.match(knob.topic)), None)
        )
        if rule is None or rule.group in kept:
            continue
        current = _number(claimed.get(knob.name, knob.default))
        rule = _LENGTH if knob.via is Via.LITERAL and knob.topic.endswith("LEN") else rule
        value = fitted(rule, current)
        if value is not None:
            result.apply(knob, value)
    _fit_width(result, knobs)
    return result


def fitted(rule: Rule, current: float | None) -> int | None:
    """The lowered value, or None to leave a knob alone: zero and below mean "off" or "automatic"."""
    if current is None:
        return rule.cap if rule.group in ("time", "data") else None
    if current <= rule.cap:
        return None
    return rule.cap


_HEADS = ("NUM_HEADS", "N_HEADS", "N_HEAD", "HEADS", "NUM_ATTENTION_HEADS")
_ROTARY = ("ROPE_DIMS", "ROPE_DIM", "PARTIAL_ROPE_DIMS", "ROTARY_DIM", "ROTARY_DIMS")
_WIDTHS = ("MODEL_DIM", "D_MODEL", "N_EMBD", "DIM", "EMBEDDING_DIM", "HIDDEN_SIZE", "EMBED_DIM")


def _fit_width(result: Shrunk, knobs: Iterable[Knob]) -> None:
    """The width must hold the heads, and a head the dimensions that rotate, at least 16."""
    heads = _value_of(result, knobs, _HEADS)
    if not heads:
        return
    rotary = int(_value_of(result, knobs, _ROTARY) or 0)
    unit = max(16, rotary + rotary % 2) * int(heads)
    width = unit * -(-128 // unit)
    for knob in knobs:
        own = _number(knob.default)
        if knob.topic in _WIDTHS and knob.name in result.changed and (own is None or width <= own):
            _reset(result, knob, width)


def _reset(result: Shrunk, knob: Knob, value: int) -> None:
    if knob.via is Via.ARGUMENT:
        result.argv[result.argv.index(knob.name) + 1] = str(value)
        result.changed[knob.name] = f"{value} (was {knob.default})"
    else:
        result.apply(knob, value)


def _value_of(result: Shrunk, knobs: Iterable[Knob], topics: tuple[str, ...]) -> float | None:
    for knob in knobs:
        if knob.topic in topics:
            return _number(result.env.get(knob.name, knob.default))
    return None
