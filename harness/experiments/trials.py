"""The probes of one waiting run, turned into experiments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.events import Executed, Scrambled, Weights
from harness.experiments import drawn, prefix, proposals
from harness.experiments.bench import Ground, Tokens
from harness.experiments.evalue import TAU, kraft, measured
from harness.experiments.forks import Trials
from harness.experiments.stages import Stage
from harness.record import Experiment, Holds
from harness.trace import Trace

EVERY = 8
"""Kraft: one token in eight is replaced, so that the rest still is text."""
PROMISING = 3.0
"""Nats of evidence that are worth another sample of likely tokens: one valid scorer in twenty gets one."""
MORE = 6
"""Samples that are drawn again at most."""


@dataclass
class Volley:
    """The first probes, fired together; for a valid head they are all that is needed.

    ``many`` changes one token in eight from the middle on, wipes the weights in memory and traces
    lines, all in one fork: where every charge before the middle is equal to the last bit, the
    arithmetic is deterministic, the weights came from the artifact and the prefix holds. ``likely``
    puts a ``Proposal`` in from the first quarter on (or, where the stream is not charged from left to
    right, noise in what is charged last). Only when the charges differ are the causes
    probed one by one.
    """

    trials: Trials
    wiped: bool
    shifts: list[prefix.Shift] = field(default_factory=list)
    many: Stage | None = None
    likely: Stage | None = None
    proposal: proposals.Proposal | None = None
    trace: Trace | None = None
    clean: bool = False
    replaced: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def fire(self) -> None:
        """Start both probes and wait for them."""
        trials, length = self.trials, len(self.trials.ground.tokens)
        changed, self.replaced = sparse_noise(trials.ground, prefix.inside(trials.base, length // 2 + 17))
        if prefix.in_order(trials.base):
            self.proposal = proposals.draw(trials.ground, prefix.inside(trials.base, length // 4 + 9))
            other = self.proposal.tokens
        else:
            other = prefix.late_change(trials.ground, trials.base)
        first = trials.start(changed, scramble=self.wiped, coverage=True)
        second = trials.start(other)
        self.trace, self.many = trials.stage(first)
        shift = trials.compared(self.many, changed)
        if shift is not None:
            self.clean = shift.reached and shift.compared > 0 and shift.moved == 0
            if self.clean or not self.wiped:
                self.shifts.append(shift)
        _, self.likely = trials.stage(second)
        shift = trials.compared(self.likely, other)
        self.shifts += [shift] if shift is not None else []

    def coverage(self) -> Experiment:
        """Which lines scoring ran."""
        layers: dict[str, list[list[int]]] = {}
        if self.trace is not None:
            layers = {e.path: [list(r) for r in e.ranges] for _, e in self.trace.of(Executed)}
        if not layers:
            return Experiment("coverage", Holds.NOT_RUN, "no probe reached the end of the evaluation")
        lines = sum(b - a + 1 for spans in layers.values() for a, b in spans)
        return Experiment(
            "coverage", Holds.HOLDS, f"{lines} lines of the scoring path ran", {"layers": layers}
        )

    def repeat(self) -> Experiment:
        """Whether forks repeat charges exactly: shown by ``many``, else by an unchanged fork."""
        if self.clean:
            return Experiment("repeat", Holds.HOLDS, "forks repeat the charges exactly")
        return repeat(self.trials, self.trials.start())

    def roundtrip(self) -> Experiment:
        """Whether the weights come from the artifact: shown by ``many``, else by a fork of its own."""
        if not self.wiped:
            return Experiment("roundtrip", Holds.UNDECIDED, "no artifact was seen to be read back")
        count = 0 if self.trace is None else sum(e.parameters for _, e in self.trace.of(Scrambled))
        if self.clean and not count:
            return Experiment("roundtrip", Holds.UNDECIDED, "there was nothing to wipe")
        if self.clean:
            told = f"the charges stand with {count} tensors in memory wiped"
            return Experiment("roundtrip", Holds.HOLDS, told, {"parameters_wiped": count})
        return roundtrip(self.trials, self.trials.start(scramble=True))

    def prefix(self, steady: bool, rescored: bool = False) -> Experiment:
        """Prefix invariance, with a fork of its own where ``many`` was not clean."""
        ground, length = self.trials.ground, len(self.trials.ground.tokens)
        if any(s.proves for s in self.shifts) or not self.clean:
            alone = prefix.single_change(ground, prefix.inside(self.trials.base, (3 * length) // 4 + 5))
            shift = self.trials.shift(alone, self.trials.start(alone))
            self.shifts += [shift] if shift is not None else []
        if not self.clean and self.trials.left() > 1:
            new = prefix.tail_change(ground, prefix.inside(self.trials.base, length // 2 + 17))
            shift = self.trials.shift(new, self.trials.start(new))
            if shift is not None:
                self.shifts.insert(0, shift)
                if shift.proves and not any(s.proves for s in self.shifts[1:]):
                    smaller = _smaller(self.trials, new)
                    self.shifts += [smaller] if smaller is not None else []
        return judge_prefix(self.trials, self.shifts, steady, rescored)


def repeat(trials: Trials, stream: int) -> Experiment:
    """An unchanged fork: is the arithmetic deterministic?"""
    _, stage = trials.stage(stream)
    if stage is None:
        return Experiment("repeat", Holds.UNDECIDED, "the unchanged fork did not reach the score")
    same = len(stage.nats) == len(trials.base.nats)
    gap = float(np.abs(stage.nats - trials.base.nats).max()) if same and len(stage.nats) else math.inf
    data = {"charges": len(stage.nats), "largest": gap if math.isfinite(gap) else None}
    if gap == 0.0:
        return Experiment("repeat", Holds.HOLDS, "an unchanged fork repeats every charge exactly", data)
    summary = "an unchanged fork does not repeat the charges: differences prove nothing here"
    return Experiment("repeat", Holds.UNDECIDED, summary, data)


def other_training(trials: Trials, opened: Experiment, weights: str | None) -> Experiment:
    """Where training shards are opened during evaluation: do other training tokens move the charges?

    ``weights`` is the digest of what the plain run scores. A temperature fitted to training tokens moves
    charges, too; only weights that depend on them are calibration or training in evaluation time. Where no
    artifact was read back, a shard opened between the charges accuses nobody unless charges move with it: it
    may be the next one that a loader fetches ahead.
    """
    if opened.result is not Holds.VIOLATED:
        return opened
    if not opened.data.get("artifact_read_back", True):
        opened = replace(opened, result=Holds.UNDECIDED)
    trace, stage = trials.stage(trials.start(training=True))
    if trace is None or stage is None or not trials.base.explained:
        return replace(opened, summary=opened.summary + trials.ending())
    if len(stage.nats) != len(trials.base.nats):
        return opened
    gap = float(np.abs(stage.nats - trials.base.nats).max(initial=0.0))
    weighed = next((w.digest for _, w in trace.of(Weights)), None)
    data = opened.data | {"largest_move_with_other_shards": gap}
    data |= {"weights_moved": None not in (weights, weighed) and weights != weighed}
    if gap == 0.0 and not data["weights_moved"]:
        told = "training shards are opened during evaluation, but other shards change no charge"
        return Experiment(opened.name, Holds.HOLDS, told, data)
    moved = int((np.abs(stage.nats - trials.base.nats) > prefix.ROUNDING).sum())
    told = f"{opened.summary}; with other training tokens {moved} charges move, by up to {gap:.4f} nats"
    told += ", and other weights are scored" if data["weights_moved"] else ", while the weights stay the same"
    return Experiment(opened.name, Holds.VIOLATED, told, data | {"charges_moved": moved})


def judge_prefix(
    trials: Trials, tried: list[prefix.Shift], steady: bool, rescored: bool = False
) -> Experiment:
    """Decide from what the changes did to earlier charges.

    ``rescored``: most positions were seen to be charged after an update on themselves. Then many charges
    that move together are its consequence, however faint: a model that hardly learned moves little.
    """
    if not trials.base.explained:
        return Experiment("prefix", Holds.UNDECIDED, f"the score is not explained: {trials.base.how}")
    if not any(s.reached and s.compared for s in tried):
        return Experiment("prefix", Holds.UNDECIDED, "no change of a token reached the scorer")
    data = _prefix_data(tried)
    proof = max((s for s in tried if s.proves or (rescored and s.confirms)), key=_telling, default=None)
    if proof is not None and steady:
        data |= {"counterexample": _case(proof, trials)} | proof.series
        data |= {"changed_position": proof.changed[0]}
        return Experiment("prefix", Holds.VIOLATED, _tell(proof, trials), data)
    moved = sum(s.moved for s in tried)
    if moved:
        summary = (
            f"{moved} earlier charges moved by at most {data['largest']:.1e} nats, no more than rounding may"
        )
        if proof is not None:
            summary = "earlier charges moved, but no unchanged fork shows that they repeat"
        elif not any(s.example for s in tried):
            summary = f"{moved} charges made earlier know tokens to their left that are charged later"
        return Experiment("prefix", Holds.UNDECIDED, summary, data)
    told = (
        f"{data['compared']} earlier charges equal to the last bit after {len(tried)} changes of later tokens"
    )
    return Experiment("prefix", Holds.HOLDS, told, data)


def _smaller(trials: Trials, new: Tokens) -> prefix.Shift | None:
    """Halve the set of changed places while the charges before still move."""
    places = np.flatnonzero(new != trials.ground.tokens)
    best: prefix.Shift | None = None
    while len(places) > 1 and trials.left() > 2:
        part = places[: len(places) // 2]
        changed = trials.ground.tokens.copy()
        changed[part] = new[part]
        shift = trials.shift(changed, trials.start(changed))
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


def _telling(shift: prefix.Shift) -> tuple[bool, float]:
    """Rank counterexamples: one changed token that moves a charge visibly, else the largest shift."""
    return len(shift.changed) == 1 and shift.largest > 10 * prefix.ROUNDING, shift.largest


def _tell(shift: prefix.Shift, trials: Trials) -> str:
    place, before, after = shift.example or (-1, 0.0, 0.0)
    what = "validation token" if len(shift.changed) == 1 else "validation tokens from"
    verb = "changed" if len(shift.changed) == 1 else "on were changed"
    digits, moved = (4, shift.clear) if shift.proves else (6, shift.faint)
    return (
        f"{what} {shift.changed[0]} {verb}; the loss charged earlier at {place} moved from "
        f"{before:.{digits}f} to {after:.{digits}f} nats ({moved} of {shift.compared} earlier charges moved)"
    )


def sparse_noise(ground: Ground, start: int, seed: int = 97) -> tuple[Tokens, Tokens]:
    """Text in which every eighth token from ``start`` on is uniform over ``prefix.familiar`` ids.

    Returns the tokens and the places of noise. The places are chosen without regard to the scorer, so
    the Kraft bound holds over that alphabet.
    """
    places = np.flatnonzero(prefix.changeable(ground, max(start, 1)))[::EVERY]
    changed = ground.tokens.copy()
    changed[places] = np.random.default_rng(seed).choice(prefix.familiar(ground), len(places))
    return changed, places


def kraft_sum(volley: Volley, noise: Experiment | None) -> Experiment:
    """Estimate the mean Kraft sum on text with sparse noise, and recall the one on pure noise."""
    ground, stage = volley.trials.ground, volley.many
    size = len(prefix.familiar(ground))
    data: dict[str, Any] = {"alphabet": len(ground.ordinary), "text_alphabet": size, "every": EVERY}
    found: list[float] = []
    if stage is not None and stage.explained:
        at, nats, _ = stage.first()
        here = np.isin(at, volley.replaced)
        if here.any():
            sums = kraft(nats[here], size)
            found.append(sums.evidence)
            data |= drawn.kraft_profile(at[here], nats[here], size)
            data |= {"text_mean": sums.mean, "text_error": sums.error, "text_count": sums.count}
            data |= {"text_evidence_nats": sums.evidence}
    if volley.proposal is not None:
        told = proposals.judge(volley.proposal, volley.likely)
        found += [told["evidence_nats"]] if told else []
        data |= {f"likely_{k}": v for k, v in told.items()}
    if noise is not None and "kraft_mean" in noise.data:
        found.append(float(noise.data["kraft_evidence_nats"]))
        data |= {f"noise_{k[6:]}": v for k, v in noise.data.items() if k.startswith("kraft_")}
    if not found:
        return Experiment(
            "kraft", Holds.UNDECIDED, "the charges of replaced tokens could not be followed", data
        )
    if max(found) < TAU and volley.proposal is not None and sum(found) > PROMISING:
        found.append(_continued(volley, sum(found), data))
    return _kraft_verdict(max(found), data)


def _continued(volley: Volley, together: float, data: dict[str, Any]) -> float:
    """Draw again while the evidence so far is promising; the evidence of everything together.

    Each sample is drawn independently of those before, and given them its wealth has expectation 1 at
    most, so the wealths multiply, whenever one stops (a test martingale, Shafer 2021; safe testing,
    Gruenwald 2024). A sample whose charges cannot be followed ends it: to pass over some would be to choose.
    """
    trials = volley.trials
    start = prefix.inside(trials.base, len(trials.ground.tokens) // 4 + 9)
    slowest = max(trials.session.seconds.values(), default=0.0)
    for more in range(1, MORE + 1):
        if not PROMISING < together < TAU or trials.left() < 2 * slowest:
            break
        proposal = proposals.draw(trials.ground, start, proposals.SEED + more)
        told = proposals.judge(proposal, trials.stage(trials.start(proposal.tokens))[1])
        if not told:
            break
        together += told["evidence_nats"]
        data |= {"drawn_again": more, "together_nats": together}
    return together


def _kraft_verdict(evidence: float, data: dict[str, Any]) -> Experiment:
    means = [f"{measured(data[k], data[e])} on {w}" for k, e, w in _MEANS if k in data]
    told = "the probabilities of all tokens sum to Z = " + ", ".join(means)
    if data.get("likely_evidence_nats", -math.inf) >= TAU and data["likely_cells"] != "all":
        best = measured(data["likely_best_cell_mean"], data["likely_best_cell_error"])
        told += f" ({best} on some contexts)"
    data["evidence_nats"] = evidence
    if "drawn_again" in data:
        told += f", and {data['drawn_again']} more samples of likely tokens"
    if evidence >= TAU:
        told += f"; a code has at most 1: a valid scorer shows this with probability below e^-{evidence:.0f}"
        return Experiment("kraft", Holds.VIOLATED, told, data)
    return Experiment("kraft", Holds.HOLDS, told, data)


_MEANS = (
    ("text_mean", "text_error", "text"),
    ("likely_mean", "likely_error", "likely tokens"),
    ("noise_mean", "noise_error", "noise"),
)


def roundtrip(trials: Trials, stream: int) -> Experiment:
    """Wipe the weights in memory as the artifact is read back: the score must come from the artifact."""
    trace, stage = trials.stage(stream)
    if trace is None or stage is None:
        return Experiment(
            "roundtrip", Holds.UNDECIDED, "the score was not reached after the weights were wiped"
        )
    wiped = sum(e.parameters for _, e in trace.of(Scrambled))
    was, now = _scores(trials.base, stage)
    data = {"parameters_wiped": wiped, "score": was, "score_after": now}
    if not wiped or was is None or now is None:
        return Experiment("roundtrip", Holds.UNDECIDED, "there was nothing to wipe", data)
    if abs(was - now) <= 1e-6 * max(abs(was), 1.0):
        return Experiment(
            "roundtrip", Holds.HOLDS, f"the score stands with {wiped} tensors in memory wiped", data
        )
    summary = f"with the weights in memory wiped the score moves from {was:.4f} to {now:.4f}"
    return Experiment("roundtrip", Holds.VIOLATED, summary, data)


def _scores(one: Stage, two: Stage) -> tuple[float | None, float | None]:
    """The loss of both, or the bits per byte of both: one may state what the other does not."""
    losses = one.report.val_loss, two.report.val_loss
    return losses if None not in losses else (one.report.val_bpb, two.report.val_bpb)
