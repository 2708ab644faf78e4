"""Work that several checkers of one submission share, done once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from checkers.facts import Facts
from checkers.subject import Subject

T = TypeVar("T")


def once_per_facts(make: Callable[[Subject], T]) -> Callable[[Subject], T]:
    """Remember what ``make`` gave for the facts it was last asked about, and for no others.

    A sweep goes through submissions one by one, so a longer memory would only hold their trees.
    """
    last: list[tuple[Facts, T]] = []

    @wraps(make)
    def remembered(subject: Subject) -> T:
        facts = subject.facts
        if not last or last[0][0] is not facts:
            last[:] = [(facts, make(subject))]
        return last[0][1]

    return remembered
