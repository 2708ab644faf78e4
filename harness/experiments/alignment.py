"""Find the charges of a stage in another run of the script by their turn.

A fork runs the same program on from the same state, so the charges it makes come in the same order
from the same lines. Sums alone may confuse two evaluations whose scores are nearly equal.
"""

from __future__ import annotations

from dataclasses import replace

from harness.events import Charged
from harness.experiments.stages import Stage
from harness.experiments.sums import Numbered, flat
from harness.trace import Trace


def align(stage: Stage, base: Stage, plain: Trace, since: int, probe: Trace) -> Stage:
    """``stage`` of a probe with the charges that are made when the plain run makes those of ``base``.

    Args:
        stage: what the probe's report says, with the charges that its sum suggests.
        base: the stage of the plain run.
        plain: the trace of the plain run.
        since: number of the event after which the probe began.
        probe: the trace of the probe.

    Returns:
        ``stage`` as it is where up to the end of ``base`` the two do not charge in the same turns.
    """
    ours = [n for n in _charges(plain) if n[0] > since]
    turns = {number: turn for turn, (number, _) in enumerate(ours)}
    wanted = [turns[n] for n in base.events if n in turns]
    if not wanted or len(wanted) < len(base.events):
        return stage
    theirs = _charges(probe)
    last = max(wanted) + 1
    if len(theirs) < last or any(map(_differ, ours[:last], theirs[:last])):
        return stage
    places, nats, order = flat([theirs[turn] for turn in wanted])
    if len(order) == len(base.order):
        order = base.order  # known there by when each loss was computed
    same = replace(stage, places=places, nats=nats, order=order, how=base.how)
    return replace(same, explained=base.explained, aligned=True)


def _charges(trace: Trace) -> list[Numbered]:
    """Byte counts are left out: they are followed only where a table's targets can be located."""
    return [n for n in trace.of(Charged) if n[1].via != "bytes"]


def _differ(one: Numbered, two: Numbered) -> bool:
    (_, a), (_, b) = one, two
    return (a.via, a.site, len(a.positions)) != (b.via, b.site, len(b.positions))
