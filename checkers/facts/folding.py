"""Small operations on abstract values: truth, comparison, constant folding, containers, path names."""

from __future__ import annotations

import ast
import operator
import re
from typing import Any

from checkers.facts.values import (
    NOTHING,
    NULL,
    PATH_TRAIN,
    PATH_VAL,
    RAW,
    UNKNOWN,
    Library,
    Mapping,
    Sequence,
    Value,
    flat,
    merge,
)
from harness.operators import BINARY, COMPARE

_VAL_PATH = re.compile(r"(^|[/_\-.*])val(id|idation)?([_\-./*0-9]|$)", re.I)
_TRAIN_PATH = re.compile(r"(^|[/_\-.*])train(ing)?(_?[*0-9]|_$|[/.]|$)", re.I)
_NO_PATH = re.compile(r"\s|val_(loss|bpb)|\.py$|\.log$", re.I)
MOST_ITEMS = 64
_BIG = 1 << 62

_BINARY = BINARY | {ast.Mult: operator.mul, ast.Mod: operator.mod}


class Environment(Mapping):
    """A copy of ``os.environ``: what was not put into it is as the run has it."""

    __slots__ = ()


class Gap(int):
    """The bits of what fills a gap of a formatted string."""


def path_bits(text: Any) -> int:
    """Which split a file name or glob stands for. Files of the challenge are named by split."""
    if not isinstance(text, str) or len(text) > 300 or _NO_PATH.search(text):
        return 0
    return (PATH_VAL if _VAL_PATH.search(text) else 0) | (PATH_TRAIN if _TRAIN_PATH.search(text) else 0)


def folded(left: Value, right: Value, kind: type) -> Any:
    """The constant result of a binary operation, UNKNOWN when it cannot be had cheaply."""
    a, b = left.const, right.const
    if a is UNKNOWN or b is UNKNOWN or kind not in _BINARY or not (_small(a) and _small(b)):
        return UNKNOWN
    if kind is ast.Div and isinstance(a, str) and isinstance(b, str):
        return f"{a}/{b}"
    if kind is ast.Mult and not (isinstance(a, (int, float)) and isinstance(b, (int, float))):
        return UNKNOWN
    try:
        return _BINARY[kind](a, b)
    except (TypeError, ValueError, ArithmeticError):
        return UNKNOWN


def _small(value: Any) -> bool:
    if isinstance(value, (str, bytes, tuple)):
        return len(value) < 4000
    return not isinstance(value, int) or -_BIG < value < _BIG


def truthy(value: Value) -> bool | None:
    """The truth of a value, None when it is not known."""
    if value.const is not UNKNOWN:
        try:
            return bool(value.const)
        except (TypeError, ValueError):
            return None
    if len(value.refs) == 1 and not value.bits:
        ref = value.refs[0]
        if isinstance(ref, Sequence) and ref.items is not None and ref.rest is None:
            return bool(ref.items)
        if isinstance(ref, Mapping) and ref.items:
            return True
    return None


def compared(kind: type, left: Value, right: Value) -> bool | None:
    """The result of one comparison, None when it is not known."""
    if kind in (ast.Is, ast.IsNot):
        same = _identical(left, right)
        return same if same is None or kind is ast.Is else not same
    if kind in (ast.In, ast.NotIn) and left.known and not right.known:
        inside = _contains(right, left.const)
        return inside if inside is None or kind is ast.In else not inside
    if not (left.known and right.known) or kind not in COMPARE:
        return None
    try:
        return bool(COMPARE[kind](left.const, right.const))
    except (TypeError, ValueError):
        return None


def _identical(left: Value, right: Value) -> bool | None:
    if left.known and right.known:
        return left.const is right.const or (
            type(left.const) is type(right.const) and left.const == right.const
        )
    for one, other in ((left, right), (right, left)):
        if other.const is None and one.refs and not one.known and NULL not in one.refs:
            return False
    return None


def _contains(container: Value, key: Any) -> bool | None:
    for ref in container.refs:
        if isinstance(ref, Mapping) and ref.rest is None and not ref.state:
            return _hashable(key) and key in ref.items
        listed = ref.items if isinstance(ref, Sequence) and ref.rest is None else None
        if listed is not None and all(i.known for i in listed):
            return any(i.const == key for i in listed)
    return None


