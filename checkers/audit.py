"""The finished audit of one head: what reports are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from checkers.verdict import Decision
from harness.record import RunRecord
from harness.submission import Submission
from harness.unpack import Layer

if TYPE_CHECKING:
    from checkers.facts import Facts
    from harness.logs import LogBook


@dataclass(frozen=True)
class Audit:
    """One head, its decision, and everything a reader needs to repeat it.

    ``claims`` maps a source (``submission.json``, ``readme``, ``log``, ``recomputed``) to the
    numbers it gives. ``seconds`` is wall time on this machine. ``logs`` and ``facts`` feed the
    pictures.
    """

    submission: Submission
    layers: tuple[Layer, ...]
    decision: Decision
    edition: str
    as_of: date
    command: str
    strict: bool = False
    run: RunRecord | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    logs: LogBook | None = None
    facts: Facts | None = None
