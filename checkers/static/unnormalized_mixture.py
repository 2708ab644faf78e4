"""``unnormalized-mixture``: an expert evaluated at the target only, or divided by a foreign count."""

from __future__ import annotations

import ast

from checkers.finding import CheckResult, Finding, Strength, examined, plural
from checkers.static._aliases import call_name
from checkers.static._charges import Charges, Lookup, charges_of, uncharged
from checkers.static._members import blind_experts
from checkers.static._ratios import Ratio, is_sum, ratios
from checkers.static._report import finding, numbered
from checkers.static._trace import At
from checkers.static.target_in_cache_key import target_keyed
from checkers.subject import Subject
from harness.nodes import walk

RULE = "unnormalized-mixture"
_NEAR = 60  # places behind a key
_BYTES = frozenset({"encode", "bytes", "bytearray", "join", "frombuffer", "b64decode"})
_CONTAINERS = frozenset({"tuple", "frozenset", "tobytes", "str", "repr"})
_NORMALIZERS = frozenset({"softmax", "log_softmax", "cross_entropy", "logsumexp", "normalize"})


def check(subject: Subject) -> CheckResult:
    """Look at every table read that flows into a validation charge, and at how it was normalized."""
    if (answer := uncharged(subject)) is not None:
        return answer
    charges = charges_of(subject)
    found: list[Finding] = []
    if charges.lookups:
        divisions = [r for r in ratios(charges) if not r.summed and not _normalized_later(charges, r)]
        foreign = [r for r in divisions if r.keyed_by_more()]
        divided = {read.at.node for ratio in foreign for read in ratio.above}
        found += [_foreign(subject, r) for r in foreign]
        found += [_keyed(subject, read) for read in target_keyed(charges) if read.at.node not in divided]
        found += [_target_only(subject, read) for r in divisions for read in _entries_of_target(charges, r)]
    found += [_blind(subject, member) for member in blind_experts(charges)]
    looked_at = f"{plural(len(charges.roots), 'charge')}, {plural(len(charges.lookups), 'table read')}"
    return examined(len(charges.roots), looked_at, numbered(found))


def _entries_of_target(charges: Charges, ratio: Ratio) -> list[Lookup]:
    """Reads of a dictionary at the target itself: one entry of an expert nobody evaluates elsewhere."""
    return [r for r in ratio.above if not r.hashed and _of_target(charges, r)]


def _of_target(charges: Charges, read: Lookup) -> bool:
    return any(charges.is_target(leaf) for leaf in read.mix.leaves) or _counted_at(charges, read)


def _counted_at(charges: Charges, read: Lookup) -> bool:
    """Whether the table is counted up at the very variable it was read at: the token that came."""
    key = read.key.node
    if not isinstance(key, ast.Name) or not _token(charges, read.key):
        return False
    function = charges.facts.module_of(read.at.node).function_of(read.at.node)
    stores = (n for n in walk(function) if isinstance(n, ast.Subscript)) if function else ()
    entry = ast.dump(read.table), ast.dump(key)
    return any(
        isinstance(n.ctx, ast.Store) and (ast.dump(n.value), ast.dump(n.slice)) == entry for n in stores
    )


def _token(charges: Charges, key: At) -> bool:
    """Whether a key is a validation token as it was read.

    Neither one of its bytes, since escapes to bytes add up, nor a context made of several tokens.
    """
    if any(_several(at.node) for at in _definitions(charges, key)):
        return False
    near = charges.tracer.trace([key], charges.neural, most=_NEAR, choices=False)
    if any(call_name(p.node) in _BYTES for p in near):
        return False
    return any({"val", "raw"} <= charges.facts.sources(p.node) for p in near)


def _definitions(charges: Charges, key: At) -> list[At]:
    """The expressions that a name stands for, behind other names and either arm of a conditional."""
    found: list[At] = []
    seen: set[At] = set()
    stack = [key]
    while stack:
        at = stack.pop()
        if at in seen:
            continue
        seen.add(at)
        if isinstance(at.node, (ast.Name, ast.IfExp)):
            stack += charges.tracer.behind(at, choices=False)
        else:
            found.append(at)
    return found


def _several(node: ast.AST) -> bool:
    return isinstance(node, ast.Tuple) or call_name(node) in _CONTAINERS


def _normalized_later(charges: Charges, ratio: Ratio) -> bool:
    """Whether what the ratio flows into is normalized over the vocabulary before it is charged."""
    for at in charges.trace.path(ratio.at):
        node = at.node
        name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        if name in _NORMALIZERS:
            return True
        divisor = node.right if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) else None
        if divisor is not None and node is not ratio.at.node and _adds_up(charges, At(divisor, at.calls)):
            return True
    return False


def _adds_up(charges: Charges, divisor: At) -> bool:
    return any(is_sum(p.node) for p in charges.tracer.trace([divisor], charges.neural, most=200))


def _keyed(subject: Subject, read: Lookup) -> Finding:
    message = (
        "The expert is asked for the target's entry alone, in a hashed table: what it would give the other "
        "tokens is never computed, and the entries that share buckets do not sum to one."
    )
    return finding(
        subject.facts, RULE, read.at.node, message, caption="evaluated for the target only", confidence=0.95
    )


def _foreign(subject: Subject, ratio: Ratio) -> Finding:
    below = [subject.facts.place(r.at.node, "the divisor") for r in ratio.below[:1]]
    message = (
        "A count of context and token is divided by a separate count of the context. In hashed "
        "tables that is not the sum of the candidates' counts, so the quotients over the vocabulary "
        "exceed one."
    )
    return finding(
        subject.facts, RULE, ratio.at.node, message, caption="divided here", related=below, confidence=0.95
    )


def _target_only(subject: Subject, read: Lookup) -> Finding:
    message = (
        "The expert is evaluated at the target only: its probability for the other tokens is never "
        "computed, and the blend is not renormalized over the vocabulary."
    )
    return finding(subject.facts, RULE, read.at.node, message, caption="the target's entry", confidence=0.9)


def _blind(subject: Subject, member: At) -> Finding:
    """Doubted, not convicted: no ruling speaks of it, and a reviewer had called it clean (#849)."""
    message = (
        "An expert's loss is the same for every token, whichever is the target: with an entropy of H nats "
        "each of V tokens gets the mass exp(-H), V exp(-H) together, which is 1 for the uniform "
        "distribution only. The mixture exceeds one by this expert's weight times the excess."
    )
    return finding(
        subject.facts,
        RULE,
        member.node,
        message,
        caption="mixed in here",
        confidence=0.7,
        strength=Strength.SUSPECT,
    )
