"""The facts of one submission, gathered once and asked by every static checker."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

from checkers.facts import place
from checkers.facts.events import Did, Event
from checkers.facts.flow import Flow
from checkers.facts.machine import Machine, simulate
from checkers.facts.proof import Printed, printed_lines
from checkers.facts.settings import Settings, resolve
from checkers.facts.silence import Silence, claimed_output
from checkers.facts.source import Module, dotted_name, parse
from checkers.facts.values import UNKNOWN, VAL, Value
from checkers.finding import Location
from harness.logs import LogBook
from harness.submission import Submission
from harness.unpack import Layer


class Runs(StrEnum):
    """Whether code runs under the headline configuration."""

    YES = "yes"
    MAYBE = "maybe"  # the simulation was cut off, or an undecided setting leads here
    NO = "no"


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether a node runs, and how that is known, in words for a report."""

    runs: Runs
    why: str

    def __bool__(self) -> bool:
        return self.runs is not Runs.NO


@dataclass(frozen=True)
class Facts:
    """Parsed layers, the simulated run over them, and questions about both.

    ``modules`` holds every layer, parsed or not; ``machine`` is None when no layer could be parsed.
    ``output`` is what the claimed run printed, "" where that is not known.
    """

    modules: tuple[Module, ...]
    settings: Settings
    machine: Machine | None
    output: str = ""

    @property
    def problems(self) -> dict[str, str]:
        """Layers nobody could parse, and why."""
        return {m.layer.name: m.problem for m in self.modules if m.problem}

    @property
    def complete(self) -> bool:
        """Whether the simulation reached the end of the program."""
        return self.machine is not None and self.machine.complete

    @property
    def failure(self) -> str:
        """The error of ours that cut the simulation off, "" when there was none."""
        trace = self.machine.failure if self.machine else ""
        return trace.strip().rpartition("\n")[2]

    @property
    def events(self) -> list[Event]:
        """What the simulated run did, in order."""
        return self.machine.events if self.machine else []

    def of(self, *kinds: Did) -> list[Event]:
        """The events of some kinds, in order."""
        return [e for e in self.events if e.kind in kinds]

    def value(self, node: ast.AST) -> Value | None:
        """The last abstract value of an evaluated expression, None when it was never evaluated."""
        return self.machine.values.get(node) if self.machine else None

    def constant(self, node: ast.AST) -> Any:
        """The constant an expression has under the headline configuration, or ``UNKNOWN``."""
        if isinstance(node, ast.Constant):
            return node.value
        value = self.value(node)
        return UNKNOWN if value is None else value.const

    def keys(self, bits: int) -> list[Any]:
        """What bits stand for: ``("fixed", "val")``, ``("update", 12)``, ``("setting", "TTT_LR")``, ..."""
        return self.machine.bits.names(bits) if self.machine else []

    def sources(self, node: ast.AST) -> frozenset[str]:
        """The kinds of thing an expression's value derives from: ``val``, ``train``, ``score``, ..."""
        value = self.value(node)
        if value is None or self.machine is None:
            return frozenset()
        bits = value.bits
        for ref in value.refs:
            bits |= ref.state
        return frozenset(str(k[1] if k[0] == "fixed" else k[0]) for k in self.keys(bits))

    def callees(self, call: ast.Call) -> set[ast.AST]:
        """The functions of the submission that a call ran."""
        return self.flow.callees(call)

    def callers(self, function: ast.AST) -> set[ast.AST]:
        """The calls that ran a function."""
        return self.flow.callers(function)

    @cached_property
    def flow(self) -> Flow:
        """Backward slices over the code that runs."""
        return Flow(self.modules, self.machine)

    def module_of(self, node: ast.AST) -> Module:
        """The module that holds a node.

        Raises:
            KeyError: the node belongs to none.
        """
        return self.flow.module_of(node)

    def place(self, node: ast.AST, caption: str = "") -> Location:
        """Where a node is, for a finding."""
        return place.locate(self.module_of(node), node, caption)

    def dotted(self, node: ast.AST) -> str:
        """The library name that an expression stands for, aliases resolved; "" when it is none."""
        name = dotted_name(node)
        if not name:
            return ""
        module = self.module_of(node)
        first, _, rest = name.partition(".")
        found = module.scope_of(node).lookup(first)
        if found is None:
            return name
        imported = [b.dotted for b in found[1] if b.how == "import"]
        return f"{imported[0]}.{rest}".rstrip(".") if imported else ""

    def reaches(self, node: ast.AST) -> Reach:
        """Whether a node runs under the headline configuration, and how that is known."""
        machine = self.machine
        if machine is None:
            return Reach(Runs.MAYBE, "nothing could be simulated")
        module = self.module_of(node)
        for outer in (node, *module.ancestors(node)):
            if isinstance(outer, ast.stmt):
                if outer in machine.seen:
                    return self._decided(node, outer, module)
                return self._never(outer, module)
        return Reach(Runs.MAYBE, "outside every statement")

    def runs(self, node: ast.AST) -> bool:
        """Whether a node may run: the answer of ``reaches`` without its words, which cost much more."""
        return self.flow.runs(node)

    def _decided(self, node: ast.AST, statement: ast.stmt, module: Module) -> Reach:
        """A statement that ran; a part of it may still be in the arm of an expression not taken."""
        tests = self._tests_above(statement, module)
        words = "; ".join(tests[:3])
        if unheard := self._silence.around(statement):
            why = f"{words or 'it runs by default'}; but the log of the claimed run has no line “{unheard}”"
            return Reach(Runs.MAYBE, why)
        return Reach(Runs.YES, words or "runs unconditionally from the entry point")

    @cached_property
    def _silence(self) -> Silence:
        return Silence(self.output, self.flow)  # asking these facts would keep them and the trees in a cycle

    def _tests_above(self, statement: ast.AST, module: Module) -> list[str]:
        assert self.machine is not None
        found = []
        for outer in module.ancestors(statement):
            ways = self.machine.ways.get(getattr(outer, "test", None))  # type: ignore[arg-type]
            if ways is not None and not ways.open and isinstance(outer, (ast.If, ast.While)):
                settings = self.settings_behind(ways.bits)
                if settings:
                    found.append(f"`{place.excerpt(outer)}` is {bool(ways.true)}: {settings}")
        return found

    def settings_behind(self, bits: int) -> str:
        """The settings among bits, with their values' origin, in words."""
        assert self.machine is not None
        names = [k[1] for k in self.keys(bits) if k[0] == "setting"]
        return ", ".join(f"{n} ({self.machine.sources.get(n, 'unknown')})" for n in names[:4])

    def _never(self, statement: ast.stmt, module: Module) -> Reach:
        assert self.machine is not None
        if not self.machine.complete:
            return Reach(Runs.MAYBE, "the simulation was cut off before it could get here")
        function = module.function_of(statement)
        if function is not None and function not in self.machine.entered:
            return Reach(Runs.NO, f"{module.qualified(statement)} is never called")
        for outer in module.ancestors(statement):
            ways = self.machine.ways.get(getattr(outer, "test", None))  # type: ignore[arg-type]
            if ways is not None and not ways.open:
                why = f"`{place.excerpt(outer)}` is {bool(ways.true)}"
                settings = self.settings_behind(ways.bits)
                return Reach(Runs.NO, f"{why}: {settings}" if settings else why)
        return Reach(Runs.NO, "control never gets here")


