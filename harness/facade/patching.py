"""Replacing attributes of other people's modules, in one place and on record."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import linecache
import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

REPLACED: list[str] = []
"""Dotted names of everything the façade replaced, in order."""


_HEAD = re.compile(r"\s*while\b")


@functools.lru_cache(maxsize=4096)
def heads_a_loop(code: types.CodeType, line: int) -> bool:
    """Whether a line of code is the head of a ``while``: what is asked there is asked until it changes."""
    return _HEAD.match(linecache.getline(code.co_filename, line)) is not None


def replace(owner: Any, **attributes: Any) -> None:
    """Set attributes on a module or class and remember their names."""
    label = getattr(owner, "__name__", repr(owner))
    for name, value in attributes.items():
        setattr(owner, name, value)
        REPLACED.append(f"{label}.{name}")


def module(name: str, **attributes: Any) -> types.ModuleType:
    """Create a module (and its missing parents), enter it in ``sys.modules`` and return it."""
    parent, _, child = name.rpartition(".")
    if parent and parent not in sys.modules:
        module(parent)
    made = types.ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None)
    made.__spec__.submodule_search_locations = []
    made.__path__ = []
    made.__dict__.update(attributes)
    sys.modules[name] = made
    if parent:
        setattr(sys.modules[parent], child, made)
    REPLACED.append(name)
    return made


def absent(name: str) -> bool:
    """Whether no package of that name is installed; a folder without ``__init__.py`` is none."""
    spec = importlib.util.find_spec(name)
    return spec is None or spec.origin is None


def lenient(made: types.ModuleType, known: Callable[[], Mapping[str, Any]] = dict) -> types.ModuleType:
    """Let a stand-in module answer any public name, what is ``known`` or a function that does nothing."""

    def missing(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return known().get(name, nothing)

    made.__getattr__ = missing  # type: ignore[method-assign]
    return made


def nothing(*args: Any, **kwargs: Any) -> None:
    """Accept anything, do nothing."""


def zero(*args: Any, **kwargs: Any) -> int:
    """Accept anything, answer 0."""
    return 0


def constant(value: Any) -> Any:
    """Return a function of any arguments that answers ``value``."""

    def answer(*args: Any, **kwargs: Any) -> Any:
        return value

    return answer


class Anything:
    """Stands in for an object whose methods have no effect that matters here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return nothing

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc: Any) -> None:
        pass
