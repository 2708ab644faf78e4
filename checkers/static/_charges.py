"""Where validation losses are charged, and what they are computed from: shared by the C1 and C2 checkers."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property

from checkers.facts import UNKNOWN, Did, Event, Facts, Runs
from checkers.facts.values import VAL, Mapping
from checkers.finding import CheckResult, nothing_to_check
from checkers.static._aliases import call_name, calls_of
from checkers.static._learning import learning
from checkers.static._mixing import Mix, mix_of
from checkers.static._once import once_per_facts
from checkers.static._report import unreadable
from checkers.static._trace import At, Trace, Tracer
from checkers.static._words import words
from checkers.static._writes import Part
from checkers.subject import Subject

_LOOKUPS = frozenset({"get", "gather", "take", "index_select", "take_along_axis", "take_along_dim"})
LOGS = frozenset({"log", "log2", "log1p", "logaddexp", "logaddexp2", "logsumexp", "log10"})
_TARGET_ARGUMENT = {"cross_entropy": 1, "nll_loss": 1, "CrossEntropyLoss": 1, "NLLLoss": 1}


@dataclass(frozen=True, slots=True)
class Lookup:
    """A table read at a key: ``table[key]``, ``table.get(key)``, ``table.gather(dim, key)``."""

    at: At
    table: ast.AST
    key: At
    mix: Mix

    @property
    def hashed(self) -> bool:
        """Whether the key mixes several values into one integer that cannot be taken apart."""
        return self.mix.hashed


class Charges:
    """The charges on validation data that run, and the trace behind them.

    ``beside`` holds the places whose scores are printed, but not in the claimed number, where its line is
    known: a diagnostic mixture is no part of the score.
    """

    def __init__(self, facts: Facts, beside: frozenset[ast.AST] = frozenset()) -> None:
        self.facts = facts
        self.tracer = Tracer(facts)
        self.beside = beside

    @cached_property
    def events(self) -> list[Event]:
        """One event per place where a validation loss is accumulated."""
        first: dict[ast.AST, Event] = {}
        for event in self.facts.of(Did.CHARGE):
            if event.bits & VAL and event.node not in self.beside:
                first.setdefault(event.node, event)
        return list(first.values())

    @cached_property
    def roots(self) -> list[At]:
        """The expressions that are accumulated."""
        added = [value for event in self.events for value in _added(event.node)]
        return [At(node) for node in dict.fromkeys((*added, *self.mixtures))]

    @cached_property
    def mixtures(self) -> list[ast.AST]:
        """Running logarithms of what was made of scores of validation data: where experts are mixed."""
        calls = [call for m in self.facts.modules for call in calls_of(m, LOGS)]
        scored = [call for call in calls if {"score", "val"} <= self.facts.sources(call)]
        mixed = [call for call in scored if self.facts.runs(call) and not self.neural(At(call))]
        return [call for call in mixed if call not in self.beside]

    @cached_property
    def trace(self) -> Trace:
        """Everything the charges are computed from, up to the model and the contents of tables."""
        return self.tracer.trace(self.roots, self._ends)

    def charged_with(self, node: ast.AST) -> ast.AST | None:
        """The statement whose charge a node flows into, or the mixture, where no charge shows it."""
        charging = [(event.node, _added(event.node)) for event in self.events]
        for place, added in [*charging, *((m, [m]) for m in self.mixtures)]:
            trace = self.tracer.trace([At(value) for value in added], self._ends)
            if any(at.node is node for at in trace):
                return place
        return None

    @cached_property
    def with_tests(self) -> Trace:
        """The same, with the undecided tests that choose between values."""
        return self.tracer.trace(self.roots, self._ends, controls=True)

    @cached_property
    def traced(self) -> set[ast.AST]:
        """The nodes behind the charges, in whatever calling context."""
        return {at.node for at in self.trace}

    def _ends(self, at: At) -> bool:
        return self.neural(at) or self.lookup(at) is not None

    def neural(self, at: At) -> bool:
        """Whether a place is a call of the submission's neural model."""
        node = at.node
        return isinstance(node, ast.Call) and any(self.tracer.learned(f) for f in self.facts.callees(node))

    @cached_property
    def _lookups(self) -> dict[At, Lookup | None]:
        return {}

    def lookup(self, at: At) -> Lookup | None:
        """The table read at a place, None when there is none."""
        if not isinstance(at.node, (ast.Subscript, ast.Call)):
            return None
        if at not in self._lookups:
            self._lookups[at] = self._read(at)
        return self._lookups[at]

    def _read(self, at: At) -> Lookup | None:
        found = table_and_key(at.node)
        if found is None:
            return None
        table, key = found
        mix = mix_of(self.tracer, At(key, at.calls))
        if mix.hashed or (self._mapping(table) and self.facts.constant(key) is UNKNOWN):
            return Lookup(at, table, At(key, at.calls), mix)
        return None

    def _mapping(self, table: ast.AST) -> bool:
        """Whether an expression is a dictionary."""
        value = self.facts.value(table)
        return value is not None and any(isinstance(r, Mapping) for r in value.refs)

    @cached_property
    def lookups(self) -> list[Lookup]:
        """The table reads that flow into a charge, nearest first."""
        return [found for at in self.trace if (found := self.lookup(at)) is not None]

    @cached_property
    def scores(self) -> set[ast.AST]:
        """The expressions that take the score of validation targets."""
        return {e.node for e in self.facts.of(Did.SCORE) if e.bits & VAL}

    @cached_property
    def target_places(self) -> set[ast.AST]:
        """Expressions that hold the targets of the validation scores, before they join the inputs' stream."""
        places: set[ast.AST] = set()
        for event in self.facts.of(Did.SCORE):
            if event.bits & VAL and (target := target_argument(event.node)) is not None:
                places |= copies(self.tracer, At(target))
        return places

    def is_target(self, at: At) -> bool:
        """Whether an expression is a copy or a selection of the targets of a validation score."""
        return bool(copies(self.tracer, at) & self.target_places)

    def certain(self, node: ast.AST) -> bool:
        """Whether a node surely runs under the headline configuration."""
        return self.facts.reaches(node).runs is Runs.YES


