"""``target-in-cache-key``: a count table read at a key in which the scored token is mixed."""

from __future__ import annotations

import ast
from dataclasses import replace

from checkers.facts import UNKNOWN
from checkers.finding import CheckResult, Finding, examined, plural
from checkers.static._aliases import call_name
from checkers.static._charges import VIEWS, Charges, Lookup, charges_of, uncharged
from checkers.static._ratios import ratios
from checkers.static._report import finding, numbered
from checkers.static._trace import At
from checkers.subject import Subject

RULE = "target-in-cache-key"
_NEAR = 60  # places behind the leaves of a key
SMALLEST_VOCABULARY = 200  # a shorter range counts n-gram orders


def check(subject: Subject) -> CheckResult:
    """Look at every table read at a hashed key that flows into a validation charge."""
    if (answer := uncharged(subject)) is not None:
        return answer
    charges = charges_of(subject)
    found = [_finding(subject, read) for read in target_keyed(charges)]
    reads = len([r for r in charges.lookups if r.hashed])
    return examined(
        len(charges.roots),
        f"{plural(len(charges.roots), 'charge')}, {plural(reads, 'hashed read')}",
        numbered(found),
    )


def target_keyed(charges: Charges) -> list[Lookup]:
    """The hashed reads whose key contains the scored token.

    Either a leaf of the key is a copy of the targets of a score, or the read is a joint count: it stands
    above a read at the context's key in a ratio, and its key has more in it.
    """
    hashed = [r for r in charges.lookups if r.hashed and not _over_vocabulary(charges, r)]
    if not hashed:
        return []
    joint = {r.at.node for ratio in ratios(charges) for r in ratio.keyed_by_more()}
    return [r for r in hashed if r.at.node in joint or any(charges.is_target(leaf) for leaf in r.mix.folded)]


def _over_vocabulary(charges: Charges, read: Lookup) -> bool:
    """Whether the key is made for every token of the vocabulary, at once or one after the other."""
    stack = list(read.mix.leaves)
    seen: set[At] = set()
    while stack and len(seen) < _NEAR:
        at = stack.pop()
        node = at.node
        if at in seen:
            continue
        seen.add(at)
        if _is_vocabulary(charges, node):
            return True
        if isinstance(node, ast.Subscript):
            stack.append(At(node.value, at.calls))
        elif isinstance(node, ast.Name):
            bound = charges.tracer.behind(at, choices=False)
            stack += [b for b in bound if isinstance(b.node, (ast.Call, ast.Name, ast.Subscript))]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and call_name(node) in VIEWS:
            stack.append(At(node.func.value, at.calls))
    return False


def _is_vocabulary(charges: Charges, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not node.args:
        return False
    if call_name(node) not in ("arange", "range") or "val" in charges.facts.sources(node):
        return False
    bound = charges.facts.constant(node.args[-1] if len(node.args) < 3 else node.args[1])
    return bound is UNKNOWN or (isinstance(bound, int) and bound >= SMALLEST_VOCABULARY)


def _finding(subject: Subject, read: Lookup) -> Finding:
    facts = subject.facts
    charged = charges_of(subject).charged_with(read.at.node)
    related = [replace(facts.place(charged, "charged here"), step=1)] if charged else []
    message = (
        "A table is read at a key that mixes the token being scored with its context, and what is found "
        "there enters the charged probability."
    )
    return finding(facts, RULE, read.at.node, message, caption="read here", related=related, confidence=0.97)
