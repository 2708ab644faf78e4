"""What the trace alone shows: order of charge and update, second charges, bytes, structure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.events import FileRead, FileWritten, Snapshot, Weights
from harness.experiments import drawn
from harness.experiments.bench import Ground
from harness.experiments.stages import Stage, stages
from harness.probes.reports import precision
from harness.record import Experiment, Holds
from harness.trace import Trace

TAIL = 4096
"""Places at the end of the stream that windows shorter than the stride may charge again."""
BYTE_SLACK = 0.001
"""Relative: what odd first tokens and a tail that is charged twice may make of the denominator; scripts
whose charges add up were seen within 0.0002. Five times as much convicts."""


def order(main: Trace, base: Stage, prefix: Experiment) -> Experiment:
    """Charges of positions that had been descended on before, in the stage that counts."""
    learned = _learned(main, entry(main))
    places, _, when = base.first()
    late = _late(learned, base)
    data: dict[str, Any] = {"charged": len(places), "after_update": int(late.sum()), "learned": len(learned)}
    data["tensors"] = _tensors(main, when)
    if not base.explained:
        return Experiment("order", Holds.UNDECIDED, f"the score is not explained: {base.how}", data)
    data["events"] = drawn.timeline(main, base.places, base.order, learned, entry(main))
    if not late.any():
        return Experiment("order", Holds.HOLDS, "no position is charged after an update on itself", data)
    data["counterexample"] = {
        "place": int(places[late][0]),
        "updated": learned[int(places[late][0])],
        "charged": int(when[late][0]),
    }
    told = f"{late.sum()} of {len(places)} positions are charged after an update on their own loss"
    if prefix.result is Holds.VIOLATED:
        return Experiment(
            "order", Holds.VIOLATED, told + ", and earlier charges depend on later tokens", data
        )
    if prefix.result is Holds.HOLDS:
        return Experiment(
            "order",
            Holds.HOLDS,
            told + ", but no earlier charge depends on a later token",
            data,
        )
    told += ", an offence only if those weights are still in use, which the prefix experiment left open"
    return Experiment("order", Holds.UNDECIDED, told, data)


def _late(learned: Mapping[int, int], base: Stage) -> NDArray[np.bool_]:
    """Which of the places that are charged were descended on before that."""
    places, _, when = base.first()
    return np.array([learned.get(int(p), 1 << 62) < w for p, w in zip(places, when, strict=True)], bool)


def rescored(main: Trace, base: Stage) -> bool:
    """Whether more positions are charged after an update on themselves than the windows at the tail."""
    late = _late(_learned(main, entry(main)), base)
    return base.explained and bool(late.any()) and float(late.mean()) > 0.1


def _tensors(trace: Trace, when: NDArray[np.int64]) -> int:
    """How many tensors learned at once from validation while these charges were made, at most."""
    if not len(when):
        return 0
    first, last = int(when.min()), int(when.max())
    return max((s.tensors for n, s in trace.updates() if s.positions and first < n < last), default=0)


def entered_at_artifact(trace: Trace) -> bool:
    """Whether the snapshot that waits was taken as the artifact was read back."""
    snapshots = trace.of(Snapshot)
    return bool(snapshots) and snapshots[-1][1].reason.startswith("artifact")


def entry(trace: Trace) -> int:
    """Number of the event at which the snapshot was taken from which the probes begin; -1 for none."""
    snapshots = trace.of(Snapshot)
    return snapshots[-1][0] if snapshots else -1


def _learned(trace: Trace, since: int) -> dict[int, int]:
    """The first update on each validation position, by event number."""
    found: dict[int, int] = {}
    for number, step in trace.updates():
        if number > since:
            for place in step.where().tolist():
                found.setdefault(place, number)
    return found


def passes(base: Stage, length: int) -> Experiment:
    """Positions charged more than once in the number reported, apart from the tail."""
    places, counts = np.unique(base.places[base.places >= 0], return_counts=True)
    body = counts[places < length - min(TAIL, length // 8)]
    twice = int((body > 1).sum())
    data = {
        "positions": len(places),
        "charged_twice": twice,
        "charged_twice_in_the_tail": int((counts > 1).sum()) - twice,
    }
    if not base.explained:
        return Experiment("passes", Holds.UNDECIDED, f"the score is not explained: {base.how}", data)
    if "minimum" in base.how:
        return Experiment(
            "passes", Holds.VIOLATED, "the score takes each position's best pass", data | {"best": True}
        )
    if twice > 0.05 * max(len(body), 1):
        return Experiment("passes", Holds.VIOLATED, f"{twice} positions enter the score more than once", data)
    return Experiment(
        "passes",
        Holds.HOLDS,
        f"the reported score charges each of {len(places)} positions once (the last ones left out)",
        data,
    )


def denominator(base: Stage, ground: Ground, others: Iterable[Stage] = ()) -> Experiment:
    """Compare the bytes behind the bits per byte with those the charged tokens decode to: token by token
    where the script was seen to add them up, else by the quotient of its two numbers.

    ``others`` are the stages of the same run: where one of them divides by the right bytes, two numbers
    that do not belong together (bits of a mixture beside the loss of the network) are the likelier cause.
    """
    followed = int((base.counted[0] >= 0).sum())
    if ground.byte_counts is not None and followed > 0.9 * len(base.counted[0]):
        return _token_by_token(base, ground, ground.byte_counts)
    loss, bpb = base.report.val_loss, base.report.val_bpb
    if ground.byte_counts is None or not loss or not bpb:
        return Experiment("bytes", Holds.UNDECIDED, "loss, bits per byte and byte table are not all known")
    implied = loss / math.log(2) / bpb
    known = base.places[base.places >= 0]
    whole = not base.explained or not len(known)
    actual = _bytes_per_token(ground.byte_counts[1:] if whole else ground.byte_counts[known])
    everything = _bytes_per_token(ground.byte_counts[1:])
    nearest = min((actual, everything), key=lambda v: abs(implied / v - 1))
    data = {"implied_bytes_per_token": implied, "actual_bytes_per_token": actual, "ratio": implied / nearest}
    off = abs(implied / nearest - 1)
    told = f"the score divides by {implied:.4f} bytes a token; the tokens decode to {nearest:.4f}"
    rounding = precision(base.report.line, "val_loss") / loss + precision(base.report.line, "val_bpb") / bpb
    if off <= BYTE_SLACK + rounding:
        return Experiment("bytes", Holds.HOLDS, told, data)
    if off <= 5 * BYTE_SLACK + rounding or whole or implied < nearest:
        return Experiment("bytes", Holds.UNDECIDED, told, data)
    if any(_divides_by(s, everything) for s in others):
        told += "; an earlier score divides by as many, so loss and bits per byte may be of two scorers"
        return Experiment("bytes", Holds.UNDECIDED, told, data)
    return Experiment("bytes", Holds.VIOLATED, told, data)


def _divides_by(stage: Stage, bytes_per_token: float) -> bool:
    """Whether the two numbers of a report stand to each other as so many bytes a token."""
    loss, bpb = stage.report.val_loss, stage.report.val_bpb
    if not loss or not bpb:
        return False
    return abs(loss / math.log(2) / bpb / bytes_per_token - 1) <= 5 * BYTE_SLACK


def _token_by_token(base: Stage, ground: Ground, truth: NDArray[np.int64]) -> Experiment:
    """Judge the numbers that the script looked up for its targets. Only what is added for a token at each
    of its places tells of a wrong table; a token at the border of a document may be counted otherwise."""
    known = base.counted[0] >= 0
    places, counted = base.counted[0][known], base.counted[1][known]
    over, ids = counted - truth[places], ground.tokens[places]
    excess = float(over.sum()) / max(float(truth[places].sum()), 1.0)
    always = ~np.isin(ids, ids[over <= 0])
    data: dict[str, Any] = {
        "implied_bytes_per_token": float(counted.mean()),
        "actual_bytes_per_token": float(truth[places].mean()),
        "ratio": 1.0 + excess,
        "tokens_overcounted": len(np.unique(ids[always])),
    }
    told = f"the score divides by {counted.mean():.4f} bytes a token; the tokens decode to "
    told += f"{truth[places].mean():.4f}"
    if abs(excess) <= BYTE_SLACK:
        return Experiment("bytes", Holds.HOLDS, told, data)
    if min(excess, float(over[always].sum()) / float(truth[places].sum())) <= BYTE_SLACK:
        return Experiment("bytes", Holds.UNDECIDED, told, data)
    most = int(places[always][over[always].argmax()])
    at = int(np.flatnonzero(places == most)[0])
    data["counterexample"] = {
        "place": most,
        "token": int(ids[at]),
        "bytes": int(truth[most]),
        "counted": float(counted[at]),
    }
    told += f": {data['tokens_overcounted']} of them are counted too long wherever they stand, token "
    told += f"{ids[at]} at {most} as {counted[at]:g} bytes, not {truth[most]}"
    return Experiment("bytes", Holds.VIOLATED, told, data)


def _bytes_per_token(counts: NDArray[np.int64]) -> float:
    return float(counts.mean()) if len(counts) else math.nan


def independence(plain: Trace, noisy: Trace | None) -> Experiment:
    """Other validation tokens from the start: the weights that are evaluated must be the same."""
    if noisy is None:
        return Experiment("independence", Holds.NOT_RUN, "there is no run on other validation tokens")
    ours, theirs = weights(plain), weights(noisy)
    files = _written(plain), _written(noisy)
    common = sorted(set(files[0]) & set(files[1]))
    differ = [name for name in common if files[0][name] != files[1][name]]
    data: dict[str, Any] = {
        "artifacts": common,
        "artifacts_that_differ": differ,
        "weights": ours,
        "weights_on_noise": theirs,
    }
    data |= {
        "updates_on_validation": _updates_before_entry(plain),
        "updates_while_training": _mixed_in(plain),
    }
    if not common and ours is None:
        return Experiment("independence", Holds.UNDECIDED, "no artifact was seen", data)
    if ours is not None and ours == theirs:
        return Experiment(
            "independence",
            Holds.HOLDS,
            "at this size, other validation tokens leave the evaluated weights as they are",
            data,
        )
    if not differ and (ours is None or (common and _updated_before_charge(plain))):
        return Experiment(
            "independence",
            Holds.HOLDS,
            "at this size, other validation tokens leave the artifact as it is",
            data,
        )
    if ours is None or theirs is None:
        return Experiment(
            "independence", Holds.UNDECIDED, f"{', '.join(differ)} depends on the validation tokens", data
        )
    return Experiment(
        "independence", Holds.VIOLATED, "the weights that are evaluated depend on the validation tokens", data
    )


def weights(trace: Trace) -> str | None:
    """Digest of the parameters at the first charge after the artifact was read back."""
    entry = [n for n, s in trace.of(Snapshot) if s.reason.startswith("artifact")]
    later = [w.digest for n, w in trace.of(Weights) if entry and n > entry[-1]]
    return later[0] if later else None


def _updated_before_charge(trace: Trace) -> bool:
    """Whether evaluation steps on validation before its first charge: what it weighs is then no artifact."""
    entry = [n for n, s in trace.of(Snapshot) if s.reason.startswith("artifact")]
    weighed = next((n for n, _ in trace.of(Weights) if entry and n > entry[-1]), -1)
    return any(s.positions and entry[-1] < n < weighed for n, s in trace.updates()) if entry else False


def _written(trace: Trace) -> dict[str, str]:
    read = {event.path.rpartition("/")[2] for _, event in trace.of(FileRead) if event.role == "artifact"}
    return {e.path: e.sha256 for _, e in trace.of(FileWritten) if e.path.rpartition("/")[2] in read}


def _updates_before_entry(trace: Trace) -> int:
    began = entry(trace)
    return sum(1 for n, s in trace.updates() if n < began and s.positions)


def _mixed_in(trace: Trace) -> int:
    """Updates on validation positions that are followed by a step on training data before the artifact."""
    began = entry(trace)
    steps = [(n, bool(s.positions)) for n, s in trace.updates() if n < began]
    last = max((n for n, on_validation in steps if not on_validation), default=-1)
    return sum(1 for n, on_validation in steps if on_validation and n < last)


def stage_list(main: Trace, ground: Ground) -> list[dict[str, Any]]:
    """Every score reported, for the record: line, explained or not, charges."""
    return [
        {
            "line": s.report.line,
            "explained": s.explained,
            "how": s.how,
            "charges": len(s.places),
            "computed": len(s.computed),
        }
        for s in stages(main, ground)
    ]
