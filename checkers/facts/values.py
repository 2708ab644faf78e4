"""Abstract values: a constant if it is known, the bits it derives from, and the objects it may be.

A value's ``bits`` is an integer used as a set: every source (validation data, training data, a
setting), every event (an update, a score) and every loop iteration owns one bit (``Bits``). Union is
``|``, so a value remembers all it was computed from at the price of one machine operation.
"""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass, field
from typing import Any

from checkers.facts.source import Module

_SERIAL = itertools.count(1)


class _Unknown:
    """The constant that is not known."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        raise TypeError("the truth of an unknown value was used")


UNKNOWN: Any = _Unknown()


class Bits:
    """The register of bits: which integer stands for which source or event."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.index: dict[Any, int] = {}

    def bit(self, key: Any) -> int:
        """The bit of a key, made on first use. Keys are tuples whose first item is their kind."""
        place = self.index.get(key)
        if place is None:
            place = self.index[key] = len(self.keys)
            self.keys.append(key)
        return 1 << place

    def names(self, bits: int) -> list[Any]:
        """The keys of all bits set, in order of creation."""
        found = []
        bits &= (1 << len(self.keys)) - 1  # a complement stands for every key there is
        while bits:
            low = bits & -bits
            found.append(self.keys[low.bit_length() - 1])
            bits ^= low
        return found


# The first bits are the same in every program.
VAL, TRAIN, RAW, GRAD, ARTIFACT, NETWORK, TOKENIZER, LOGP, PATH_VAL, PATH_TRAIN, RANK, SHIPPED, TOKENS = (
    1 << i for i in range(13)
)
HOOKED = 1 << 13  # activations that a hook was given
FIXED = (
    "val",
    "train",
    "raw",
    "grad",
    "artifact",
    "network",
    "tokenizer",
    "logp",
    "path_val",
    "path_train",
    "rank",
    "shipped",
    "tokens",
    "hooked",
)


class Value:
    """One abstract value; immutable by convention and shared freely."""

    __slots__ = ("bits", "const", "refs", "text")

    def __init__(
        self, const: Any = UNKNOWN, bits: int = 0, refs: tuple[Obj, ...] = (), text: tuple[Any, ...] = ()
    ) -> None:
        self.const = const
        self.bits = bits
        self.refs = refs
        self.text = text  # of a formatted string: its literal parts and the bits of what fills the gaps

    def __repr__(self) -> str:
        return f"Value({self.const!r}, bits={self.bits:b}, refs={self.refs})"

    @property
    def known(self) -> bool:
        """Whether the constant is known."""
        return self.const is not UNKNOWN


class Obj:
    """A heap object. ``state`` holds the bits that were written into it."""

    __slots__ = ("birth", "serial", "stamp", "state")

    def __init__(self, birth: tuple[Any, ...] = (), state: int = 0) -> None:
        self.birth = birth
        self.state = state
        self.stamp = 0  # the number of its last change
        self.serial = next(_SERIAL)  # older objects have smaller numbers


class _Null(Obj):
    """``None`` among references. All simulations share it, so nothing stays written in it: what one
    submission does must not show in the facts of the next."""

    __slots__ = ()

    @property
    def state(self) -> int:
        """Always empty."""
        return 0

    @state.setter
    def state(self, bits: int) -> None:
        pass


NOTHING = Value()
NONE = Value(None)
NULL = _Null()  # among the references of a value that may also be None


class Cell(Obj):
    """A tensor, array or other leaf that can be written in place; ``what`` names its maker."""

    __slots__ = ("what",)

    def __init__(self, birth: tuple[Any, ...] = (), state: int = 0, what: str = "") -> None:
        super().__init__(birth, state)
        self.what = what


class Entry(Cell):
    """A tensor of ``state_dict()``: the state as it was asked for; a write into it is one into the model."""

    __slots__ = ("of",)

    def __init__(self, birth: tuple[Any, ...], state: int, of: tuple[Obj, ...]) -> None:
        super().__init__(birth, state)
        self.of = of


class Library(Obj):
    """Something outside the submission, by dotted name (``torch.nn.functional.cross_entropy``)."""

    __slots__ = ("dotted",)

    def __init__(self, dotted: str) -> None:
        super().__init__()
        self.dotted = dotted


class Method(Obj):
    """An attribute of a receiver whose class is not the submission's, about to be called."""

    __slots__ = ("name", "receiver")

    def __init__(self, receiver: Value, name: str) -> None:
        super().__init__()
        self.receiver = receiver
        self.name = name


class Super(Obj):
    """``super()``: the receiver, seen from the bases of the class whose method is running."""

    __slots__ = ("owner", "receiver")

    def __init__(self, owner: Class, receiver: Value) -> None:
        super().__init__()
        self.owner = owner
        self.receiver = receiver


class Env:
    """The names of one running scope and where to look further."""

    __slots__ = ("module", "names", "outer", "parent")

    def __init__(self, module: Module, parent: Env | None) -> None:
        self.module = module
        self.parent = parent
        self.names: dict[str, Value] = {}
        self.outer: dict[str, Env] = {}


