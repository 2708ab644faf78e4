"""What Python's containers do: sequences, dictionaries, iterators, the environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from checkers.facts.folding import (
    MOST_ITEMS,
    Environment,
    absorb,
    all_items,
    is_environment,
    items_for,
    store,
    with_bits,
)
from checkers.facts.library import Use, effect
from checkers.facts.values import (
    NONE,
    NOTHING,
    NULL,
    RAW,
    UNKNOWN,
    Class,
    Instance,
    Library,
    Mapping,
    Sequence,
    Value,
    children,
    flat,
    merge,
)


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
            result = merge(result, _mapping_get(machine, ref, key, use))
        elif isinstance(ref, Sequence):
            result = merge(result, all_items(ref))
        elif isinstance(ref, Library) and ref.dotted.endswith("environ"):
            return getenv(machine, use)
    return result


def _mapping_get(machine: Any, ref: Mapping, key: Value, use: Use) -> Value:
    default = use.args[1] if len(use.args) > 1 else NONE
    if key.known and isinstance(key.const, (str, int)) and key.const in ref.items:
        return ref.items[key.const]
    if isinstance(ref, Environment) and isinstance(key.const, str):
        value: Value = machine.setting(key.const, default)
        return value
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
    mapping = Environment(machine.loops) if any(map(is_environment, use.args)) else Mapping(machine.loops)
    for arg in use.args:
        for ref in arg.refs:
            if isinstance(ref, (Instance, Class)):
                mapping.items.update(ref.attrs)
            elif isinstance(ref, Mapping):
                absorb(mapping, arg)
            elif isinstance(ref, Sequence):
                _store_pairs(mapping, children(ref))
    for name, value in use.keywords.items():
        store(mapping, Value(name), value)
    return Value(refs=(mapping,))


@effect("os.environ.copy", "environ.copy")
def _environment(machine: Any, use: Use) -> Value:
    return Value(refs=(Environment(machine.loops),))


def _store_pairs(mapping: Mapping, pairs: list[Value]) -> None:
    """What ``dict`` takes over of (key, value) pairs."""
    for pair in pairs:
        for ref in pair.refs:
            if isinstance(ref, Sequence) and ref.items is not None and len(ref.items) == 2:
                store(mapping, ref.items[0], ref.items[1])


@effect("getenv", "os.getenv")
def getenv(machine: Any, use: Use) -> Value:
    """An environment variable under the headline configuration."""
    name = use.operand(0).const if use.receiver is None else use.args[0].const if use.args else None
    default = use.arg(1, "default") or NONE
    if not isinstance(name, str):
        return Value(bits=machine.inputs(use.args, {}))
    value: Value = machine.setting(name, default)
    return value
