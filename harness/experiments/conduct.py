"""The order of the experiments: cheapest and strongest first, within a time limit."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from typing import Any

from harness.events import Finished, Lost, TableScaled
from harness.experiments import candidates, noise, passive, trials
from harness.experiments.bench import Ground, Session
from harness.experiments.budget import budget
from harness.experiments.forks import Trials, evaluation_seconds
from harness.experiments.stages import Stage, counterpart, final, stages
from harness.record import Experiment, Holds
from harness.trace import Trace


def conduct(
    session: Session, ground: Ground, deadline: float, twin: int | None = None
) -> tuple[Experiment, ...]:
    """Experiment on a run that has ended and whose snapshot waits.

    Args:
        session: the run.
        ground: its world.
        deadline: on the session's clock; experiments not begun by then are ``NOT_RUN``.
        twin: stream of the run on noise, if there is one.
    """
    main = session.link.trace().stream(0)
    base = final(main, ground)
    if base is None:
        return (Experiment("noise", Holds.NOT_RUN, "the run reported no score"),)
    probes = Trials(session, ground, base, deadline, evaluation_seconds(main))
    volley = trials.Volley(probes, wiped=passive.entered_at_artifact(main))
    volley.fire()
    repeated = volley.repeat()
    prefix = volley.prefix(repeated.result is Holds.HOLDS, passive.rescored(main, base))
    noisy = _noise_trace(session, twin, deadline)
    compressed = noise.judge(None if noisy is None else counterpart(noisy, base, ground), base, ground)
    summed = candidates.exemplify(trials.kraft_sum(volley, compressed), volley)
    found = [compressed, summed, prefix, repeated, volley.roundtrip(), volley.coverage()]
    found = [
        *(probes.timed(e) for e in found),
        passive.order(main, base, prefix),
        passive.passes(base, len(ground.tokens)),
        passive.denominator(base, ground, stages(main, ground)),
        passive.independence(main, noisy),
        trials.other_training(probes, budget(main, base), passive.weights(main)),
        _account(main, base, ground, session),
    ]
    return tuple(_with_replay(e) for e in found)


def _noise_trace(session: Session, twin: int | None, deadline: float) -> Trace | None:
    """Wait for the run on noise."""
    if twin is None:
        return None

    def ended(seen: Trace) -> bool:
        return bool(seen.of(Finished, twin)) or any(e.what == f"stream {twin}" for _, e in seen.of(Lost))

    session.link.wait_until(ended, max(deadline - time.monotonic(), 0.5))
    part = session.link.trace().stream(twin)
    return part if part.of(Finished) else None


def _account(main: Trace, base: Stage, ground: Ground, session: Session) -> Experiment:
    """Whether the charges seen add up to the score reported; without that nothing positional is decided."""
    data: dict[str, Any] = {"probe_seconds": {str(k): round(v, 2) for k, v in session.seconds.items()}}
    data |= {"stages": passive.stage_list(main, ground), "how": base.how, "charges": len(base.places)}
    data["script_seconds"] = round(main.events[-1].seconds, 2)
    data["tables"] = [{"name": t.name, "was": t.was, "now": t.now} for _, t in main.of(TableScaled)]
    if main.cut:
        return Experiment("trace", Holds.UNDECIDED, f"the trace is cut: {main.cut}", data)
    if not base.explained:
        return Experiment("trace", Holds.UNDECIDED, f"the score is not explained: {base.how}", data)
    return Experiment(
        "trace", Holds.HOLDS, f"{len(base.places)} charges add up to the score ({base.how})", data
    )


def _with_replay(experiment: Experiment) -> Experiment:
    """Name a violation by its places, so that a rerun of the same head finds it under the same name."""
    if experiment.result is not Holds.VIOLATED:
        return experiment
    case = experiment.data.get("counterexample", {})
    places = {k: case[k] for k in ("changed_places", "charged_place", "place") if k in case}
    key = json.dumps([experiment.name, places], sort_keys=True)
    return replace(experiment, replay=f"{experiment.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}")