class Function(Obj):
    """A function of the submission, with its closure and the receiver it is bound to."""

    __slots__ = ("bound", "defaults", "env", "node", "owner")

    def __init__(
        self,
        node: Any,
        env: Env,
        defaults: dict[str, Value],
        owner: Class | None = None,
        bound: Value | None = None,
    ) -> None:
        super().__init__()
        self.node = node
        self.env = env
        self.defaults = defaults
        self.owner = owner
        self.bound = bound


class Partial(Obj):
    """``functools.partial``."""

    __slots__ = ("args", "function", "keywords")

    def __init__(self, function: Value, args: list[Value], keywords: dict[str, Value]) -> None:
        super().__init__()
        self.function = function
        self.args = args
        self.keywords = keywords


class Class(Obj):
    """A class of the submission."""

    __slots__ = ("attrs", "bases", "node")

    def __init__(self, node: ast.ClassDef, bases: list[Value]) -> None:
        super().__init__()
        self.node = node
        self.bases = bases
        self.attrs: dict[str, Value] = {}

    def find(self, name: str) -> tuple[Value, Class] | None:
        """An attribute of this class or of a base, and the class that has it."""
        if name in self.attrs:
            return self.attrs[name], self
        for base in self.bases:
            for ref in base.refs:
                if isinstance(ref, Class) and ref is not self and (found := ref.find(name)):
                    return found
        return None

    def library_bases(self) -> list[str]:
        """The dotted names of the bases that are not the submission's."""
        found: list[str] = []
        for base in self.bases:
            for ref in base.refs:
                if isinstance(ref, Library):
                    found.append(ref.dotted)
                elif isinstance(ref, Class) and ref is not self:
                    found += ref.library_bases()
        return found


class Instance(Obj):
    """An instance of a class of the submission (``cls``), or of a library's class (``what``)."""

    __slots__ = ("attrs", "cls", "hooks", "what")

    def __init__(self, cls: Class | None, birth: tuple[Any, ...] = (), what: str = "") -> None:
        super().__init__(birth)
        self.cls = cls
        self.what = what
        self.attrs: dict[str, Value] = {}
        self.hooks: list[Value] = []


class Sequence(Obj):
    """A list, tuple or set: its items while they are few and known, and the union of the rest."""

    __slots__ = ("items", "rest")

    def __init__(
        self, items: list[Value] | None, rest: Value | None = None, birth: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(birth)
        self.items = items  # None: number and order unknown
        self.rest = rest


class Mapping(Obj):
    """A dictionary: values under known keys, and the union of all others."""

    __slots__ = ("items", "rest")

    def __init__(self, birth: tuple[Any, ...] = ()) -> None:
        super().__init__(birth)
        self.items: dict[Any, Value] = {}
        self.rest: Value | None = None


class Names(Mapping):
    """The names of a scope as ``globals()`` gives them: a change of it is one of the scope."""

    __slots__ = ()


class ModuleObj(Obj):
    """An imported layer of the submission."""

    __slots__ = ("env",)

    def __init__(self, env: Env) -> None:
        super().__init__()
        self.env = env


def merge(a: Value | None, b: Value | None) -> Value:
    """The value that is one or the other."""
    if a is None or b is None or a is b:
        return a or b or NOTHING
    const = a.const
    if const is not UNKNOWN and not (type(const) is type(b.const) and const == b.const):
        const = UNKNOWN
    refs = a.refs if a.refs == b.refs else tuple(dict.fromkeys((*a.refs, *b.refs)))[:8]
    if (a.const is None) is not (b.const is None):
        refs = (*refs, NULL)
    return Value(const, a.bits | b.bits, refs, a.text or b.text)


def now() -> int:
    """A number between those of the objects made so far and those made from now on."""
    return next(_SERIAL)


def with_const(text: str, bits: int) -> Value:
    """A known string, as a setting gives it."""
    return Value(text, bits)


def flat(value: Value) -> int:
    """The bits of a value and of the objects it may be, not looking inside containers."""
    bits = value.bits
    for ref in value.refs:
        bits |= ref.state
    return bits


def children(obj: Obj) -> list[Value]:
    """The values an object holds."""
    if isinstance(obj, Instance):
        return list(obj.attrs.values())
    if isinstance(obj, (Sequence, Mapping)):
        items = obj.items.values() if isinstance(obj, Mapping) else obj.items or ()
        return [*items, obj.rest] if obj.rest else list(items)
    return []


def closure(value: Value, limit: int = 4000) -> tuple[int, list[Obj]]:
    """All bits below a value and all objects reachable from it (at most ``limit``)."""
    seen: dict[Obj, None] = {}
    bits, stack = value.bits, list(value.refs)
    while stack and len(seen) < limit:
        obj = stack.pop()
        if obj in seen:
            continue
        seen[obj] = None
        bits |= obj.state
        if type(obj) is Cell:  # most of them
            continue
        for child in children(obj):
            bits |= child.bits
            if child.refs:
                stack += child.refs
    return bits, list(seen)


def deep(value: Value) -> int:
    """All bits below a value."""
    return closure(value)[0] if value.refs else value.bits


@dataclass(slots=True)
class Ways:
    """How often a branch test came out true, false and undecided, and the bits that decided it."""

    true: int = 0
    false: int = 0
    open: int = 0
    bits: int = 0


@dataclass(slots=True)
class Counter:
    """Remaining work of the simulation."""

    steps: int = 0
    limit: int = 0
    spent: dict[str, int] = field(default_factory=dict)
