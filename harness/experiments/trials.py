"""The probes of one waiting run: start them, wait for them, and turn them into experiments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.events import Executed, Scrambled
from harness.experiments import prefix
from harness.experiments.bench import Ground, Session, Tokens
from harness.experiments.evalue import TAU, kraft
from harness.experiments.stages import Stage, final
from harness.record import Experiment, Holds
from harness.trace import Trace

EVERY = 8
"""Kraft: one token in eight is replaced, so that the rest still is text."""


@dataclass
class Trials:
    """A session, its plain last stage, and the time that is left."""

    session: Session
    ground: Ground
    base: Stage
    deadline: float
    notes: list[str] = field(default_factory=list)

    def left(self) -> float:
        """Seconds that may still be spent."""
        return self.deadline - self.session.clock()

    def stage(self, stream: int) -> tuple[Trace | None, Stage | None]:
        """Wait for a probe; its trace and its last stage."""
        trace = self.session.result(stream, max(self.left(), 1.0))
        return trace, None if trace is None else final(trace, self.ground)

    def shift(self, new: Tokens, stream: int) -> prefix.Shift | None:
        """Wait for a probe that changed the tokens and compare it with the plain run."""
        _, stage = self.stage(stream)
        if stage is None or not len(stage.places):
            return None
        return prefix.compare(self.base, stage, self.ground.tokens, new)


def repeat(trials: Trials, stream: int) -> tuple[Experiment, Experiment]:
    """An unchanged fork: is the arithmetic deterministic, and which lines does scoring run?"""
    trace, stage = trials.stage(stream)
    if trace is None or stage is None:
        why = "the unchanged fork did not reach the score"
        return Experiment("repeat", Holds.UNDECIDED, why), Experiment("coverage", Holds.NOT_RUN, why)
    layers = {e.path: [list(r) for r in e.ranges] for _, e in trace.of(Executed)}
    lines = sum(b - a + 1 for spans in layers.values() for a, b in spans)
    coverage = Experiment(
        "coverage", Holds.HOLDS, f"{lines} lines of the scoring path ran", {"layers": layers}
    )
    same = len(stage.nats) == len(trials.base.nats)
    gap = float(np.abs(stage.nats - trials.base.nats).max()) if same and len(stage.nats) else math.inf
    data = {"charges": len(stage.nats), "largest": gap if math.isfinite(gap) else None}
    if gap == 0.0:
        return Experiment(
            "repeat", Holds.HOLDS, "an unchanged fork repeats every charge exactly", data
        ), coverage
    summary = "an unchanged fork does not repeat the charges: differences prove nothing here"
    return Experiment("repeat", Holds.UNDECIDED, summary, data), coverage


def prefix_invariance(trials: Trials, repeats: bool) -> Experiment:
    """Change everything from one place on, then single tokens; charges made before must not move."""
    if not trials.base.explained:
        return Experiment("prefix", Holds.UNDECIDED, f"the score is not explained: {trials.base.how}")
    tried = [_shift for _shift in _shifts(trials) if _shift is not None]
    if not tried or not any(s.reached and s.compared for s in tried):
        return Experiment("prefix", Holds.UNDECIDED, "no change of a token reached the scorer")
    data = _prefix_data(tried)
    proof = next((s for s in reversed(tried) if s.proves), None)
    if proof is not None and repeats:
        return Experiment(
            "prefix", Holds.VIOLATED, _tell(proof, trials), data | {"counterexample": _case(proof, trials)}
        )
    moved = sum(s.moved for s in tried)
    if moved:
        summary = (
            f"{moved} earlier charges moved by at most {data['largest']:.1e} nats, no more than rounding may"
        )
        return Experiment("prefix", Holds.UNDECIDED, summary, data)
    summary = (
        f"{data['compared']} earlier charges equal to the last bit after {len(tried)} changes of later tokens"
    )
    return Experiment("prefix", Holds.HOLDS, summary, data)


def _shifts(trials: Trials) -> list[prefix.Shift | None]:
    """The tail from the middle on, one token at three quarters, the last window; then a smaller example."""
    length = len(trials.ground.tokens)
    changes = [
        prefix.tail_change(trials.ground, length // 2 + 17),
        prefix.single_change(trials.ground, (3 * length) // 4 + 5),
    ]
    started = [(new, trials.session.start(new)) for new in changes]
    tried = [trials.shift(new, stream) for new, stream in started]
    if trials.left() > 3 * max(trials.session.seconds.values(), default=0.0) + 2:
        new = prefix.single_change(trials.ground, length // 4 + 9)
        tried.append(trials.shift(new, trials.session.start(new)))
    if tried[0] is not None and tried[0].proves and not any(t and t.proves for t in tried[1:]):
        tried.append(_smaller(trials, changes[0]))
    return tried


def _smaller(trials: Trials, new: Tokens) -> prefix.Shift | None:
    """Halve the set of changed places while the charges before still move."""
    places = np.flatnonzero(new != trials.ground.tokens)
    best: prefix.Shift | None = None
    while len(places) > 1 and trials.left() > 2:
        part = places[: len(places) // 2]
        changed = trials.ground.tokens.copy()
        changed[part] = new[part]
        shift = trials.shift(changed, trials.session.start(changed))
        if shift is None or not shift.proves:
            break
        best, places = shift, part
    return best


def _prefix_data(tried: list[prefix.Shift]) -> dict[str, Any]:
    return {
        "changes": [list(s.changed) for s in tried],
        "compared": sum(s.compared for s in tried),
        "moved": sum(s.moved for s in tried),
        "moved_clearly": sum(s.clear for s in tried),
        "largest": max(s.largest for s in tried),
        "reached": sum(s.reached for s in tried),
    }


def _case(shift: prefix.Shift, trials: Trials) -> dict[str, Any]:
    place, before, after = shift.example or (-1, 0.0, 0.0)
    return {
        "changed_places": list(shift.changed),
        "was": trials.ground.tokens[list(shift.changed)].tolist(),
        "charged_place": place,
        "nats_before": before,
        "nats_after": after,
        "charges_moved": shift.clear,
    }


def _tell(shift: prefix.Shift, trials: Trials) -> str:
    place, before, after = shift.example or (-1, 0.0, 0.0)
    return (
        f"validation token {shift.changed[0]} changed; the loss charged earlier at {place} moved from "
        f"{before:.4f} to {after:.4f} nats ({shift.clear} of {shift.compared} earlier charges moved)"
    )


def sparse_noise(ground: Ground, seed: int = 97) -> tuple[Tokens, Tokens]:
    """Text in which every eighth ordinary token is uniform noise; the tokens and the places of noise."""
    ordinary = np.flatnonzero(np.isin(ground.tokens, ground.ordinary))
    places = ordinary[ordinary > 0][EVERY // 2 :: EVERY]
    changed = ground.tokens.copy()
    changed[places] = np.random.default_rng(seed).choice(ground.ordinary, len(places))
    return changed, places


def kraft_sum(trials: Trials, noise: Experiment | None) -> Experiment:
    """Estimate the mean Kraft sum on text with sparse noise, and recall the one on pure noise."""
    new, places = sparse_noise(trials.ground)
    _, stage = trials.stage(trials.session.start(new))
    data: dict[str, Any] = {"alphabet": len(trials.ground.ordinary), "every": EVERY}
    evidence = -math.inf
    if stage is not None and stage.explained:
        at, nats, _ = stage.first()
        sums = kraft(nats[np.isin(at, places)], len(trials.ground.ordinary))
        evidence = sums.evidence
        data |= {
            "text_mean": sums.mean,
            "text_error": sums.error,
            "text_evidence_nats": evidence,
            "text_count": sums.count,
        }
    if noise is not None and "kraft_mean" in noise.data:
        evidence = max(evidence, float(noise.data["kraft_evidence_nats"]))
        data |= {f"noise_{k[6:]}": v for k, v in noise.data.items() if k.startswith("kraft_")}
    if not math.isfinite(evidence):
        return Experiment(
            "kraft", Holds.UNDECIDED, "the charges of replaced tokens could not be followed", data
        )
    return _kraft_verdict(evidence, data)


def _kraft_verdict(evidence: float, data: dict[str, Any]) -> Experiment:
    means = [f"{data[k]:.3f} ± {data[e]:.3f} on {w}" for k, e, w in _MEANS if k in data]
    told = "the charges sum to Z = " + ", ".join(means) + " over the alphabet"
    data["evidence_nats"] = evidence
    if evidence >= TAU:
        told += f": above 1, a valid scorer does so with probability below e^-{evidence:.0f}"
        return Experiment("kraft", Holds.VIOLATED, told, data)
    return Experiment("kraft", Holds.HOLDS, told, data)


_MEANS = (("text_mean", "text_error", "text"), ("noise_mean", "noise_error", "noise"))


def roundtrip(trials: Trials, stream: int) -> Experiment:
    """Wipe the weights in memory as the artifact is read back: the score must come from the artifact."""
    trace, stage = trials.stage(stream)
    if trace is None or stage is None:
        return Experiment(
            "roundtrip", Holds.UNDECIDED, "the score was not reached after the weights were wiped"
        )
    wiped = sum(e.parameters for _, e in trace.of(Scrambled))
    was, now = _score(trials.base), _score(stage)
    data = {"parameters_wiped": wiped, "score": was, "score_after": now}
    if not wiped or was is None or now is None:
        return Experiment("roundtrip", Holds.UNDECIDED, "there was nothing to wipe", data)
    if abs(was - now) <= 1e-6 * max(abs(was), 1.0):
        return Experiment(
            "roundtrip", Holds.HOLDS, f"the score stands with {wiped} tensors in memory wiped", data
        )
    summary = f"with the weights in memory wiped the score moves from {was:.4f} to {now:.4f}"
    return Experiment("roundtrip", Holds.VIOLATED, summary, data)


def _score(stage: Stage) -> float | None:
    return stage.report.val_loss if stage.report.val_loss is not None else stage.report.val_bpb
