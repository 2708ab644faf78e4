"""Find every checker, match it to its rule, and run it so that a crash is ours and is seen."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import checkers.evidence
import checkers.runtime
import checkers.static
from checkers.finding import CheckResult
from checkers.subject import Subject
from rules.model import Need

_PACKAGES = {
    Need.STATIC: checkers.static,
    Need.EVIDENCE: checkers.evidence,
    Need.RUNTIME: checkers.runtime,
}


@dataclass(frozen=True, slots=True)
class Checker:
    """A rule's checker of one kind. ``check`` must not raise, but is not trusted not to."""

    slug: str
    kind: Need
    check: Callable[[Subject], CheckResult]


@dataclass(frozen=True, slots=True)
class Checked:
    """What one checker returned, or the traceback of its crash."""

    checker: Checker
    result: CheckResult | None
    crash: str | None = None


@lru_cache(maxsize=1)
def discover() -> tuple[Checker, ...]:
    """Import every module of the three checker packages; a public module is a checker.

    Raises:
        TypeError: a module has no ``check`` function.
    """
    found = [
        _checker(importlib.import_module(f"{package.__name__}.{info.name}"), kind)
        for kind, package in _PACKAGES.items()
        for info in pkgutil.iter_modules(package.__path__)
        if not info.name.startswith("_")
    ]
    return tuple(sorted(found, key=lambda c: (c.slug, c.kind)))


def _checker(module: ModuleType, kind: Need) -> Checker:
    check = getattr(module, "check", None)
    if not callable(check):
        raise TypeError(f"{module.__name__} has no check(subject) function")
    return Checker(module.__name__.rpartition(".")[2].replace("_", "-"), kind, check)


def run(subject: Subject, kinds: frozenset[Need]) -> tuple[Checked, ...]:
    """Run every checker of the given kinds on one subject."""
    return tuple(_run_one(c, subject) for c in discover() if c.kind in kinds)


def _run_one(checker: Checker, subject: Subject) -> Checked:
    try:
        return Checked(checker, checker.check(subject))
    except Exception:  # a crash in a checker is our fault and must show as ERROR, whatever it is
        return Checked(checker, None, traceback.format_exc(limit=-6))
