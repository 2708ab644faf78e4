"""Noise: tokens that nothing can compress, and a score that must not pretend to.

Every ordinary token of the validation stream is replaced by one drawn independently and uniformly
from the ordinary alphabet; boundary tokens stay where they are, so that documents keep their
lengths and batches their shapes. Boundaries are granted for free: the floor counts noise positions
only, ``n ln A`` nats over the n noise positions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from harness.experiments import drawn
from harness.experiments.bench import Ground, Tokens
from harness.experiments.evalue import TAU, kraft, saving
from harness.experiments.stages import Stage
from harness.probes.reports import precision
from harness.record import Experiment, Holds

ASSUMED_TIMES = 64
"""How often a position may be charged where the charges were not seen: a window of 2,048 tokens with
stride 64 starts 32 windows over the last tokens; twice that."""
SEED = 20_261_123


def noise_tokens(ground: Ground, seed: int = SEED) -> Tokens:
    """The validation stream with every ordinary token replaced by noise; same shape."""
    noise = np.random.default_rng(seed).choice(ground.ordinary, len(ground.tokens))
    return np.where(np.isin(ground.tokens, ground.ordinary), noise, ground.tokens).astype(np.int64)


def judge(noisy: Stage | None, plain: Stage | None, ground: Ground) -> Experiment:
    """Decide from the last stage of the run on noise (``plain``: of the run on text)."""
    if noisy is None:
        return Experiment("noise", Holds.NOT_RUN, "the run on noise reported no score")
    if noisy.explained:
        return _by_charges(noisy, ground)
    return _by_claim(noisy, plain, ground)


def _by_charges(stage: Stage, ground: Ground) -> Experiment:
    """Every charge that makes up the number is known."""
    noise = (stage.places > 0) & np.isin(ground.tokens[stage.places], ground.ordinary)
    size, times = len(ground.ordinary), stage.times()
    evidence = saving(stage.nats[noise], size, times)
    places, nats, _ = stage.first()
    once = np.isin(ground.tokens[places], ground.ordinary)
    sums = kraft(nats[once], size)
    data = {
        "basis": "charges",
        "alphabet": size,
        "floor_nats_per_token": math.log(size),
        "nats_per_token": float(stage.nats[noise].mean()) if noise.any() else math.nan,
        "positions": int(noise.sum()),
        "charged_at_most": times,
        "reported": stage.report.val_loss,
        "evidence_nats": evidence,
        "kraft_mean": sums.mean,
        "kraft_error": sums.error,
        "kraft_evidence_nats": sums.evidence,
        "kraft_profile": drawn.kraft_profile(places[once], nats[once], size),
        "by_position": _profile(places[once], nats[once], len(ground.tokens), size),
    }
    return _verdict(max(evidence, 0.0), data, size)


def _by_claim(stage: Stage, plain: Stage | None, ground: Ground) -> Experiment:
    """Only the printed number is known: it claims a mean over all tokens, in nats."""
    loss = stage.report.val_loss
    size, count = len(ground.ordinary), len(ground.tokens) - 1
    noise = int(np.isin(ground.tokens[1:], ground.ordinary).sum())
    problem = _doubt(stage, plain, ground)
    if loss is None or problem:
        summary = f"the score on noise could not be judged: {problem}"
        return Experiment("noise", Holds.UNDECIDED, summary, {"reported": loss, "why": stage.how})
    slack = precision(stage.report.line, "val_loss") * count
    evidence = (noise * math.log(size) - loss * count - slack) / ASSUMED_TIMES
    data = {
        "basis": "reported number",
        "alphabet": size,
        "floor_nats_per_token": noise * math.log(size) / count,
        "nats_per_token": loss,
        "positions": noise,
        "charged_at_most": ASSUMED_TIMES,
        "reported": loss,
        "evidence_nats": evidence,
    }
    if evidence < TAU:
        summary = f"{loss:.4f} nats per token on noise, but the charges behind it were not all seen"
        return Experiment("noise", Holds.UNDECIDED, summary, data)
    return _verdict(evidence, data, size)


def _doubt(stage: Stage, plain: Stage | None, ground: Ground) -> str:
    """Why a printed number may not be a loss in nats per token, or may be a placeholder."""
    loss, bpb = stage.report.val_loss, stage.report.val_bpb
    if loss is None:
        return "no loss is printed"
    if loss < 0.02:
        return "the number looks like a placeholder"
    if plain is None or plain.report.val_loss is None or abs(plain.report.val_loss - loss) < 1e-4:
        return "the number does not depend on the validation tokens"
    if bpb and ground.byte_counts is not None:
        implied = loss / math.log(2) / bpb
        actual = float(ground.byte_counts[1:].mean())
        if not 0.6 < implied / actual < 1.8:
            return "loss and bits per byte do not belong together"
    return ""


def _verdict(evidence: float, data: dict[str, object], size: int) -> Experiment:
    rate, floor = data["nats_per_token"], math.log(size)
    if evidence >= TAU:
        summary = (
            f"uniform noise over {size} symbols is charged {rate:.4f} nats per token where no code can "
            f"average below {floor:.4f}: a valid scorer does so with probability below e^-{evidence:.0f}"
        )
        return Experiment("noise", Holds.VIOLATED, summary, data)
    summary = f"noise is charged {rate:.4f} nats per token; the floor is {floor:.4f}"
    return Experiment("noise", Holds.HOLDS, summary, data)


def _profile(
    places: NDArray[np.int32], nats: NDArray[np.float64], length: int, size: int, parts: int = 16
) -> list[float]:
    """Mean nats saved per token in equal parts of the stream: where the noise is compressed."""
    bins = np.minimum(places.astype(np.int64) * parts // max(length, 1), parts - 1)
    counts = np.bincount(bins, minlength=parts)
    saved = np.bincount(bins, weights=math.log(size) - nats, minlength=parts)
    return [round(float(s / c), 5) if c else 0.0 for s, c in zip(saved, counts, strict=True)]
