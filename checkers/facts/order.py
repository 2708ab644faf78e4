"""Who learned from what before which score: ordering questions over the events of a simulated run."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from enum import StrEnum

from checkers.facts.events import Did, Event
from checkers.facts.facts import Facts
from checkers.facts.values import VAL

LEARNING = (Did.UPDATE, Did.COUNT, Did.WRITE)
SCORING = (Did.SCORE, Did.CHARGE)


class Apart(StrEnum):
    """Why two uses of validation data do not touch the same positions."""

    ITERATION = "iteration"  # another iteration of a loop that both go through
    SPAN = "span"  # the other side of the same cut


@dataclass(slots=True)
class Parts:
    """What some bits stand for, sorted by kind."""

    loops: dict[ast.AST, set[int]] = field(default_factory=dict)
    after: set[object] = field(default_factory=set)  # values at which it is cut off below: [a:]
    before: set[object] = field(default_factory=set)  # values at which it is cut off above: [:a]
    events: list[Event] = field(default_factory=list)


class Order:
    """Ordering questions, with what bits stand for remembered."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._parts: dict[int, Parts] = {}
        self._kinds = {str(k) for k in (*LEARNING, *SCORING)}

    def parts(self, bits: int) -> Parts:
        """What bits stand for."""
        known = self._parts.get(bits)
        if known is None:
            known = self._parts[bits] = self._sort(bits)
        return known

    def _sort(self, bits: int) -> Parts:
        parts = Parts()
        for key in self.facts.keys(bits):
            if key[0] == "loop":
                parts.loops.setdefault(key[1], set()).add(key[2])
            elif key[0] == "from":
                parts.after.add(key[1])
            elif key[0] == "upto":
                parts.before.add(key[1])
            elif key[0] in self._kinds:
                parts.events.append(self.facts.events[key[1]])
        return parts

    def learned(self, score: Event) -> list[Event]:
        """The learning from validation data that a score's probabilities depend on, in order."""
        return [e for e in self.parts(score.bits).events if e.kind in LEARNING and e.bits & VAL]

    def scores(self, bits: int) -> list[Event]:
        """The scores of validation data that went into a value, in order."""
        return [e for e in self.parts(bits).events if e.kind in SCORING and e.bits & VAL]

    def apart(self, one: Event, other: Event) -> Apart | None:
        """Why the data of two events cannot be the same positions, None when they may be.

        They are apart when both depend on an iteration of the same loop and on no common one, or when
        the first ends where the second begins.
        """
        a, b = self.parts(one.bits), self.parts(other.bits)
        for loop, numbers in a.loops.items():
            if loop in b.loops and not _own(one, loop, numbers) & _own(other, loop, b.loops[loop]):
                return Apart.ITERATION
        if (a.before - a.after) & (b.after - b.before):
            return Apart.SPAN
        return None


def _own(event: Event, loop: ast.AST, numbers: set[int]) -> set[int]:
    """The iterations of a loop that an event's data belong to: its own one where it is inside the loop.

    The other numbers come along with state that earlier iterations left behind.
    """
    here = {k for node, k in event.loops if node is loop}
    return here & numbers or numbers


def together(one: Event, other: Event) -> list[tuple[ast.AST, int]]:
    """The loop iterations that two events happened in together, outermost first."""
    shared = []
    for a, b in zip(one.loops, other.loops, strict=False):
        if a != b:
            break
        shared.append(a)
    return shared
