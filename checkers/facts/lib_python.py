"""What Python itself does: constructors, strings, partials, reflection, threads."""

from __future__ import annotations

import ast
from typing import Any

from checkers.facts.events import Did
from checkers.facts.folding import MOST_ITEMS
from checkers.facts.library import Use, effect
from checkers.facts.values import (
    NONE,
    NOTHING,
    RAW,
    UNKNOWN,
    Function,
    Instance,
    Names,
    Partial,
    Sequence,
    Value,
    flat,
    merge,
)

_STRING = frozenset(
    [
        "lower",
        "upper",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "rsplit",
        "splitlines",
        "startswith",
        "endswith",
        "replace",
        "join",
        "format",
        "title",
        "partition",
        "rpartition",
        "isdigit",
        "casefold",
        "zfill",
        "removeprefix",
        "removesuffix",
    ]
)
_MODULE_FLAGS = frozenset({"training", "requires_grad", "bias", "is_cuda", "inplace", "batch_first"})
_CONVERT: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool, "abs": abs, "round": round}


@effect(*_STRING)
def _string(machine: Any, use: Use) -> Value | None:
    """Methods of known strings are computed."""
    receiver = use.receiver
    if receiver is None or not isinstance(receiver.const, (str, bytes)):
        if receiver is not None and receiver.text and use.name in ("strip", "format"):
            return receiver
        return None
    if not all(a.known and isinstance(a.const, (str, int, tuple)) for a in use.args) or use.keywords:
        return Value(bits=receiver.bits | machine.inputs(use.args, use.keywords) & ~RAW)
    try:
        result = getattr(receiver.const, use.name)(*[a.const for a in use.args])
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    bits = receiver.bits | machine.inputs(use.args, {})
    if isinstance(result, list):
        return Value(bits=bits, refs=(Sequence([Value(r, bits) for r in result[:MOST_ITEMS]]),))
    return Value(result, bits)


@effect(
    "builtins.int",
    "builtins.float",
    "builtins.str",
    "builtins.bool",
    "builtins.abs",
    "builtins.round",
    "int",
    "float",
    "str",
    "bool",
    "abs",
    "round",
)
def _convert(machine: Any, use: Use) -> Value | None:
    if use.receiver is not None:
        return None if use.name not in ("float", "int", "bool", "abs", "round") else use.receiver
    value = use.operand(0)
    if not use.args:
        return Value(_CONVERT[use.name]() if use.name not in ("abs", "round") else UNKNOWN)
    if value.known and isinstance(value.const, (str, int, float, bool)) and len(use.args) == 1:
        try:
            return Value(_CONVERT[use.name](value.const), value.bits)
        except (TypeError, ValueError, OverflowError):
            return _whole(value)
    return Value(bits=flat(value) & ~RAW, text=value.text)


def _whole(value: Value) -> Value:
    """``int("20.0")`` of a logged number: the run had a whole one."""
    try:
        number = float(value.const)
    except (TypeError, ValueError):
        return Value(bits=value.bits)
    return Value(int(number), value.bits) if number.is_integer() else Value(bits=value.bits)


@effect("len", "isinstance", "issubclass", "hasattr", "callable", "id", "hash", "type", "dir", "vars_of")
def _about(machine: Any, use: Use) -> Value | None:
    if use.receiver is not None:
        return None
    if use.name == "len":
        return _length(use.operand(0))
    if use.name == "type":
        classes = tuple(r.cls for r in use.operand(0).refs if isinstance(r, Instance) and r.cls)
        return Value(refs=classes)
    if use.name == "hasattr" and len(use.args) > 1:
        return _has(use.args[0], use.args[1])
    return NOTHING


def _length(value: Value) -> Value:
    if isinstance(value.const, (str, bytes, tuple)):
        return Value(len(value.const), value.bits)
    if len(value.refs) == 1:
        ref = value.refs[0]
        if isinstance(ref, Sequence) and ref.items is not None and ref.rest is None:
            return Value(len(ref.items))
    return NOTHING


def _has(value: Value, name: Value) -> Value:
    for ref in value.refs:
        if not isinstance(ref, Instance) or ref.cls is None or not isinstance(name.const, str):
            continue
        if name.const in ref.attrs or ref.cls.find(name.const):
            return Value(True)
    return NOTHING


@effect("map", "filter", "starmap", "reduce", "submit", "apply_async", "run_in_executor", "vmap", "tree_map")
def _map(machine: Any, use: Use) -> Value | None:
    function, *rest = use.args or [NOTHING]
    if not function.refs or not any(isinstance(r, (Function, Partial)) for r in function.refs):
        return None
    if use.name == "submit":
        produced: Value = machine.call(function, rest, use.keywords, use.node)
        return produced
    items = [machine.iterate(a)[0] for a in rest]
    first = [i[0] if i else NOTHING for i in items]
    result = machine.call(function, first, {}, use.node)
    whole = first[0] if use.name == "filter" and first else result
    return Value(refs=(Sequence(None, whole),))