@once_per_facts
def charges_of(subject: Subject) -> Charges:
    """The charges of a subject, traced once for all checkers."""
    return Charges(subject.facts, _beside(subject))


def _beside(subject: Subject) -> frozenset[ast.AST]:
    """The places whose scores only other numbers have, where the line of the claimed number is known."""
    found = learning(subject)
    if not found.headline.claimed:
        return frozenset()
    claimed: set[ast.AST] = set()
    printed: set[ast.AST] = set()
    chosen = {r.order for r in found.headline.claimed}
    for report in subject.facts.of(Did.REPORT):
        places = claimed if report.order in chosen else printed
        places |= {e.node for e in found.order.scores(report.bits)}
    return frozenset(printed - claimed)


def uncharged(subject: Subject) -> CheckResult | None:
    """The answer where nothing can be said about charges: unreadable code, or no validation loss in it."""
    if (answer := unreadable(subject.facts)) is not None:
        return answer
    if not charges_of(subject).roots:
        return nothing_to_check("no validation loss is accumulated in the code that runs")
    return None


def _added(node: ast.AST) -> list[ast.AST]:
    """The expressions that a charging statement or call adds."""
    if isinstance(node, (ast.AugAssign, ast.Assign, ast.AnnAssign)) and node.value is not None:
        return [node.value]
    if isinstance(node, ast.Call):
        return [*node.args, *(k.value for k in node.keywords)]
    if isinstance(node, ast.Expr):
        return [node.value]
    return [node] if isinstance(node, ast.expr) else []


