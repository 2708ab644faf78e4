"""The numbers behind the pictures that come from documents: seeds, loss curves, artifact bytes, pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from checkers.audit import Audit
from harness.logs import LogBook, Measure, SizeKind, Stage, TrainLog
from reports import pipeline, shape_v1
from reports.shape_v1 import Curve, Part, RuleResult, Seed
from rules.records import contested, incumbent

MOST_POINTS = 400  # of a curve; more cannot be told apart on paper


def collect(audit: Audit, rules: Sequence[RuleResult]) -> shape_v1.Figures:
    """Gather what is known; every field stays empty where the submission does not tell."""
    flow = pipeline.stages(audit.facts, rules) if audit.facts else ()
    book = audit.logs
    if book is None:
        return shape_v1.Figures(pipeline=flow)
    return shape_v1.Figures(
        seeds=tuple(_seeds(book)),
        record_bpb=_record(audit),
        curves=tuple(_curves(book)),
        artifact=tuple(_artifact(book)),
        pipeline=flow,
    )


def _seeds(book: LogBook) -> Iterable[Seed]:
    for name, (_, score) in book.by_seed().items():
        if score.bpb is not None:
            yield Seed(seed=name, val_bpb=score.bpb, path=score.place.path, line=score.place.line)


def _record(audit: Audit) -> float | None:
    """The record to beat on the day of the claim; entries of other tracks beat nothing."""
    if not re.match(r"records/track(?!_non_record)", audit.submission.folder or ""):
        return None
    stated = (audit.logs.metadata or {}).get("date") if audit.logs else None
    record = incumbent(contested(audit.as_of, stated, audit.submission.submitted_on))
    return record.bpb if record else None


def _curves(book: LogBook) -> Iterable[Curve]:
    for log in book.logs[:8]:
        points = [(s.step, s.loss) for s in log.scores if _plottable(s.stage, s.step, s.loss)]
        if len(points) > 2:
            thin = points[:: max(1, len(points) // MOST_POINTS)]
            yield Curve(
                name=_curve_name(log),
                x=tuple(float(step or 0) for step, _ in thin),
                y=tuple(float(loss or 0) for _, loss in thin),
                path=log.path,
            )


def _plottable(stage: Stage, step: int | None, loss: float | None) -> bool:
    return stage is Stage.PROGRESS and step is not None and loss is not None


def _curve_name(log: TrainLog) -> str:
    return f"seed {log.seed_value}" if log.seed_value is not None else log.path.rsplit("/", 1)[-1]


def _artifact(book: LogBook) -> Iterable[Part]:
    """Model and code as the headline run printed them, else as the metadata claims them."""
    printed = _printed(book)
    claimed = {c.measure: int(c.value) for c in book.claims if c.seed is None}
    model = printed.get(SizeKind.MODEL) or claimed.get(Measure.MODEL_BYTES)
    code = printed.get(SizeKind.CODE) or claimed.get(Measure.CODE_BYTES)
    total = printed.get(SizeKind.TOTAL) or claimed.get(Measure.TOTAL_BYTES)
    if total and code and not model:
        model = total - code
    if model:
        yield Part(name="compressed model", bytes=model)
    if code:
        yield Part(name="code", bytes=code)


def _printed(book: LogBook) -> dict[SizeKind, int]:
    sizes = book.headline.sizes if book.headline else ()
    return {size.kind: size.bytes for size in sizes}