def collect(submission: Submission, layers: Iterable[Layer], logs: LogBook) -> Facts:
    """Parse the layers and simulate the entry script. Never raises on what a submission contains.

    Equal layers under equal settings give the same facts; the last few are remembered. Where the first
    command is a dry run, or fills a cache, the first that prints a score is followed.
    """
    ways = dict.fromkeys(_Frozen(settings) for settings in resolve(submission, logs))
    shown, output = printed_lines(logs), claimed_output(submission, logs)
    every = (
        _collect(tuple(layers), way, shown if way.settings.printed else Printed(), output) for way in ways
    )
    first = next(every)
    if first.machine is None or not first.complete or _prints_a_score(first):
        return first
    return next((facts for facts in every if _prints_a_score(facts)), first)


def _prints_a_score(facts: Facts) -> bool:
    scores = facts.machine.scores if facts.machine else 0
    return any(e.bits & VAL and e.bits & scores for e in facts.of(Did.REPORT))


class _Frozen:
    """Settings as a cache key: equal when all they say is equal."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        parts = (settings.environment, settings.printed, settings.options)
        self.key = (*(tuple(sorted((n, k.text) for n, k in p.items())) for p in parts), settings.world_size)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and self.key == other.key


@lru_cache(maxsize=4)
def _collect(layers: tuple[Layer, ...], frozen: _Frozen, printed: Printed, output: str) -> Facts:
    texts: set[str] = set()
    modules = []
    for layer in layers:
        modules.append(parse(layer, layer.lowered not in texts))
        texts.add(layer.lowered)
    parsed = tuple(m for m in modules if not m.problem)
    machine = simulate(parsed, frozen.settings, printed) if parsed else None
    return Facts(tuple(modules), frozen.settings, machine, output)
