"""Calls: functions of the submission are run inline, classes instantiated, libraries looked up."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from checkers.facts.expressions import HANDLERS
from checkers.facts.folding import with_bits
from checkers.facts.heap import Heap
from checkers.facts.managing import is_manager
from checkers.facts.memory import HandingOut, Remembered, holders, kept
from checkers.facts.replaying import Stored, again, stored
from checkers.facts.source import Module
from checkers.facts.state import NEVER, Frame
from checkers.facts.statements import EXIT
from checkers.facts.values import (
    HOOKED,
    NONE,
    NOTHING,
    NULL,
    RAW,
    UNKNOWN,
    VAL,
    Cell,
    Class,
    Env,
    Function,
    Instance,
    Library,
    Mapping,
    Method,
    Obj,
    Partial,
    Sequence,
    Super,
    Value,
    flat,
    merge,
    now,
)

_DEEPEST = 60  # calls inside calls
_MOST_SELF = 2  # of the same function inside itself
_PARTS = frozenset({"named_parameters", "named_modules", "named_children", "named_buffers", "state_dict"})
_EXITS = frozenset({"sys.exit", "os._exit", "builtins.exit", "builtins.quit"})


class Calling(Heap):
    """The caller."""

    def _call(self, node: ast.Call) -> Value:
        called = node.func
        if type(called) is ast.Name and called.id == "super":
            return self._super()
        function = self.eval(called)
        args: list[Value] = []
        for arg in node.args:
            if type(arg) is ast.Starred:
                args += self.iterate(self.eval(arg.value))[0]
            else:
                args.append(self.eval(arg))
        keywords: dict[str, Value] = {}
        for keyword in node.keywords:
            self._keyword(keyword, keywords)
        return self.call(function, args, keywords, node)

    def _keyword(self, keyword: ast.keyword, keywords: dict[str, Value]) -> None:
        value = self.eval(keyword.value)
        if keyword.arg is not None:
            keywords[keyword.arg] = value
            return
        for ref in value.refs:
            if isinstance(ref, Mapping):
                keywords.update({k: v for k, v in ref.items.items() if isinstance(k, str)})
                if ref.rest is not None:
                    keywords["**"] = ref.rest

    def _super(self) -> Value:
        for frame in reversed(self.frames):
            if frame.owner is not None and frame.receiver is not None:
                return Value(refs=(Super(frame.owner, frame.receiver),))
        return NOTHING

    def call(self, function: Value, args: list[Value], keywords: dict[str, Value], node: ast.AST) -> Value:
        """Call a value: every function it may be, results joined."""
        result: Value | None = None
        for ref in function.refs:
            if ref is not NULL:
                value = self._dispatch(ref, args, keywords, node)
                result = value if result is None else merge(result, value)
        if result is None:
            return self.opaque(function, args, keywords, node)
        bits = function.bits & ~RAW
        if not bits or result is EXIT or _hands_out_parts(function):
            return result
        return with_bits(result, bits)

    def _dispatch(self, ref: Any, args: list[Value], keywords: dict[str, Value], node: ast.AST) -> Value:
        if isinstance(ref, Function):
            return self.enter(ref, args, keywords, node)
        if isinstance(ref, Library):
            if ref.dotted in _EXITS:
                return EXIT
            return self.external(ref.dotted, None, args, keywords, node)
        if isinstance(ref, Method):
            return self.external(ref.name, ref.receiver, args, keywords, node)
        if isinstance(ref, Class):
            return self._instantiate(ref, args, keywords, node)
        if isinstance(ref, Partial):
            return self.call(ref.function, [*ref.args, *args], {**ref.keywords, **keywords}, node)
        if isinstance(ref, Instance):
            return self._call_instance(ref, args, keywords, node)
        return Value(bits=ref.state | self.inputs(args, keywords))

    def opaque(self, function: Value, args: list[Value], keywords: dict[str, Value], node: ast.AST) -> Value:
        """A call of something unknown: it may call any function it is given, and returns anything."""
        bits = flat(function) | self.inputs(args, keywords)
        for arg in (*args, *keywords.values()):
            if arg.refs and any(isinstance(r, (Function, Partial)) for r in arg.refs):
                bits |= flat(self.call(arg, [Value(bits=bits)], {}, node))
        return Value(bits=bits & ~RAW)

    def inputs(self, args: list[Value], keywords: dict[str, Value]) -> int:
        """The union of the sources of all arguments, looking into containers."""
        bits = 0
        for value in args:
            bits |= self.content(value) if value.refs else value.bits
        for value in keywords.values():
            bits |= self.content(value) if value.refs else value.bits
        return bits

    def enter(
        self, function: Function, args: list[Value], keywords: dict[str, Value], node: ast.AST
    ) -> Value:
        """Run a function of the submission inline, or recall what it returned before."""
        target = function.node
        if isinstance(node, ast.Call):
            self.callees.setdefault(node, set()).add(target)
            self.callers.setdefault(target, set()).add(node)
        running = [frame.function for frame in self.frames]
        if len(running) > _DEEPEST or running.count(target) >= _MOST_SELF:
            return Value(bits=self.inputs(args, keywords) & ~RAW)
        kernel = self.kernels.get(target)
        if kernel is None:
            kernel = self.kernels[target] = _is_kernel(target)
        if kernel:
            return self._kernel(args, keywords)
        env = Env(function.env.module, function.env)
        if function.bound is not None:
            args = [function.bound, *args]
        body = self.managed.pop(node, None) if node in self.managed and is_manager(target) else None
        key = self._key(function, args, keywords) if body is None else None
        known = self.remembered.get(key)
        if known is not None and known.holds(self.changes, self.weights):
            given = (*args, *keywords.values())
            inputs = [self._input(value) for value in given]
            if known.covers(inputs, self.scores):
                handing = HandingOut(known, given, inputs, self.learned, self.loops)
                if again(known.stored, given, handing, self.writes):
                    self.frames[-1].roots |= known.roots
                    return handing.value(known.result)
        self._bind_arguments(function, env, args, keywords)
        start, events, touched, writes = now(), len(self.events), self.touched, len(self.writes)
        self.touched = NEVER
        result, read = self._run(function, env, node, body)
        if key is not None and self.touched > start and len(self.events) == events and _simple(result):
            given = (*args, *keywords.values())
            numbers = stored(self.writes[writes:], given, start)
            if numbers is not None:
                self._remember(key, function, given, kept(result, given, start), read, numbers)
        self.touched = min(touched, self.touched)
        return result

    def _remember(
        self,
        key: Any,
        function: Function,
        given: tuple[Value, ...],
        result: Value,
        read: set[Obj],
        numbers: tuple[Stored, ...],
    ) -> None:
        """Keep the result of a call together with what it may have read and what it stored."""
        roots = set(read)
        for value in given:
            roots.update(o for o in holders(value) if type(o) is not Cell and self._like(o) is o)
        free = function.bound is None and (bool(read) or any(_leads_on(v) for v in given))
        inputs, weights = [self.content(value) for value in given], self.weights if free else None
        self.remembered[key] = Remembered(inputs, result, frozenset(roots), self.changes, weights, numbers)

    def _kernel(self, args: list[Value], keywords: dict[str, Value]) -> Value:
        """A device kernel writes into the buffers that its caller made for it."""
        bits = self.inputs(args, keywords) & ~RAW
        start = self.frames[-1].start
        for value in (*args, *keywords.values()):
            for ref in value.refs:
                if isinstance(ref, Cell) and ref.serial > start:
                    ref.state |= bits
        return Value(bits=bits)

    def _key(self, function: Function, args: list[Value], keywords: dict[str, Value]) -> Any:
        """What a call's result depends on, but for the sources of its inputs; None when too much."""
        parts: list[Any] = [function.node, function.env, self.version, bool(self.uncertain)]
        for value in (*args, *keywords.values()):
            const, refs = value.const, value.refs
            known = const is not UNKNOWN
            if known and not (const is None or isinstance(const, (int, float, str))):
                return None
            parts.append(tuple([self._like(r) for r in refs]) if refs else ())
            parts.append((type(const), const) if known else None)
        return (*parts, *keywords)

    def _like(self, ref: Any) -> Any:
        """What makes two arguments the same: of modules the structure; what they learned is looked up."""
        if type(ref) is Cell:
            return Cell
        if isinstance(ref, Instance) and ref.cls is not None and self.is_model(ref):
            return self.shapes.of(ref, self.learned)
        return _identity(ref)

    def _input(self, value: Value) -> int:
        """The sources of an argument, with what a model has learned."""
        if not value.refs:
            return value.bits & ~RAW
        bits = self.content(value) & ~RAW
        return bits | self.learned_in(value) if any(isinstance(r, Instance) for r in value.refs) else bits

    def _bind_arguments(
        self, function: Function, env: Env, args: list[Value], keywords: dict[str, Value]
    ) -> None:
        spec = function.node.args
        names, every = _parameters(spec)
        bound = dict(function.defaults)
        for default in function.defaults.values():
            if default.refs:
                self.note(default)
        bound.update(zip(names, args, strict=False))
        others = Mapping()
        for name, value in keywords.items():
            if name in every:
                bound[name] = value
            elif name == "**":
                for missing in every:
                    bound.setdefault(missing, value)
            else:
                others.items[name] = value
        for name in every:
            env.names[name] = bound.get(name, NOTHING)
        if spec.vararg is not None:
            env.names[spec.vararg.arg] = Value(refs=(Sequence(args[len(names) :]),))
        if spec.kwarg is not None:
            env.names[spec.kwarg.arg] = Value(refs=(others,))

    def _run(
        self, function: Function, env: Env, node: ast.AST, at_yield: Callable[[Value], None] | None
    ) -> tuple[Value, set[Obj]]:
        """Run a function's body; its result, and what it read of other scopes."""
        target = function.node
        frame = Frame(target, env, function.owner, function.bound)
        frame.at_yield = at_yield
        if function.bound is not None and getattr(target, "name", "") == "__init__":
            frame.start = min((r.serial for r in function.bound.refs), default=frame.start) - 1
        self.entered[target] = self.entered.get(target, 0) + 1
        self.frames.append(frame)
        module, calls = self.module, self.calls
        self.calls = (*calls, (module, node))
        self.module = env.module
        try:
            if isinstance(target, ast.Lambda):
                return self.eval(target.body), frame.roots
            self.run_block(target.body)
        finally:
            self.frames.pop()
            self.frames[-1].roots |= frame.roots
            self.module, self.calls = module, calls
        if frame.yielded:
            whole = frame.yielded[0]
            for other in frame.yielded[1:]:
                whole = merge(whole, other)
            return Value(refs=(Sequence(None, Value(UNKNOWN, whole.bits, whole.refs)),)), frame.roots
        return (frame.returned if frame.returned is not None else NONE), frame.roots

    def _bound(self, found: Any, ref: Instance) -> Value:
        value, owner = found
        return self._bind(value, owner, Value(refs=(ref,)))

    def _instantiate(self, cls: Class, args: list[Value], keywords: dict[str, Value], node: ast.AST) -> Value:
        instance = Instance(cls, self.loops)
        bases = cls.library_bases()
        if any(b.rpartition(".")[2] == "Optimizer" or ".optim." in b for b in bases):
            instance.what = "optimizer"
            instance.attrs["_params"] = args[0] if args else keywords.get("params", NOTHING)
        elif any(b.startswith("torch.nn") or b.endswith("nn.Module") for b in bases):
            instance.what = "module"
        value = Value(refs=(instance,))
        found = cls.find("__init__")
        if found:
            self.call(self._bound(found, instance), args, keywords, node)
        else:
            self._fill_fields(cls, instance, args, keywords)
        if instance.what == "optimizer" and not instance.attrs["_params"].refs:
            instance.attrs["_params"] = Value(refs=tuple(r for a in args for r in a.refs))
        return value

    def _fill_fields(
        self, cls: Class, instance: Instance, args: list[Value], keywords: dict[str, Value]
    ) -> None:
        """A class without a constructor: a dataclass, or one whose base stores what it is given."""
        fields = [
            s.target.id
            for s in cls.node.body
            if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
        ]
        instance.attrs.update(zip(fields, args, strict=False))
        instance.attrs.update({k: v for k, v in keywords.items() if k != "**"})
        if post := cls.find("__post_init__"):
            self.call(self._bound(post, instance), [], {}, post[0].refs[0].node)  # type: ignore[attr-defined]

    def _call_instance(
        self, ref: Instance, args: list[Value], keywords: dict[str, Value], node: ast.AST
    ) -> Value:
        found = ref.cls and (ref.cls.find("__call__") or ref.cls.find("forward"))
        if ref.what == "module" or ref.what.startswith("torch.nn"):
            self.forwarded[id(ref)] = ref
        own = ref.attrs.get("forward") if ref.what == "module" else None  # put in the place of the method
        if own is not None and any(isinstance(r, Function) for r in own.refs):
            result = self.call(own, args, keywords, node)
        elif found:
            result = self.call(self._bound(found, ref), args, keywords, node)
        else:
            result = self.external(ref.what or "call", Value(refs=(ref,)), args, keywords, node)
            result = with_bits(result, ref.state)
        for hook in ref.hooks[:4]:
            seen = self.inputs(args, keywords) & ~RAW
            if seen & VAL and not seen & self.scores:
                seen |= HOOKED  # activations: what becomes of them is no choice by a score
            inputs = Value(bits=seen)
            self.call(hook, [Value(refs=(ref,)), Value(refs=(Sequence([inputs]),)), result], {}, node)
        return result

    def run_module(self, module: Module, env: Env) -> None:
        """Run the statements of a layer in a name space."""
        previous = self.module
        self.module = module
        self.frames.append(Frame(module.tree, env))
        try:
            self.run_block(module.tree.body)
        finally:
            self.frames.pop()
            self.module = previous


