"""The state of one simulated run, shared by the parts of the machine."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from checkers.facts.conditions import Conditions
from checkers.facts.events import Did, Event
from checkers.facts.memory import Remembered, holders
from checkers.facts.settings import Settings
from checkers.facts.shapes import Shapes
from checkers.facts.source import Module
from checkers.facts.values import (
    FIXED,
    GRAD,
    LOGP,
    PATH_TRAIN,
    PATH_VAL,
    RAW,
    VAL,
    Bits,
    Cell,
    Class,
    Env,
    Function,
    Instance,
    Library,
    Mapping,
    Method,
    Obj,
    Sequence,
    Value,
    Ways,
    now,
)

STEPS = 400_000  # evaluated expressions; a 3,000-line script takes about a tenth
NEVER = 1 << 62
_FIXED = frozenset({Library, Class})  # they hold nothing that a call could find changed
_STAMPED = frozenset({Instance, Mapping, Sequence})
LEARNED = ("update", "count", "write")


class OutOfStepsError(Exception):
    """The simulation was cut off; what was seen until then stands."""


class Frame:
    """One running call."""

    __slots__ = (
        "at_yield",
        "branches",
        "env",
        "exits",
        "function",
        "owner",
        "receiver",
        "returned",
        "roots",
        "start",
        "yielded",
    )

    def __init__(
        self, function: ast.AST | None, env: Env, owner: Any = None, receiver: Value | None = None
    ) -> None:
        self.function = function
        self.env = env
        self.owner = owner
        self.receiver = receiver
        self.returned: Value | None = None
        self.start = now()
        self.yielded: list[Value] = []
        self.at_yield: Callable[[Value], None] | None = None  # of a manager: runs the body of its ``with``
        self.branches: list[dict[str, Value]] = []  # the names when each open branch or iteration began
        self.exits: list[list[dict[str, Value]]] = []  # for each open loop, what left it early had assigned
        self.roots: set[Obj] = set()  # what it read of other scopes


class State:
    """Everything a simulated run knows. The mixins of ``machine`` add how it changes."""

    def __init__(self, modules: tuple[Module, ...], settings: Settings) -> None:
        self.modules = modules
        self.settings = settings
        self.bits = Bits()
        for name in FIXED:
            self.bits.bit(("fixed", name))
        self.events: list[Event] = []
        self.values: dict[
            ast.AST, Value
        ] = {}  # last value of every evaluated name, attribute, call, subscript
        self.seen: set[ast.AST] = set()  # statements run
        self.entered: dict[ast.AST, int] = {}  # functions run, and how often
        self.forced: dict[ast.AST, bool] = {}  # tests whose outcome the log proves
        self.ways: dict[ast.AST, Ways] = {}  # branch tests
        self.callees: dict[ast.AST, set[ast.AST]] = {}
        self.callers: dict[ast.AST, set[ast.AST]] = {}
        self.files: dict[str, int] = {}
        self.environment: dict[str, Value] = {}
        self.loaded: dict[str, Env] = {}
        self.loops: tuple[tuple[ast.AST, int], ...] = ()
        self.calls: tuple[tuple[Module, ast.AST], ...] = ()
        self.frames: list[Frame] = []
        self.managed: dict[ast.AST, Callable[[Value], None]] = {}  # bodies of ``with``, by the manager's call
        self.enclosing: list[Env] = []  # scopes that functions close over
        self.uncertain = 0  # depth of branches that may not be taken
        self.doubtful = 0  # depth of those that hang on an undecided setting
        self.pending = 0  # bits of the losses differentiated since the last update
        self.learned = 0  # mask of the bits that stand for learned state
        self.iterations = 0  # mask of the bits that stand for loop iterations
        self.scores = 0  # mask of the bits that stand for scores
        self.open_settings = 0  # mask of the bits of settings nobody knows
        self.tests: tuple[str, ...] = ()  # the undecided tests whose branches are being run
        self.guard = 0  # iterations on which the branch being run depends
        self.reached = 0  # counts the storage that validation data got into
        self.ranked = 0  # depth of branches that hang on the rank
        self.touched = NEVER  # serial of the oldest object changed by the running call
        self.version = 0  # counts the changes of scopes, classes and all else that bears no stamp
        self.changes = 0  # counts all changes but those of tensors
        self.shapes = Shapes()
        self.weights = 0  # counts the changes of learned state
        self.remembered: dict[Any, Remembered] = {}  # results of calls that changed nothing
        self.writes: list[Any] = []  # of numbers into attributes that held numbers (``replaying``)
        self.stepped = False  # an update followed the last backward pass
        self.cleared: set[int] = set()  # serials of the optimizers zeroed since the last backward pass
        self.named: set[str | None] = set()  # attributes assigned so far, None for one of unknown name
        self.sources: dict[str, str] = {}  # where each setting that was read comes from
        self.forwarded: dict[int, Any] = {}  # models run since the last update
        self.held: list[Obj] = []  # objects whose identity is used in an event
        self.kept: list[Value] = []  # values whose identity is used in a bit
        self._advanced: dict[ast.AST, frozenset[str]] = {}
        self.conditions = Conditions()
        self._read_by: dict[ast.AST, frozenset[str]] = {}  # attributes by the class that reads them
        self.kernels: dict[ast.AST, bool] = {}
        self._cursors: dict[ast.AST, frozenset[str]] = {}
        self.steps = 0
        self.limit = STEPS
        self.complete = True
        self.failure = ""  # the traceback of a defect of ours that cut the simulation off
        self.module: Module = modules[0]
        self._libraries: dict[str, Value] = {}

    def library(self, dotted: str) -> Value:
        """The value that stands for a library's attribute."""
        value = self._libraries.get(dotted)
        if value is None:
            value = self._libraries[dotted] = Value(refs=(Library(dotted),))
        return value

    def touch(self, obj: Obj, quiet: bool = False) -> None:
        """An object is about to change. What was remembered of calls that saw it may no longer hold,
        unless the change is ``quiet``: one number replaced by another.
        """
        serial = obj.serial
        self.touched = min(self.touched, serial)
        if not quiet and not isinstance(obj, (Cell, Method)):
            self.changes += 1
            self.shapes.changed(obj)
            if type(obj) in _STAMPED:
                obj.stamp = self.changes
            else:
                self.version += serial < self.frames[-1].start

    def touch_weights(self) -> None:
        """Learned state is about to change; what a method makes of it is looked up when it is recalled."""
        self.touched = 0
        self.weights += 1
        self.shapes.forget()

    def touch_scope(self) -> None:
        """A name of an outer scope is about to change."""
        self.touched = 0
        self.version += 1
        self.changes += 1

    def note(self, value: Value) -> Value:
        """The running call reads a value of another scope or of a class."""
        refs = value.refs
        if refs and not (len(refs) == 1 and type(refs[0]) in _FIXED):
            self.frames[-1].roots.update(holders(value))
        return value

    def emit(self, kind: Did, node: ast.AST, bits: int, **data: Any) -> Event:
        """Record an event here and now."""
        objects = data.pop("objects", frozenset())
        data.setdefault("ranked", bool(self.ranked))
        event = Event(
            kind,
            len(self.events),
            self.module,
            node,
            bits,
            self.loops,
            self.calls,
            self.doubtful == 0,
            objects,
            data,
        )
        self.events.append(event)
        return event

    def event_bit(self, event: Event) -> int:
        """The bit that values derived from an event carry."""
        bit = self.bits.bit((str(event.kind), event.order))
        if event.kind in LEARNED:
            self.learned |= bit
        return bit

    def score(self, node: ast.AST, bits: int, targets: int, **data: Any) -> Value:
        """A log-probability was taken; ``targets`` are the bits of its targets, as far as they are told."""
        event = self.emit(Did.SCORE, node, bits & ~RAW, targets=targets, **data)
        bit = self.event_bit(event)
        self.scores |= bit
        return Value(bits=(bits & ~(RAW | LOGP)) | bit)

    def iteration_bit(self, loop: ast.AST, number: int) -> int:
        """The bit of what depends on an iteration of a loop."""
        bit = self.bits.bit(("loop", loop, number))
        self.iterations |= bit
        return bit

    def here(self) -> int:
        """The bits of what may differ in every iteration of the loops around this place."""
        bits = 0
        for loop, number in self.loops:
            bits |= self.iteration_bit(loop, number)
        return bits

    def weights_only(self, bits: int) -> int:
        """What remains of bits when they are stored in weights: learned state, not the data itself."""
        return bits & (self.learned | ARTIFACT_OR_RANK)

    def eval(self, node: ast.AST) -> Value:
        """Evaluate an expression (``expressions``)."""
        raise NotImplementedError

    def call(self, function: Value, args: list[Value], keywords: dict[str, Value], node: ast.AST) -> Value:
        """Call a value (``calling``)."""
        raise NotImplementedError

    def run_block(self, body: list[ast.stmt]) -> bool:
        """Run statements; True when control leaves the block before its end (``statements``)."""
        raise NotImplementedError

    def run_iteration(self, body: list[ast.stmt]) -> None:
        """Run a loop's body once (``statements``)."""
        raise NotImplementedError

    def enter(
        self, function: Function, args: list[Value], keywords: dict[str, Value], node: ast.AST
    ) -> Value:
        """Run a function of the submission (``calling``)."""
        raise NotImplementedError

    def external(
        self,
        dotted: str,
        receiver: Value | None,
        args: list[Value],
        keywords: dict[str, Value],
        node: ast.AST,
    ) -> Value:
        """The effect of a library call (``library``)."""
        raise NotImplementedError


ARTIFACT_OR_RANK = (1 << FIXED.index("artifact")) | (1 << FIXED.index("rank")) | (1 << FIXED.index("network"))
DATA = VAL | RAW | GRAD | PATH_VAL | PATH_TRAIN