def table_and_key(node: ast.AST) -> tuple[ast.AST, ast.AST] | None:
    """The table and the key of a read that has one: ``table[key]``, ``table.get(key)``, ``gather``, ..."""
    if isinstance(node, ast.Subscript):
        plain = isinstance(node.slice, (ast.Slice, ast.Constant))
        return None if plain or not isinstance(node.ctx, ast.Load) else (node.value, node.slice)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LOOKUPS:
        name, args = node.func.attr, node.args
        if name == "get" and args:
            return node.func.value, args[0]
        if name == "take" and len(args) >= 2:
            return args[0], args[1]
        if name != "get" and len(args) >= 3:
            return args[0], args[2]
        if name in ("gather", "index_select") and len(args) == 2:
            return node.func.value, args[1]
        if name == "take" and len(args) == 1:
            return node.func.value, args[0]
    return None


def target_argument(node: ast.AST) -> ast.AST | None:
    """The targets of a score site: the labels of a cross entropy, the index of a gather."""
    if isinstance(node, ast.Subscript):
        return node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
    if not isinstance(node, ast.Call):
        return None
    name = call_name(node)
    named = {k.arg: k.value for k in node.keywords}
    if name == "gather":
        return named.get("index", node.args[-1] if node.args else None)
    if "target" in named:
        return named["target"]
    place = _TARGET_ARGUMENT.get(name)
    return node.args[place] if place is not None and len(node.args) > place else None


VIEWS = words(
    "reshape view flatten unsqueeze squeeze to cpu cuda numpy long int float double astype "
    "contiguous clone detach tolist copy expand expand_as repeat type ravel item transpose t permute "
    "clamp clip clamp_min clamp_ from_numpy tensor as_tensor asarray array ascontiguousarray uint64 "
    "int64 int32 uint32 uint16 intp stack cat concatenate index_select narrow non_blocking pin_memory"
)


def copies(tracer: Tracer, at: At, most: int = 120) -> set[ast.AST]:
    """The places that hold the same values: views, casts, selections, bindings, up to the first "
    "shifted slice."""
    seen: set[ast.AST] = set()
    stack = [at]
    visited: set[At] = set()
    while stack and len(visited) < most:
        here = stack.pop()
        if here in visited:
            continue
        visited.add(here)
        node = here.node
        if isinstance(node, ast.Subscript):
            seen.add(node)
            if not shifted(node):
                stack.append(At(node.value, here.calls))
        elif isinstance(node, ast.Call):
            name = call_name(node)
            if tracer.facts.callees(node):
                stack += tracer.behind(here, choices=False)
            elif name in VIEWS:
                stack += [At(a, here.calls) for a in node.args[:1]]
                stack += [At(node.func.value, here.calls)] if isinstance(node.func, ast.Attribute) else []
        elif isinstance(node, (ast.Name, ast.Attribute, Part)):
            seen |= {s.node for s in tracer.behind(here, choices=False) if isinstance(s.node, ast.Subscript)}
            stack += tracer.behind(here, choices=False)
        elif isinstance(node, (ast.List, ast.Tuple)):
            stack += [At(e, here.calls) for e in node.elts]
        elif isinstance(node, ast.ListComp):
            stack.append(At(node.elt, here.calls))
    return {n for n in seen if isinstance(n, ast.Subscript) and shifted(n)}


def shifted(node: ast.Subscript) -> bool:
    """Whether a subscript reads one place ahead: ``a[1:]``, ``a[i + 1]``, ``a[s + 1 : e + 1]``."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return any(_ahead(p.lower if isinstance(p, ast.Slice) else p) for p in parts if p is not None)


def _ahead(index: ast.AST | None) -> bool:
    if isinstance(index, ast.Constant):
        return isinstance(index.value, int) and index.value >= 1 and not isinstance(index.value, bool)
    if not isinstance(index, ast.BinOp) or not isinstance(index.op, ast.Add):
        return False
    return any(isinstance(p, ast.Constant) and p.value == 1 for p in (index.left, index.right))
