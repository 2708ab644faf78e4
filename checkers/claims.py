"""What each source claims about one submission, side by side: metadata, README, logs, and our run."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from harness.logs import LogBook
from harness.logs.records import Claim, SizeKind, TimingKind, TrainLog
from harness.record import RunRecord
from harness.submission import Submission

_MOST_SEEDS = 12


def table(
    book: LogBook, run: RunRecord | None = None, submission: Submission | None = None
) -> dict[str, dict[str, Any]]:
    """Map each source to the quantities it gives; losses in nats per token, sizes in bytes.

    ``recomputed`` holds the size of the script as shipped, and what the submission's own code reported on
    our small data: that shows that the path ran, and is no reproduction of the score.
    """
    sources = {
        "submission.json": _claimed([c for c in book.claims if c.place.path == book.metadata_path]),
        "readme": _claimed([c for c in book.claims if c.place.path == book.readme_path]),
        "log": _logged(book),
        "recomputed": _shipped(submission) | _reported(run),
    }
    return {name: values for name, values in sources.items() if values}


def _claimed(claims: list[Claim]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for claim in claims:
        if claim.seed is None:
            whole.setdefault(claim.measure.value, claim.value)
    seeds = {str(c.seed): c.value for c in claims if c.seed is not None and c.measure.value == "val_bpb"}
    if seeds:
        whole["val_bpb by seed"] = dict(list(seeds.items())[:_MOST_SEEDS])
    return whole


def _logged(book: LogBook) -> dict[str, Any]:
    log = book.headline
    if log is None:
        return {}
    last = next((s for s in reversed(log.finals) if s.bpb is not None), None)
    values = {
        "val_bpb": last.bpb if last else None,
        "val_loss": last.loss if last else None,
        "bytes_total": _total(log),
        "train seconds": _longest(log, TimingKind.TRAIN),
        "eval seconds": _longest(log, TimingKind.EVAL),
        **_over_seeds(book),
    }
    return {name: value for name, value in values.items() if value is not None}


def _longest(log: TrainLog, kind: TimingKind) -> float | None:
    return max((t.seconds for t in log.timings if t.kind is kind), default=None)


def _total(log: TrainLog) -> int | None:
    return next((s.bytes for s in reversed(log.sizes) if s.kind is SizeKind.TOTAL), None)


def _over_seeds(book: LogBook) -> dict[str, Any]:
    """What a claim over several seeds is to be compared with: their scores, the means, the largest size."""
    found = book.by_seed()
    seeds = {name: score.bpb for name, (log, score) in found.items() if log.seed_value is not None}
    told: dict[str, Any] = {}
    if len(seeds) > 1:
        runs = [found[name] for name in seeds]
        totals = [t for log, _ in runs if (t := _total(log)) is not None]
        losses = [score.loss for _, score in runs if score.loss is not None]
        told["val_bpb (mean of the seeds)"] = fmean(bpb for bpb in seeds.values() if bpb is not None)
        told["val_loss (mean of the seeds)"] = fmean(losses) if len(losses) == len(runs) else None
        told["bytes_total (largest of the seeds)"] = max(totals, default=None)
    return told | {"val_bpb by seed": dict(list(seeds.items())[:_MOST_SEEDS]) or None}


def _shipped(submission: Submission | None) -> dict[str, Any]:
    sizes = {e.path: e.size for e in submission.entries} if submission else {}
    script = submission.entry_script if submission else None
    return {"bytes_code": sizes[script]} if script in sizes else {}


def _reported(run: RunRecord | None) -> dict[str, Any]:
    return {f"{name} (tiny, on a CPU)": value for name, value in run.reported.items()} if run else {}
