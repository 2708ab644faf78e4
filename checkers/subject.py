"""Everything a checker may look at, gathered once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from harness.record import RunRecord
from harness.submission import Submission
from harness.unpack import Layer

if TYPE_CHECKING:
    from checkers.facts import Facts
    from harness.logs import LogBook


@dataclass(frozen=True)
class Subject:
    """One submission under audit. ``run`` is None when nothing was executed."""

    submission: Submission
    layers: tuple[Layer, ...]
    logs: LogBook
    as_of: date
    run: RunRecord | None = None
    options: dict[str, str] = field(default_factory=dict)

    @cached_property
    def facts(self) -> Facts:
        """The static facts of all layers under the configuration that the evidence shows."""
        from checkers.facts import collect

        return collect(self.submission, self.layers, self.logs)
