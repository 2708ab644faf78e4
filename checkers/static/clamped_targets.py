"""``clamped-targets``: targets forced into a vocabulary smaller than the tokenizer's."""

from __future__ import annotations

import ast
import re

from checkers.facts import Did, Event
from checkers.facts.values import VAL
from checkers.finding import CheckResult, Finding, Strength, examined, nothing_to_check, plural
from checkers.static._charges import charges_of, target_argument
from checkers.static._report import finding, numbered, unreadable
from checkers.static._trace import At
from checkers.subject import Subject
from harness.submission import SubmissionError

RULE = "clamped-targets"
_CLAMPS = frozenset(
    {"clamp", "clamp_", "clamp_max", "clamp_max_", "clip", "clip_", "minimum", "remainder", "fmod"}
)
_OURS = re.compile(r"(?<!tokenizer )\bvocab_size\s*[=:]\s*(\d{3,6})", re.IGNORECASE)
_THEIRS = re.compile(
    r"tokenizer[ _]vocab(?:_size)?\s*[=:]\s*(\d{3,6})|fineweb10B_sp(\d{3,5})\b", re.IGNORECASE
)
_HEAD = 20_000  # characters at the start of a log, where settings are printed


def check(subject: Subject) -> CheckResult:
    """Look at the targets of every score on validation data."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    scores = {e.node: e for e in facts.of(Did.SCORE) if e.bits & VAL}
    if not scores:
        return nothing_to_check("no score on validation data was found in the code that runs")
    found = [f for event in scores.values() for f in _clamped(subject, event)]
    return examined(len(scores), f"targets of {plural(len(scores), 'score')}", numbered(found))


def _clamped(subject: Subject, event: Event) -> list[Finding]:
    target = target_argument(event.node)
    if target is None:
        return []
    tracer = charges_of(subject).tracer
    clamps = [at.node for at in tracer.trace([At(target)], most=150, choices=False) if _clamps_above(at.node)]
    return [_finding(subject, event, node) for node in clamps]


def _clamps_above(node: ast.AST) -> bool:
    """A clamp with an upper end, or a modulus; a clamp from below alone changes no token."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod)
    if (
        not isinstance(node, ast.Call)
        or not isinstance(node.func, ast.Attribute)
        or node.func.attr not in _CLAMPS
    ):
        return False
    named = {k.arg for k in node.keywords}
    return (
        "max" in named
        or len(node.args) >= 2
        or node.func.attr in ("clamp_max", "clamp_max_", "remainder", "fmod")
    )


def _finding(subject: Subject, event: Event, node: ast.AST) -> Finding:
    facts = subject.facts
    small = _smaller_vocabulary(subject)
    strength = Strength.CONVICTS if small else Strength.REMARK
    shown = f" The log shows it: {small}." if small else ""
    message = (
        f"Targets are clamped before they are scored; those beyond it are charged as another token.{shown}"
    )
    related = [facts.place(event.node, "scored here")]
    return finding(
        facts, RULE, node, message, caption="clamped here", related=related, confidence=0.9, strength=strength
    )


def _smaller_vocabulary(subject: Subject) -> str:
    """The line of a log that shows a model vocabulary below the tokenizer's, "" when none does."""
    for path in subject.logs.log_paths:
        try:
            head = subject.submission.text(path)[:_HEAD]
        except SubmissionError:
            continue
        ours = [int(m.group(1)) for m in _OURS.finditer(head)]
        theirs = [int(m.group(1) or m.group(2)) for m in _THEIRS.finditer(head)]
        if ours and theirs and min(ours) < max(theirs):
            return f"vocabulary {min(ours)}, tokenizer {max(theirs)}"
    return ""
