"""``cross-document-smear``: the previous token's embedding leaks into the first token of a document."""

from __future__ import annotations

import ast

from checkers.facts import Facts
from checkers.finding import CheckResult, Finding, Strength, examined, nothing_to_check, plural
from checkers.static._aliases import call_name
from checkers.static._charges import charges_of
from checkers.static._report import finding, numbered, unreadable
from checkers.static._trace import At, Tracer
from checkers.subject import Subject
from harness.nodes import walk

RULE = "cross-document-smear"
_KEEPS_APART = (
    "cu_seqlens",
    "cu_seqlens_q",
    "cu_seqlens_k",
    "max_seqlen_q",
    "block_mask",
    "seq_idx",
    "document_ids",
)


def check(subject: Subject) -> CheckResult:
    """Look at every sum of hidden states with the same states one position earlier."""
    facts = subject.facts
    if (answer := unreadable(facts)) is not None:
        return answer
    tracer = charges_of(subject).tracer
    smears = [n for n in _smears(facts, tracer) if facts.runs(n)]
    if not smears:
        return nothing_to_check("no running module mixes hidden states with their predecessors")
    apart = _keeps_documents_apart(facts)
    found = [_finding(facts, node, apart) for node in smears if not _masked(facts, tracer, node)]
    return examined(len(smears), f"{plural(len(smears), 'sum')} with the previous position", numbered(found))


def _smears(facts: Facts, tracer: Tracer) -> list[ast.BinOp]:
    """``x[:, 1:] + gate * x[:, :-1]`` in the methods of neural modules."""
    found: list[ast.BinOp] = []
    for module in facts.modules:
        if ":-1]" not in module.layer.lowered:
            continue
        for function in module.functions:
            if tracer.learned(function):
                found += [n for n in walk(function) if isinstance(n, ast.BinOp) and _is_smear(n)]
    return found


def _is_smear(node: ast.AST) -> bool:
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add):
        return False
    now, before = _shifted(node.left), [s for s in walk(node.right) if isinstance(s, ast.Subscript)]
    return now is not None and any(_previous(s) == now for s in before)


def _shifted(node: ast.AST) -> str | None:
    """The name in ``name[:, 1:]``."""
    last = _sequence_slice(node)
    if (
        last is None
        or last.upper is not None
        or not isinstance(last.lower, ast.Constant)
        or last.lower.value != 1
    ):
        return None
    return ast.unparse(node.value) if isinstance(node, ast.Subscript) else None


def _previous(node: ast.Subscript) -> str | None:
    """The name in ``name[:, :-1]``."""
    last = _sequence_slice(node)
    if last is None or last.lower is not None or last.upper is None or ast.unparse(last.upper) != "-1":
        return None
    return ast.unparse(node.value)


def _sequence_slice(node: ast.AST) -> ast.Slice | None:
    if (
        not isinstance(node, ast.Subscript)
        or not isinstance(node.slice, ast.Tuple)
        or len(node.slice.elts) < 2
    ):
        return None
    part = node.slice.elts[1]
    return part if isinstance(part, ast.Slice) else None


def _masked(facts: Facts, tracer: Tracer, node: ast.BinOp) -> bool:
    """Whether the gate is multiplied by something that compares the current tokens with a "
    "document's start."""
    trace = tracer.trace(
        [At(node.right)],
        lambda at: bool(facts.callees(at.node)) if isinstance(at.node, ast.Call) else False,
        most=200,
    )
    for at in trace:
        if isinstance(at.node, ast.Compare) and any(
            isinstance(op, (ast.Eq, ast.NotEq)) for op in at.node.ops
        ):
            return True
        if call_name(at.node) in ("ne", "eq", "not_equal", "equal", "isin", "masked_fill"):
            return True
    return False


def _keeps_documents_apart(facts: Facts) -> bool:
    """Whether running attention is told where documents begin."""
    return any(
        k.arg in _KEEPS_APART and not (isinstance(k.value, ast.Constant) and k.value.value is None)
        for m in facts.modules
        for call in m.calls
        for k in call.keywords
        if k.arg in _KEEPS_APART and facts.runs(call)
    )


def _finding(facts: Facts, node: ast.BinOp, apart: bool) -> Finding:
    message = "The previous position is mixed in without regard to where documents begin" + (
        ", while attention in the same model keeps documents apart."
        if apart
        else "; nothing else here keeps them apart."
    )
    strength = Strength.SUSPECT if apart else Strength.REMARK
    return finding(facts, RULE, node, message, caption="mixed here", confidence=0.8, strength=strength)