HANDLERS[ast.Call] = Calling._call


def _parameters(spec: ast.arguments) -> tuple[list[str], dict[str, None]]:
    """The names of the parameters given by place, and of all but the starred ones, in order."""
    names = [a.arg for a in spec.posonlyargs] + [a.arg for a in spec.args]
    every = dict.fromkeys(names)  # a set has no order
    for arg in spec.kwonlyargs:
        every[arg.arg] = None
    return names, every


def _is_kernel(node: Any) -> bool:
    """Whether a function is compiled for the device and cannot be followed as Python."""
    return any(
        "jit" in ast.dump(d) and "script" not in ast.dump(d) for d in getattr(node, "decorator_list", ())
    )


def _hands_out_parts(function: Value) -> bool:
    """Whether a call gives named parts of a model: these hold its state, their names do not depend on it."""
    return all(isinstance(r, Method) and r.name in _PARTS for r in function.refs)


def _leads_on(value: Value) -> bool:
    """Whether a value may lead to learned state that a recalled call does not look up anew."""
    return any(isinstance(r, (Sequence, Mapping, Function, Method, Partial)) for r in value.refs)


def _identity(ref: Any) -> Any:
    """What makes two arguments the same for a function that only reads them."""
    if isinstance(ref, Cell):
        return Cell
    if isinstance(ref, Method):
        return ref.name, tuple(_identity(r) for r in ref.receiver.refs)
    if isinstance(ref, Function) and ref.bound is not None:
        return ref.node, tuple(_identity(r) for r in ref.bound.refs)
    if isinstance(ref, Sequence) and ref.rest is None and ref.items is not None and len(ref.items) < 8:
        return tuple(tuple(map(_identity, i.refs)) or repr(i.const) for i in ref.items)
    return ref


def _simple(value: Value) -> bool:
    """Whether a result may be handed out again: numbers, or a few of them."""
    for ref in value.refs:
        if isinstance(ref, Sequence) and ref.rest is None and ref.items is not None and len(ref.items) < 8:
            if not all(_simple(i) for i in ref.items):
                return False
        elif type(ref) is not Cell and ref is not NULL:
            return False
    return True