@effect("field", "dataclasses.field")
def _field(machine: Any, use: Use) -> Value | None:
    """A field of a dataclass: its default, or what its factory makes."""
    if use.receiver is not None or use.args:
        return None
    factory = use.keywords.get("default_factory")
    if factory is not None:
        made: Value = machine.call(factory, [], {}, use.node)
        return made
    return use.keywords.get("default", NOTHING)


@effect("partial", "partialmethod")
def _partial(machine: Any, use: Use) -> Value | None:
    if not use.args:
        return None
    return Value(refs=(Partial(use.args[0], use.args[1:], dict(use.keywords)),))


@effect("getattr", "attrgetter")
def _getattr(machine: Any, use: Use) -> Value | None:
    if len(use.args) < 2:
        return None
    name = use.args[1].const
    if isinstance(name, str):
        if len(use.args) > 2 and _never_set(machine, use.args[0], name, use.args[2]):
            return use.args[2]
        found: Value = machine.attribute(use.args[0], name)
        missing = any(isinstance(r, Instance) and name not in r.attrs for r in use.args[0].refs)
        return merge(found, use.args[2]) if len(use.args) > 2 and missing and not found.refs else found
    whole = Value(bits=flat(use.args[0]))
    for ref in use.args[0].refs:
        for value in getattr(ref, "attrs", {}).values():
            whole = merge(whole, value)
    return whole


def _never_set(machine: Any, base: Value, name: str, default: Value) -> bool:
    """Whether a flag that is off by default has been given to no object at all.

    To no object at all, because a part of a model stands for the model when modules are walked.
    """
    if default.const is not False or name in _MODULE_FLAGS or machine.named & {name, None}:
        return False
    return bool(base.refs) and all(
        isinstance(r, Instance) and r.cls and name not in r.attrs and not r.cls.find(name) for r in base.refs
    )


@effect("setattr")
def _setattr(machine: Any, use: Use) -> Value:
    if len(use.args) == 3 and not isinstance(use.args[1].const, str):
        machine.named.add(None)
    if len(use.args) == 3 and isinstance(use.args[1].const, str):
        target = ast.Attribute(value=ast.Name("_"), attr=use.args[1].const, ctx=ast.Store())
        machine.set_attribute(use.args[0], ast.copy_location(target, use.node), use.args[2])
    return NONE


@effect("globals", "locals")
def _globals(machine: Any, use: Use) -> Value:
    env = machine.frames[-1].env
    while use.name == "globals" and env.parent is not None:
        env = env.parent
    machine.touched = 0  # a call that reads its scope as a whole is not remembered
    mapping = Names()
    mapping.items = env.names
    return Value(refs=(mapping,))


@effect("min", "max")
def _extreme(machine: Any, use: Use) -> Value | None:
    if use.receiver is not None:
        return None
    if all(a.known and isinstance(a.const, (int, float)) for a in use.args) and len(use.args) > 1:
        pick = min if use.name == "min" else max
        return Value(pick(a.const for a in use.args), machine.inputs(use.args, {}))
    parts = [machine.content(a) for a in use.args]
    bits = machine.inputs(use.args, {}) & ~RAW
    if use.name == "min" and sum(bool(p & machine.scores) for p in parts) >= min(2, len(parts)):
        event = machine.emit(Did.BEST, use.node, parts[0] | parts[-1], parts=tuple(parts))
        bits |= machine.event_bit(event)
    return Value(bits=bits)


@effect("exec", "eval", "execfile", "run_path")
def _exec(machine: Any, use: Use) -> Value | None:
    if use.receiver is None:
        machine.run_payload(use.node)
    return NOTHING


@effect("exec_module")
def _exec_module(machine: Any, use: Use) -> Value:
    machine.run_loaded()
    return NONE


@effect("spec_from_file_location")
def _spec(machine: Any, use: Use) -> Value:
    spec = Instance(None, machine.loops, "spec")
    spec.attrs["_path"] = use.arg(1, "location") or NOTHING
    return Value(refs=(spec,))


@effect("module_from_spec")
def _module(machine: Any, use: Use) -> Value | None:
    specs = [r for r in use.operand(0).refs if isinstance(r, Instance) and r.what == "spec"]
    found: Value | None = machine.from_file(specs[0].attrs["_path"]) if specs else None
    return found


@effect("import_module", "__import__")
def _import(machine: Any, use: Use) -> Value | None:
    name = use.operand(0).const
    return machine.imported(name, use.node) if isinstance(name, str) else None


@effect("start", "spawn", "Thread", "Process")
def _spawn(machine: Any, use: Use) -> Value | None:
    """Threads and processes run their target where they are made."""
    target = use.keywords.get("target") or (use.args[0] if use.name == "spawn" and use.args else None)
    if target is None:
        return NOTHING
    given = use.keywords.get("args")
    args = machine.iterate(given)[0] if given is not None else []
    ran: Value = machine.call(target, ([NOTHING] if use.name == "spawn" else []) + args, {}, use.node)
    return ran
