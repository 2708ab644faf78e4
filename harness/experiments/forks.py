"""Forks of one waiting run within the time that is left, and what they did to the charges."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.events import Snapshot
from harness.experiments import passive, prefix
from harness.experiments.alignment import align
from harness.experiments.bench import Ground, Session, Tokens
from harness.experiments.stages import Stage, comparable, counterpart
from harness.experiments.sums import MINIMUM
from harness.record import Experiment, Holds
from harness.trace import Trace

LEAST = 0.3
"""Of the plain evaluation's time, which shared the machine with the twin: single forks of #1246 at
7141d2af5 took 0.3 to 0.5 of it, two at once 0.7 to 1.2."""


@dataclass
class Trials:
    """A session, its plain last stage, and the time that is left.

    ``cost`` is how many seconds the evaluation took in the plain run, and a fork may take again.
    """

    session: Session
    ground: Ground
    base: Stage
    deadline: float
    cost: float = 0.0
    short: float | None = None  # seconds that were left when a fork was not begun for want of time

    def left(self) -> float:
        """Seconds that may still be spent."""
        return self.deadline - self.session.clock()

    def timed(self, probed: Experiment) -> Experiment:
        """Say so where an experiment may be open only because the time was used up."""
        if probed.result not in {Holds.UNDECIDED, Holds.NOT_RUN}:
            return probed
        return replace(probed, summary=probed.summary + self.ending())

    def ending(self) -> str:
        """What is to be said of an open experiment when there was too little time, else nothing."""
        if self.short is not None:
            return (
                f"; the time of the run was used up ({self.short:.0f} s left, a fork takes {self.cost:.0f} s)"
            )
        return "; the time of the run was used up" if self.left() <= 0 else ""

    def start(self, tokens: Tokens | None = None, **how: bool) -> int:
        """Start a probe as ``Session.start`` does, unless it could not end in time: then -1."""
        if self.left() < LEAST * self.cost:
            self.short = max(self.left(), 0.0)
            return -1
        return self.session.start(tokens, **how)

    def stage(self, stream: int) -> tuple[Trace | None, Stage | None]:
        """Wait for a probe; its trace and its counterpart of the plain last stage."""
        trace = self.session.result(stream, max(self.left(), 1.0))
        stage = None if trace is None else counterpart(trace, self.base, self.ground)
        if trace is None or stage is None:
            return trace, None
        plain = self.session.link.trace().stream(0)
        return trace, align(stage, self.base, plain, passive.entry(plain), trace)

    def shift(self, new: Tokens, stream: int) -> prefix.Shift | None:
        """Wait for a probe that changed the tokens and compare it with the plain run."""
        return self.compared(self.stage(stream)[1], new)

    def compared(self, stage: Stage | None, new: Tokens) -> prefix.Shift | None:
        """What changed tokens did to the charges, if these are known to be the counterparts of the base's.

        Charges that are equal to the last bit are; those that differ must have been made in the same turns.
        """
        if stage is None or not comparable(stage, self.base):
            return None
        shift = prefix.compare(self.base, stage, self.ground.tokens, new)
        sure = stage.aligned or self.base.how.startswith(MINIMUM)
        return shift if sure or not shift.moved else None


def evaluation_seconds(main: Trace) -> float:
    """Seconds from the snapshot at which the probes begin to the end of the plain run; 0 without one."""
    began = [e.seconds for e in main.events if isinstance(e.event, Snapshot)]
    return main.events[-1].seconds - began[-1] if began else 0.0
