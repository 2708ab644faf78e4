"""The lines of a train log that state a result: scores, sizes, durations, steps, crashes.

Each reader takes one line and gives typed records, or nothing. The patterns name the dialects of the
public archive; all of them are linear in the length of the line, which the caller bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.logs.records import Place, Score, Size, SizeKind, Stage, Step, Timing, TimingKind

_PREFIX = re.compile(  # what launchers and log shippers put before a line
    r"(?:\s*(?:\[(?:default|rank)\d+\]:|\d{10}\.\d+\s|\[\d\d:\d\d:\d\d\]\s"
    r"|\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|,\d+)?\s))+\s*"
)
_NUMBER = r"(\d{1,4}\.\d+)"
_BPB = re.compile(
    rf'([A-Za-z][\w+-]*[_ ])?(?<![A-Za-z])bpb(_exact)?"?\s*[:=]\s*{_NUMBER}(?!\d*[x%])', re.IGNORECASE
)
_LOSS = re.compile(rf"(?:val_|\b)loss\s*[:=]\s*{_NUMBER}", re.IGNORECASE)
_VALIDATION_STEP = re.compile(
    r"(?:step[: ]\s*)?(\d+)\s*(?:/\s*(\d+))?\s*[|: ]\s*(?:[\w.]+[:=]\S+\s+)*val_(?:loss|bpb)"
)
_RUNNING = re.compile(
    r"%\]|\[\d+/\d+\]|(?:chunk|batch|epoch|iter|phase)s?[ :=\[]*\d+\s*/\s*\d|running|progress|pass[ _]?1\b"
    r"|improvement|delta|\bgain|baseline|champion|record:|target:|windows? \d+/|early.?stop|\bvs\b|best_ckpt"
    r"|\best_|expected|estimate|calibrat|swa_?probe|cold\]|warm\]",
    re.IGNORECASE,
)
_TRAIN_STEP = re.compile(
    r"(?:step[: ]\s*)?(\d+)\s*/\s*(\d+)\s*[|: ]\s*(?:train_)?loss\s*[: =]\s*[\d.naninf]+"
    r"(?:.*?\btrain_time:\s*([\d.]+)\s*(ms|s|m)\b)?"
)
_STOP = re.compile(
    r"stopping_early:?\s*wallclock_cap\s+train_time:\s*([\d.]+)\s*ms(?:\s+step:\s*(\d+)(?:/(\d+))?)?"
)
_EVAL_TIME = re.compile(r"\b(?:\w*eval_)?time[:=]\s*([\d.]+)\s*(ms|s)\b|\belapsed[:=]\s*([\d.]+)\s*s\b")


def strip_prefix(line: str) -> str:
    """Drop time stamps and rank tags from the front of a line."""
    found = _PREFIX.match(line)
    return line[found.end() :] if found else line


def scores(line: str, place: Place) -> Iterator[Score]:
    """Read what a line says about the validation score.

    A line that reports an evaluation under way (a chunk, a percentage, an epoch) gives nothing.
    """
    step = _VALIDATION_STEP.match(line.lstrip())
    if step is None and _RUNNING.search(line):
        return
    found = [
        m for m in _BPB.finditer(line) if not (m[1] or "").lower().startswith(("train", "delta", "gain"))
    ]
    named = [m for m in found if (m[1] or "").lower() == "val_"] or found
    loss = _LOSS.search(line)
    seconds = eval_seconds(line)
    for match in named[:4]:
        value = match[3]
        yield Score(
            label=_label(line, match),
            loss=float(loss[1]) if loss and len(named) == 1 else None,
            bpb=float(value),
            stage=Stage.PROGRESS if step else Stage.FINAL,
            place=place,
            exact=len(value.partition(".")[2]) >= 6,
            step=int(step[1]) if step else None,
            eval_seconds=seconds,
        )


def _label(line: str, match: re.Match[str]) -> str:
    """Name a score by the words before its numbers."""
    head = line[: match.start()]
    first = re.search(r"\b(?:val_)?loss\s*[:=]", head, re.IGNORECASE)
    words = head[: first.start()] if first else head
    words = re.sub(r"\b\w+[:=][\d.]+\S*", "", words)
    name = (match[1] or "").strip("_ ").lower()
    own = name if name not in ("", "val") else ""
    return " ".join(f"{words} {own}".split())[:80].strip(" :=|>-#*")


def eval_seconds(line: str) -> float | None:
    """The duration that a line with a score gives, in seconds."""
    found = _EVAL_TIME.search(line)
    if not found or "train_time" in line:
        return None
    if found[3]:
        return float(found[3])
    return float(found[1]) / (1000.0 if found[2] == "ms" else 1.0)


_BYTES = r"[:=]?\s*(\d{1,3}(?:[,_]\d{3})+|\d{1,12})\s*(?:bytes?\b|B\b|$|\(|/\s?16)"
_SIZES: tuple[tuple[re.Pattern[str], SizeKind], ...] = tuple(
    (re.compile(pattern + _BYTES, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"total(?: \w+)? submission size ?([^:=]{0,40})", SizeKind.TOTAL),
        (r"total(?: \w+)?(?: artifact)?(?: size| bytes)? ?(\([^:=]{0,40}\)|)", SizeKind.TOTAL),
        (r"bytes_total()", SizeKind.TOTAL),
        (r"submission(?: size)?()", SizeKind.TOTAL),
        (r"artifact(?:[ _]size|[ _]bytes)? ?([^:=]{0,30})", SizeKind.ARTIFACT),
        (r"serialized[ _]model[ _]?([^:=]{0,40})", SizeKind.MODEL),
        (r"code[ _](?:size|bytes) ?([^:=]{0,40})", SizeKind.CODE),
    )
)


def size(line: str, place: Place) -> Size | None:
    """Read a printed size."""
    lower = line.lower()
    if "bytes" not in lower and "size" not in lower:
        return None
    for pattern, kind in _SIZES:
        found = pattern.search(line)
        if found:
            label = found[1].strip(" ()")
            return Size(_refine(kind, label), label, int(re.sub("[,_]", "", found[2])), place)
    return None


def _refine(kind: SizeKind, label: str) -> SizeKind:
    if kind is SizeKind.CODE and re.match(r"uncompressed|raw|plain", label, re.IGNORECASE):
        return SizeKind.CODE_RAW
    if kind is SizeKind.MODEL and not label:
        return SizeKind.RAW
    return kind


_TIMINGS: tuple[tuple[re.Pattern[str], TimingKind, float], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, scale)
    for pattern, kind, scale in (
        (r"total_eval_time(?:_with_compile)?\s*[:=]\s*([\d.]+)\s*s\b", TimingKind.EVAL_TOTAL, 1.0),
        (r"gptq\S*\s*reserving\s+([\d.]+)\s*s\b", TimingKind.RESERVE, 1.0),
        (r"effective\s*=\s*([\d.]+)\s*ms\b", TimingKind.LIMIT, 0.001),
        (
            r"gptq.{0,60}?(?:collected|calibrat\w+|hessians?).{0,60}? in ([\d.]+)\s*s\b",
            TimingKind.CALIBRATION,
            1.0,
        ),
        (r"training (?:complete|done|finished)(?: in|:)\s*([\d.]+)\s*s\b", TimingKind.TRAIN, 1.0),
        (r"training_seconds\s*[:=]\s*([\d.]+)", TimingKind.TRAIN, 1.0),
        (
            r"ttt\S*\s*done(?! val_).{0,40}?(?:elapsed|total_time|\bin)[=: ]\s*([\d.]+)\s*s\b",
            TimingKind.ADAPTATION,
            1.0,
        ),
        (r"ttt eval time\s*[:=]\s*([\d.]+)\s*s\b", TimingKind.EVAL, 1.0),
    )
)
_TIMING_WORDS = ("eval", "gptq", "effective=", "training", "done")
_TIMING_HINT = re.compile(r"eval.?time|gptq|effective=|training|done", re.IGNORECASE)


def timings(line: str, place: Place) -> Iterator[Timing]:
    """Read the durations that stand on lines of their own."""
    lower = line.lower()
    if not any(word in lower for word in _TIMING_WORDS) or not _TIMING_HINT.search(line):
        return
    for pattern, kind, scale in _TIMINGS:
        found = pattern.search(line)
        if found:
            yield Timing(kind, line[: found.start(1)].strip()[-60:], _seconds(found[1]) * scale, place)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


_SCALE = {"ms": 0.001, "s": 1.0, "m": 60.0}


def train_step(line: str, place: Place) -> Step | None:
    """Read a training step."""
    found = _TRAIN_STEP.match(line.lstrip())
    if not found:
        return None
    seconds = _seconds(found[3]) * _SCALE[found[4]] if found[3] else None
    return Step(int(found[1]), int(found[2]), seconds, place)


def stop(line: str, place: Place) -> Step | None:
    """Read the line with which training stops at its wall clock."""
    found = _STOP.search(line)
    if not found:
        return None
    step = int(found[2]) if found[2] else -1
    return Step(step, int(found[3]) if found[3] else None, _seconds(found[1]) / 1000.0, place)


def crash(line: str) -> bool:
    """Tell whether a traceback starts here."""
    return "Traceback (most recent call last)" in line
