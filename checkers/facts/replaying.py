"""Numbers that a remembered call stored in attributes are stored again when it is recalled.

A layer keeps its last input, for a calibration to look at. Such a call changes nothing but numbers that
it does not read, so that it can be recalled like one that changes nothing at all, if what it stored is
stored again: below the new arguments, in the place where it was below the old ones.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from checkers.facts.memory import HandingOut, kept
from checkers.facts.values import NULL, Cell, Instance, Obj, Value, children
from harness.nodes import walk

_MOST = 200  # numbers stored by one call; one that stores more is run again
_MOST_OBJECTS = 4000  # looked at to find where they were stored

Path = tuple[int, ...]


@dataclass(slots=True)
class Write:
    """A number replaced another in an attribute of an object."""

    holder: Instance
    name: str
    value: Value


@dataclass(slots=True)
class Stored:
    """A write of a remembered call. ``path`` leads from its arguments to the holder, () where they do not."""

    write: Write
    path: Path


def numeric(old: Value | None, new: Value) -> bool:
    """Whether a number replaces a number."""
    if old is None or not old.bits or old.known or new.known:
        return False
    return all(type(r) is Cell or r is NULL for r in (*old.refs, *new.refs))


def attributes_read(cls: ast.ClassDef) -> frozenset[str]:
    """The attributes that the code of a class reads, by their names or by strings."""
    names: set[str] = set()
    for node in walk(cls):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            names.add(node.attr)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
            names.add(node.target.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return frozenset(names)


def stored(writes: Iterable[Write], given: tuple[Value, ...], start: int) -> tuple[Stored, ...] | None:
    """The last writes of a call into what was there before it, made when it ended; None for too many."""
    last = {(id(w.holder), w.name): w for w in writes if w.holder.serial <= start}
    if len(last) > _MOST:
        return None
    paths = _paths(given, {w.holder for w in last.values()}) if last else {}
    return tuple(
        Stored(Write(w.holder, w.name, kept(w.value, given, start)), paths.get(w.holder, ()))
        for w in last.values()
    )


def again(
    known: tuple[Stored, ...], given: tuple[Value, ...], handing: HandingOut, done: list[Write]
) -> bool:
    """Store for other arguments what a remembered call stored, and note it in ``done``.

    False, and nothing is stored, where a number would not replace one.
    """
    writes = []
    for one in known:
        holder = _at(one.path, given) if one.path else one.write.holder
        value = handing.value(one.write.value)
        if type(holder) is not Instance or not numeric(holder.attrs.get(one.write.name), value):
            return False
        writes.append(Write(holder, one.write.name, value))
    for write in writes:
        write.holder.attrs[write.name] = write.value
    done += writes
    return True


def _paths(given: tuple[Value, ...], wanted: set[Instance]) -> dict[Obj, Path]:
    """How to get from arguments to objects below them: which argument, which reference, which child, ..."""
    queue: list[tuple[Obj, Path]] = []
    for place, value in enumerate(given):
        queue += [(ref, (place, number)) for number, ref in enumerate(value.refs)]
    seen: set[Obj] = set()
    found: dict[Obj, Path] = {}
    for obj, path in queue:  # grows while it is read
        if obj in seen:
            continue
        seen.add(obj)
        if obj in wanted:
            found[obj] = path
        if len(found) == len(wanted) or len(seen) > _MOST_OBJECTS:
            break
        for place, child in enumerate(children(obj)):
            queue += [(ref, (*path, place, number)) for number, ref in enumerate(child.refs)]
    return found


def _at(path: Path, given: tuple[Value, ...]) -> Obj | None:
    """The object to which a path leads, None where it leads to none."""
    values: Sequence[Value] = given
    obj: Obj | None = None
    for place, number in zip(path[::2], path[1::2], strict=True):
        if place >= len(values) or number >= len(values[place].refs):
            return None
        obj = values[place].refs[number]
        values = children(obj)
    return obj
