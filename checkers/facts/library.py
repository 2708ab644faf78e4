"""Library calls: a table of effects by the last part of the name, and a default for everything else."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from checkers.facts.calling import Calling
from checkers.facts.values import NOTHING, RAW, Function, Instance, Partial, Value, flat


class Use:
    """One library call: the function's dotted name, or the method's name and its receiver.

    ``name`` is the last part of the dotted name.
    """

    __slots__ = ("args", "dotted", "keywords", "name", "node", "receiver")

    def __init__(
        self,
        dotted: str,
        receiver: Value | None,
        args: list[Value],
        keywords: dict[str, Value],
        node: ast.AST,
    ) -> None:
        self.dotted = dotted
        self.name = dotted.rpartition(".")[2]
        self.receiver = receiver
        self.args = args
        self.keywords = keywords
        self.node = node

    @property
    def everything(self) -> list[Value]:
        """The receiver, if any, then the arguments."""
        return [self.receiver, *self.args] if self.receiver is not None else list(self.args)

    def arg(self, place: int, name: str = "") -> Value | None:
        """An argument by place or name, None when it was not given."""
        if place < len(self.args):
            return self.args[place]
        return self.keywords.get(name)

    def operand(self, place: int) -> Value:
        """``f(x, ...)`` and ``x.f(...)`` alike: the receiver counts as the first argument."""
        every = self.everything
        return every[place] if place < len(every) else NOTHING


Effect = Callable[[Any, Use], Value | None]
EFFECTS: dict[str, Effect] = {}


def effect(*names: str) -> Callable[[Effect], Effect]:
    """Register what calls of these names do. An effect that returns None leaves it to the default."""

    def register(function: Effect) -> Effect:
        for name in names:
            EFFECTS[name] = function
        return function

    return register


class Externals(Calling):
    """The library as seen by the machine."""

    def external(
        self,
        dotted: str,
        receiver: Value | None,
        args: list[Value],
        keywords: dict[str, Value],
        node: ast.AST,
    ) -> Value:
        """The effect of a library call, by its name."""
        use = Use(dotted, receiver, args, keywords, node)
        known = EFFECTS.get(dotted) or EFFECTS.get(use.name)
        if known is not None:
            value = known(self, use)
            if value is not None:
                return value
        return self.unknown_library(use)

    def unknown_library(self, use: Use) -> Value:
        """Anything else: returns what it was given; calls any function it was given; may build an object."""
        bits = self.inputs(use.args, use.keywords) | (flat(use.receiver) if use.receiver else 0)
        for arg in (*use.args, *use.keywords.values()):
            if arg.refs and any(isinstance(r, (Function, Partial)) for r in arg.refs):
                bits |= flat(self.call(arg, [Value(bits=bits)], {}, use.node))
        if use.receiver is None and use.name[:1].isupper():
            return self.build(use, bits)
        return Value(bits=bits & ~RAW)

    def build(self, use: Use, bits: int) -> Value:
        """An instance of a library's class."""
        instance = Instance(None, self.loops, use.dotted)
        if "optim" in use.dotted and "lr_scheduler" not in use.dotted and not use.name.endswith("LR"):
            instance.what = "optimizer"
            instance.attrs["_params"] = use.args[0] if use.args else use.keywords.get("params", NOTHING)
        else:
            instance.state = bits & ~RAW
        return Value(refs=(instance,))
