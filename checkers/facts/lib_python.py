"""What Python itself does: constructors, containers, strings, iteration, partials, reflection."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from checkers.facts.events import Did
from checkers.facts.folding import MOST_ITEMS, absorb, all_items, items_for, store, with_bits
from checkers.facts.library import Use, effect
from checkers.facts.values import (
    NONE,
    NOTHING,
    NULL,
    RAW,
    UNKNOWN,
    Class,
    Function,
    Instance,
    Library,
    Mapping,
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


@effect("range")
def _range(machine: Any, use: Use) -> Value:
    bits = machine.inputs(use.args, {}) & ~RAW
    known = [a.const for a in use.args]
    if known and all(isinstance(k, int) for k in known) and (len(known) < 3 or known[2]):
        numbers = range(*known)
        if len(numbers) <= MOST_ITEMS:
            return Value(refs=(Sequence([Value(n, bits) for n in numbers]),))
        return Value(
            refs=(Sequence([Value(numbers[0], bits), Value(UNKNOWN, bits), Value(numbers[-1], bits)]),)
        )
    return Value(refs=(Sequence(None, Value(bits=bits)),))


@effect(
    "enumerate",
    "tqdm",
    "trange",
    "reversed",
    "list",
    "tuple",
    "set",
    "sorted",
    "iter",
    "frozenset",
    "islice",
    "shuffle",
    "sample",
    "cycle",
    "chain",
    "chain.from_iterable",
    "from_iterable",
)
def _sequence(machine: Any, use: Use) -> Value | None:
    if use.receiver is not None:
        return None
    if not use.args:
        return Value(refs=(Sequence([], birth=machine.loops),))
    items: list[Value] = []
    exact = True
    for arg in use.args if use.name == "chain" else use.args[:1]:
        found, complete = machine.iterate(arg)
        items, exact = items + found, exact and complete
    if "from_iterable" in use.name:
        items = [i for item in items for i in machine.iterate(item)[0]]
    if use.name == "enumerate":
        items = [Value(refs=(Sequence([Value(n if exact else UNKNOWN), i]),)) for n, i in enumerate(items)]
    if use.name == "reversed":
        items.reverse()
    state = machine.content(use.args[0]) & ~RAW if use.name == "sorted" and not exact else 0
    if exact and use.name not in ("cycle", "sample"):
        return Value(refs=(Sequence(items, birth=machine.loops),))
    rest = items[0] if items else NOTHING
    for item in items[1:]:
        rest = merge(rest, item)
    return Value(bits=use.args[0].bits, refs=(Sequence(None, with_bits(rest, state), machine.loops),))


@effect("zip", "zip_longest", "product")
def _zip(machine: Any, use: Use) -> Value:
    columns = [machine.iterate(a) for a in use.args]
    count = min((len(c) for c, _ in columns), default=0)
    exact = bool(columns) and all(e for _, e in columns)
    if exact or count == 1:
        rows = [Value(refs=(Sequence([c[i] for c, _ in columns]),)) for i in range(count)]
        return Value(refs=(Sequence(rows) if exact else Sequence(None, rows[0] if rows else None),))
    parts = []
    for items, _ in columns:
        part = items[0] if items else NOTHING
        for item in items[1:]:
            part = merge(part, item)
        parts.append(part)
    return Value(refs=(Sequence(None, Value(refs=(Sequence(parts),))),))


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


@effect("next")
def _next(machine: Any, use: Use) -> Value:
    source = use.operand(0)
    items, _ = machine.iterate(source)
    machine.touched = 0
    bits = machine.here()
    item = items[0] if items else Value(bits=flat(source))
    return with_bits(Value(UNKNOWN, item.bits, item.refs), bits)


@effect(
    "append", "add", "appendleft", "extend", "insert", "put", "update", "setdefault", "push", "extendleft"
)
def _append(machine: Any, use: Use) -> Value | None:
    if use.receiver is None:
        return None
    added = use.args[-1] if use.args else NOTHING
    if machine.guard:
        added = with_bits(added, machine.guard)  # what is collected depends on where it is collected
    charge = machine.charge(use.node, Value(bits=machine.content(added)))
    result: Value | None = None
    for ref in use.receiver.refs:
        machine.touch(ref)
        if isinstance(ref, Sequence):
            _grow(
                machine,
                ref,
                use.name,
                added if not charge else Value(bits=machine.content(added) & ~machine.iterations | charge),
            )
            result = NONE
        elif isinstance(ref, Mapping):
            result = _grow_mapping(ref, use, added)
        elif ref is not NULL:
            ref.state |= (machine.content(added) | charge) & ~RAW
    return result


def _grow(machine: Any, ref: Sequence, name: str, added: Value) -> None:
    items = machine.iterate(added)[0] if name in ("extend", "update", "extendleft") else [added]
    if ref.items is not None and not machine.loops and not machine.uncertain and len(ref.items) < MOST_ITEMS:
        ref.items += items
        return
    if ref.items == [] and machine.loops == ref.birth and not machine.uncertain and name == "append":
        ref.items.append(added)
        return
    for item in items:
        known = Value(UNKNOWN, item.bits, item.refs) if item.known else item
        ref.rest = merge(ref.rest, known) if ref.rest else known


def _grow_mapping(ref: Mapping, use: Use, added: Value) -> Value:
    if use.name == "setdefault" and use.args:
        store(ref, use.args[0], added, weak=True)
        return added
    absorb(ref, added)
    ref.items.update({k: v for k, v in use.keywords.items() if k != "**"})
    return NONE


@effect("get", "pop", "popleft", "popitem")
def _get(machine: Any, use: Use) -> Value | None:
    if use.receiver is None:
        return getenv(machine, use) if use.dotted.endswith("environ.get") else None
    result: Value | None = None
    key = use.args[0] if use.args else NOTHING
    for ref in use.receiver.refs:
        if isinstance(ref, Mapping):
            result = merge(result, _mapping_get(ref, key, use))
        elif isinstance(ref, Sequence):
            result = merge(result, all_items(ref))
        elif isinstance(ref, Library) and ref.dotted.endswith("environ"):
            return getenv(machine, use)
    return result


def _mapping_get(ref: Mapping, key: Value, use: Use) -> Value:
    default = use.args[1] if len(use.args) > 1 else NONE
    if key.known and isinstance(key.const, (str, int)) and key.const in ref.items:
        return ref.items[key.const]
    if key.known and ref.rest is None and not ref.state:
        return default
    found = ref.rest or NOTHING
    for item in items_for(ref, key):
        found = merge(found, item)
    return merge(with_bits(found, ref.state | flat(key) & ~RAW), default)


@effect("items", "values", "keys")
def _items(machine: Any, use: Use) -> Value | None:
    if use.receiver is None:
        return None
    for ref in use.receiver.refs:
        if isinstance(ref, Mapping):
            return _rows(ref, use.name)
    return None


def _rows(ref: Mapping, name: str) -> Value:
    pairs = [(Value(k, ref.state), with_bits(v, ref.state)) for k, v in ref.items.items()]
    if ref.rest is not None:
        pairs.append((Value(bits=ref.state), with_bits(ref.rest, ref.state)))
    pick: dict[str, Callable[[Value, Value], Value]] = {
        "items": lambda k, v: Value(refs=(Sequence([k, v]),)),
        "values": lambda k, v: v,
        "keys": lambda k, v: k,
    }
    rows = [pick[name](k, v) for k, v in pairs]
    if ref.rest is None:
        return Value(refs=(Sequence(rows),))
    whole = rows[0]
    for row in rows[1:]:
        whole = _merge_rows(whole, row)
    return Value(refs=(Sequence(None, whole),))


def _merge_rows(a: Value, b: Value) -> Value:
    if a.refs and b.refs and isinstance(a.refs[0], Sequence) and isinstance(b.refs[0], Sequence):
        left, right = a.refs[0].items, b.refs[0].items
        if left and right and len(left) == len(right) == 2:
            return Value(refs=(Sequence([merge(x, y) for x, y in zip(left, right, strict=True)]),))
    return merge(a, b)


@effect("dict", "OrderedDict", "defaultdict", "SimpleNamespace", "Namespace", "asdict", "vars")
def _dict(machine: Any, use: Use) -> Value | None:
    if use.name in ("SimpleNamespace", "Namespace"):
        instance = Instance(None, machine.loops, "namespace")
        instance.attrs.update({k: v for k, v in use.keywords.items() if k != "**"})
        return Value(refs=(instance,))
    mapping = Mapping(machine.loops)
    for arg in use.args:
        for ref in arg.refs:
            if isinstance(ref, (Instance, Class)):
                mapping.items.update(ref.attrs)
            elif isinstance(ref, Mapping):
                absorb(mapping, arg)
    for name, value in use.keywords.items():
        store(mapping, Value(name), value)
    return Value(refs=(mapping,))


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
        found: Value = machine.attribute(use.args[0], name)
        missing = any(isinstance(r, Instance) and name not in r.attrs for r in use.args[0].refs)
        return merge(found, use.args[2]) if len(use.args) > 2 and missing and not found.refs else found
    whole = Value(bits=flat(use.args[0]))
    for ref in use.args[0].refs:
        for value in getattr(ref, "attrs", {}).values():
            whole = merge(whole, value)
    return whole


@effect("setattr")
def _setattr(machine: Any, use: Use) -> Value:
    if len(use.args) == 3 and isinstance(use.args[1].const, str):
        target = ast.Attribute(value=ast.Name("_"), attr=use.args[1].const, ctx=ast.Store())
        machine.set_attribute(use.args[0], ast.copy_location(target, use.node), use.args[2])
    return NONE


@effect("globals", "locals")
def _globals(machine: Any, use: Use) -> Value:
    env = machine.frames[-1].env
    while use.name == "globals" and env.parent is not None:
        env = env.parent
    mapping = Mapping()
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


@effect("getenv", "os.getenv")
def getenv(machine: Any, use: Use) -> Value:
    """An environment variable under the headline configuration."""
    name = use.operand(0).const if use.receiver is None else use.args[0].const if use.args else None
    default = use.arg(1, "default") or NONE
    if not isinstance(name, str):
        return Value(bits=machine.inputs(use.args, {}))
    value: Value = machine.setting(name, default)
    return value
