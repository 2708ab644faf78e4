"""``truncated-validation``: only a slice of the validation tokens goes into the reported figure."""

from __future__ import annotations

import ast

from checkers.facts import UNKNOWN, Did
from checkers.facts.values import VAL
from checkers.finding import CheckResult, Finding, Strength, examined, plural
from checkers.static._charges import Charges, charges_of, uncharged
from checkers.static._farthest import farthest_reads
from checkers.static._report import finding, numbered
from checkers.static._trace import At, position
from checkers.subject import Subject
from harness.logs import Measure

RULE = "truncated-validation"
FULL = 36_000_000  # tokens; below the smallest full set of any official vocabulary
LEAST = 4_096  # a shorter bound is a batch, a window or a prompt


def check(subject: Subject) -> CheckResult:
    """Look for constant bounds on the validation tokens on their way into a charge."""
    if (answer := uncharged(subject)) is not None:
        return answer
    charges = charges_of(subject)
    bounded = [*_bounded(charges), *_read_in_loops(subject, charges)]
    found = [_finding(subject, at.node, bound) for at, bound in bounded]
    return examined(
        len(charges.roots), f"token slices behind {plural(len(charges.roots), 'charge')}", numbered(found)
    )


def _bounded(charges: Charges) -> list[tuple[At, int]]:
    """Slices ``tokens[:n]`` outside every loop, with a constant ``n`` that the whole set exceeds."""
    scores = {e.node for e in charges.facts.of(Did.SCORE) if e.bits & VAL and isinstance(e.node, ast.Call)}
    roots = [At(arg) for node in sorted(scores, key=position) for arg in node.args]
    trace = charges.tracer.trace(roots, charges.neural, choices=False)
    return [(at, bound) for at in trace if (bound := _bound(charges, at.node)) is not None]


def _read_in_loops(subject: Subject, charges: Charges) -> list[tuple[At, int]]:
    """Slices in loops of so few rounds that they never come near the end of the full set."""
    reads = list(farthest_reads(subject, charges.tracer))
    return reads[:1] if reads and all(LEAST <= end < FULL for _, end in reads) else []


def _bound(charges: Charges, node: ast.AST) -> int | None:
    if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Slice):
        return None
    if (
        node.slice.upper is None
        or node.slice.lower is not None
        or "val" not in charges.facts.sources(node.value)
    ):
        return None
    bound = charges.facts.constant(node.slice.upper)
    if bound is UNKNOWN or not isinstance(bound, int) or isinstance(bound, bool) or not LEAST <= bound < FULL:
        return None
    module = charges.facts.module_of(node)
    looped = any(isinstance(a, (ast.For, ast.While, ast.comprehension)) for a in module.ancestors(node))
    return None if looped else bound


def _finding(subject: Subject, node: ast.AST, bound: int) -> Finding:
    """A part of the text is scored: doubted where a score is claimed, else only remarked."""
    message = f"The validation tokens are cut to {bound:,} before they are scored; the full set is larger."
    claimed = any(c.measure is Measure.BPB for c in subject.logs.claims)
    return finding(
        subject.facts,
        RULE,
        node,
        message,
        caption="cut here",
        confidence=0.7,
        strength=Strength.SUSPECT if claimed else Strength.REMARK,
        data={"bound": bound},
    )
