"""``transformed-byte-denominator``: bytes are counted on text that was transformed before tokenization."""

from __future__ import annotations

import ast
import re

from checkers.finding import (
    CheckResult,
    Evidence,
    Finding,
    Kind,
    Location,
    Strength,
    examined,
    nothing_to_check,
    plural,
)
from checkers.static._report import numbered, unreadable
from checkers.subject import Subject
from harness import lowering
from harness.nodes import walk
from harness.submission import SubmissionError

RULE = "transformed-byte-denominator"
_LOSSY = frozenset({"lower", "casefold", "upper", "swapcase", "normalize"})
_ENCODERS = frozenset({"encode", "encode_as_ids", "Encode", "EncodeAsIds", "encode_batch", "encode_ordinary"})
# an encoder's call with an argument: ``.encode()`` and ``.encode("utf-8")``, which most have, make bytes
_ENCODES = re.compile(rf"""\.(?:{"|".join(sorted(_ENCODERS))})\((?!\s*(?:\)|(["'])[\w-]*\1\s*[,)]))""")
_TRANSFORMS = re.compile(rf"\.(?:{'|'.join(sorted(_LOSSY))})\(")
_LARGEST = 400_000  # characters


def check(subject: Subject) -> CheckResult:
    """Look at the scripts of the record that tokenize text and write shards."""
    if (answer := unreadable(subject.facts)) is not None:
        return answer
    trees = _trees(subject)
    encoding = [(path, tree, call) for path, tree in trees for call in _encodings(tree)]
    if not encoding:
        return nothing_to_check("no script of the submission transforms and tokenizes text")
    counted = {path for path, tree in trees if _counts_original(tree)}
    found = [
        _finding(path, call) for path, tree, call in encoding if path not in counted and _lossy(tree, call)
    ]
    return examined(
        len(encoding),
        plural(len(encoding), "call that tokenizes text", "calls that tokenize text"),
        numbered(found),
    )


def _trees(subject: Subject) -> list[tuple[str, ast.Module]]:
    """The Python files of the record, parsed; what does not parse is left out."""
    out = []
    for entry in subject.submission.files(".py"):
        if entry.size > _LARGEST:
            continue
        try:
            text = subject.submission.text(entry.path)
            if not (_ENCODES.search(text) and _TRANSFORMS.search(text)):
                continue
            out.append((entry.path, lowering.tree(text)))
        except (SubmissionError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return out


def _encodings(tree: ast.Module) -> list[ast.Call]:
    """Calls of a tokenizer's encoder on text (bytes and models have an ``encode`` of other arguments)."""
    return [
        n
        for n in walk(tree)
        if isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and n.func.attr in _ENCODERS
        and n.args
        and not isinstance(n.args[0], ast.Constant)
    ]


def _lossy(tree: ast.Module, call: ast.Call) -> bool:
    """Whether the text that is tokenized went through a transform that cannot be undone."""
    return any(_is_lossy(n) for n in walk(call.args[0])) or _named_lossy(tree, call.args[0])


def _is_lossy(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LOSSY


def _named_lossy(tree: ast.Module, argument: ast.AST) -> bool:
    """The same through one local name in the function around."""
    names = {n.id for n in walk(argument) if isinstance(n, ast.Name)}
    for function in walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        inside = walk(function)
        if argument in inside and any(_binds_lossy(n, names) for n in inside):
            return True
    return False


def _binds_lossy(node: ast.AST, names: set[str]) -> bool:
    """``name = ... .lower()`` for one of the names."""
    if not isinstance(node, ast.Assign) or not any(_is_lossy(n) for n in walk(node.value)):
        return False
    return any(isinstance(t, ast.Name) and t.id in names for t in node.targets)


def _counts_original(tree: ast.Module) -> bool:
    """Whether the script also exports byte counts of the original text."""
    words = {n.value for n in walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return any("_bytes" in w and "val" in w for w in words)


def _finding(path: str, call: ast.Call) -> Finding:
    message = (
        "Text is transformed without a way back before it is tokenized, and no counts of the "
        "original bytes are exported: the denominator is that of another text."
    )
    where = Location(path, call.lineno, call.col_offset + 1, call.end_lineno or 0, caption="tokenized here")
    evidence = Evidence(Kind.STATIC, message, {})
    return Finding(
        RULE,
        message,
        where,
        evidence,
        Strength.SUSPECT,
        0.7,
        reach="a script of the record; whether it made the data is not known",
    )
