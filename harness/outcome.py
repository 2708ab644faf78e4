"""Reading how a run ended: the scores it printed, or what stopped it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.probes import reports
from harness.record import Outcome

_TRAINED = re.compile(r"(?i)serialized|total submission size|roundtrip|peak memory|quantiz|ttt|sliding|final")
_MISSING_PROGRAM = re.compile(r"No such file or directory: '([\w.+\-/]+)'")
_NEEDS_NVCC = re.compile(r"CUDA_HOME|nvcc|Ninja is required|cutlass", re.IGNORECASE)
_KERNELS = (
    "triton",
    "fla",
    "mamba_ssm",
    "causal_conv1d",
    "liger_kernel",
    "cutlass",
    "kernels",
    "xformers",
    "apex",
)


@dataclass(frozen=True, slots=True)
class Ending:
    """One attempt: outcome, blocker, and the scores by label (nats per token, bits per byte)."""

    outcome: Outcome
    blocker: str | None
    reported: dict[str, float]
    lines: tuple[str, ...]
    ours: bool = False
    missing: str | None = None  # the package, if one is missing
    unfound: tuple[str, ...] = ()  # paths and patterns it looked for that are not there, the last first
    silent: bool = False  # it came to its end and never printed a score


def scores(text: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """The last val_loss and val_bpb printed, and every line that stated one."""
    reported: dict[str, float] = {}
    lines: list[str] = []
    for line in text.splitlines():
        report = reports.parse(line)
        if report is None or report.val_bpb is None:
            continue
        lines.append(report.line)
        if len(lines) > 1 and reports.names(line, reported["val_bpb"], lines[-2]):
            continue  # a summary of scores: the one made last stands
        reported = {"val_bpb": report.val_bpb}
        if report.val_loss is not None:
            reported["val_loss"] = report.val_loss
    return reported, tuple(lines)


def judge(output: str, status: Path, timed_out: bool, seconds: float) -> Ending:
    """Say how an attempt ended, from its output and the child's own account."""
    reported, lines = scores(output)
    if timed_out:
        return Ending(
            Outcome.TIMEOUT, f"not finished after {seconds:.0f} s; {_last(output)}", reported, lines
        )
    told = _status(status)
    kind = told.get("kind", "killed")
    if kind == "end" or (kind == "exit" and told.get("error") == "0"):
        return _ended(output, reported, lines)
    if kind == "exit":
        code = told["error"][:200]
        said = f"{code}; {_last(output)}" if code.lstrip("-").isdigit() else code
        return Ending(Outcome.CRASHED, f"the script left with {said}", reported, lines)
    if kind == "killed":
        return Ending(Outcome.CRASHED, f"the process died; {_last(output)}", reported, lines)
    return _died(told, reported, lines)


def _ended(output: str, reported: dict[str, float], lines: tuple[str, ...]) -> Ending:
    if not reported:
        return Ending(Outcome.CRASHED, f"ended without a val_bpb; {_last(output)}", {}, (), silent=True)
    if not _TRAINED.search(output):
        return Ending(Outcome.COMPLETED, None, reported, (*lines, "no trace of serialization in the output"))
    return Ending(Outcome.COMPLETED, None, reported, lines)


def _died(told: dict[str, Any], reported: dict[str, float], lines: tuple[str, ...]) -> Ending:
    error, missing = told.get("error", ""), told.get("missing")
    last = _headline(error, told["kind"])[:300]
    if missing:
        what = "kernel package" if missing.partition(".")[0] in _KERNELS else "package"
        return Ending(Outcome.BLOCKED, f"missing {what}: {missing}", reported, lines, missing=missing)
    if told.get("lacking"):
        return Ending(Outcome.BLOCKED, told["lacking"], reported, lines, ours=True)
    if _NEEDS_NVCC.search(error):
        return Ending(Outcome.BLOCKED, f"missing program: nvcc ({last[:160]})", reported, lines)
    program = _MISSING_PROGRAM.search(error)
    if program and "/" not in program[1]:
        return Ending(Outcome.BLOCKED, f"missing program: {program[1]}", reported, lines)
    if error.startswith("NotImplementedError: facade") or "facade:" in error:
        return Ending(Outcome.BLOCKED, last, reported, lines, ours=True)
    where = f" at {told['where']}" if told.get("where") else ""
    unfound = tuple(str(path) for path in told.get("unfound", ()))
    ours = bool(told.get("ours"))
    return Ending(Outcome.CRASHED, f"{last}{where}", reported, lines, ours=ours, unfound=unfound)


def _headline(error: str, kind: str) -> str:
    """The line that names the exception: a syntax error shows its place and text first."""
    lines = error.splitlines()
    return next((line for line in lines if line.startswith(kind)), lines[0] if lines else kind)


def _status(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"last line: {lines[-1][:200]}" if lines else "it printed nothing"
