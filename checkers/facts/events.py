"""What the simulated run did, in order: the closed list of event kinds and their common record."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from checkers.facts.source import Module


class Did(StrEnum):
    """The kinds of event."""

    READ = "read"  # a data file was opened for its content; bits say which split
    SCORE = "score"  # a log-probability of given targets was taken (cross entropy, gather, ...)
    CHARGE = "charge"  # a score was added to an accumulator, stored or appended
    UPDATE = "update"  # parameters moved along a gradient
    COUNT = "count"  # a table was incremented at keys made of data
    LOAD = "load"  # a state was copied into a model
    WRITE = "write"  # a value derived from data was written into a parameter, no gradient involved
    SAVE = "save"  # a value was serialized: torch.save, a compressor, a binary file
    REPORT = "report"  # something was printed or logged
    BEST = "best"  # the smaller of several scores was kept
    NETWORK = "network"  # a download, a socket, a package installer
    PICKLE = "pickle"  # a loader that executes what it reads
    MATCH = "match"  # validation tokens were compared with the content of a shipped file
    SHARED = "shared"  # one rank's tensors were sent to the others


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    ``bits`` is what went in: for an update the loss's sources, for a score those of the
    log-probabilities and the targets together. ``state`` is the part of ``bits`` that stands for
    learned state (updates, counts, writes, loads). ``loops`` are the enclosing loops as (loop, iteration),
    ``calls`` the call sites from the entry inwards. ``sure`` is False when only an undecided
    setting leads here. ``objects`` are the ids of the objects written.
    """

    kind: Did
    order: int
    module: Module
    node: ast.AST
    bits: int
    loops: tuple[tuple[ast.AST, int], ...]
    calls: tuple[tuple[Module, ast.AST], ...]
    sure: bool = True
    objects: frozenset[int] = frozenset()
    data: dict[str, Any] = field(default_factory=dict)