def _hashable(key: Any) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def index_bits(index: Value) -> int:
    """The sources of an index, those of all parts of ``a[i, j]``."""
    bits = index.bits
    for ref in index.refs:
        bits |= ref.state
        if isinstance(ref, Sequence):
            for item in ref.items or ():
                bits |= flat(item) if item.refs else item.bits
    return bits


def as_text(value: Value) -> tuple[Any, ...]:
    """A value as parts of a formatted string."""
    return value.text or ((str(value.const),) if value.known else (Gap(flat(value)),))


def with_bits(value: Value, bits: int) -> Value:
    """The value, with further sources."""
    if not bits or value.bits | bits == value.bits:
        return value
    return Value(value.const, value.bits | bits, value.refs, value.text)


def all_items(ref: Sequence) -> Value:
    """Any item of a sequence."""
    value = ref.rest
    for item in ref.items or ():
        value = merge(value, item)
    value = value or NOTHING
    return with_bits(value, ref.state & ~RAW) if ref.state else value


def joined_lists(left: Value, right: Value) -> Sequence | None:
    """The concatenation of two lists, None when either is none."""
    a = next((r for r in left.refs if isinstance(r, Sequence)), None)
    b = next((r for r in right.refs if isinstance(r, Sequence)), None)
    if a is None or b is None:
        return None
    if a.items is not None and b.items is not None and a.rest is b.rest is None:
        return Sequence([*a.items, *b.items])
    return Sequence(None, merge(all_items(a), all_items(b)))


def is_environment(value: Value) -> bool:
    """Whether a value is the process' environment or a copy of it."""
    return any(
        isinstance(r, Environment) or (isinstance(r, Library) and r.dotted.endswith("environ"))
        for r in value.refs
    )


def mapping_item(ref: Mapping, index: Value) -> Value:
    """The value under a key, or any value when the key is unknown."""
    if index.known and _hashable(index.const) and index.const in ref.items:
        return ref.items[index.const]
    value = ref.rest
    if not index.known or value is None:
        for item in items_for(ref, index):
            value = merge(value, item)
    return with_bits(value or NOTHING, ref.state | (flat(index) & ~RAW))


def items_for(mapping: Mapping, key: Value) -> list[Value]:
    """The items that an unknown key may name: of files, those of the same split."""
    mine = split_of(key)
    others = {("files", PATH_TRAIN), ("files", PATH_VAL)} - {mine} if mine else set()
    return [item for name, item in mapping.items.items() if name not in others]


def split_of(key: Value) -> tuple[str, int] | None:
    """The split whose files a key names: what a cache keeps of one is not what it keeps of the other."""
    paths = flat(key) & (PATH_TRAIN | PATH_VAL)
    return ("files", paths) if not key.known and paths in (PATH_TRAIN, PATH_VAL) else None


def store(mapping: Mapping, key: Value, value: Value, weak: bool = False) -> None:
    """Put a value under a key."""
    if key.known and _hashable(key.const) and len(mapping.items) < 4 * MOST_ITEMS:
        old = mapping.items.get(key.const) if weak else None
        mapping.items[key.const] = merge(old, value) if old else value
    elif (files := split_of(key)) is not None:
        mapping.items[files] = merge(mapping.items.get(files), with_bits(value, key.bits & ~RAW))
        mapping.rest = mapping.rest or NOTHING  # which files there are is not known
    else:
        mapping.rest = merge(mapping.rest, with_bits(value, key.bits & ~RAW))


def absorb(mapping: Mapping, value: Value) -> None:
    """Take over the items of another mapping (``{**value}``, ``update``)."""
    for ref in value.refs:
        if isinstance(ref, Mapping):
            mapping.items.update(ref.items)
            mapping.state |= ref.state
            if ref.rest is not None:
                mapping.rest = merge(mapping.rest, ref.rest)
        else:
            mapping.rest = merge(mapping.rest, Value(bits=flat(value)))
    if not value.refs and (value.bits or not value.known):
        mapping.rest = merge(mapping.rest, Value(bits=value.bits))
