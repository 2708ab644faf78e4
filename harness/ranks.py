"""Several ranks in one sandbox: what torchrun does, by forking before torch is imported."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

REAL_TIME, REAL_SLEEP = time.monotonic, time.sleep
"""Taken before the virtual clock replaces them."""
PATIENCE = 5.0
"""Seconds in which the other ranks may end when rank 0 has."""


def split(plan: dict[str, Any], ranks: int) -> list[int]:
    """Become ``ranks`` processes. Rank 0 gets the others' process ids and keeps the plan.

    Each other rank writes its output beside the plan's status file and its own status; only rank 0 is
    instrumented.
    """
    if ranks > 1 or "WORLD_SIZE" not in os.environ:
        os.environ.update({"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)})
    others: list[int] = []
    for rank in range(1, ranks):
        pid = os.fork()
        if pid:
            others.append(pid)
            continue
        os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank)})
        status = Path(plan["status"])
        output = os.open(status.with_name(f"output-{rank}.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        plan["status"] = str(status.with_name(f"status-{rank}.json"))
        plan["probes"] = None
        return []
    return others


def gather(plan: dict[str, Any], ended: dict[str, Any], others: list[int]) -> dict[str, Any]:
    """How the run ended: as under torchrun, badly if any rank ended so, for the reason of the first."""
    if not others:
        return ended
    waiting = set(others)
    deadline = REAL_TIME() + PATIENCE
    while waiting and REAL_TIME() < deadline:
        waiting = {pid for pid in waiting if os.waitpid(pid, os.WNOHANG) == (0, 0)}
        REAL_SLEEP(0.05)
    for pid in waiting:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    well = ended["kind"] in ("end", "exit")
    if not well and not re.search(r"onnection|gloo", ended["error"], re.IGNORECASE):
        return ended
    return _failure(Path(plan["status"]), len(others)) or ended


def _failure(status: Path, others: int) -> dict[str, Any] | None:
    """What another rank died of; a rank that had to be killed has told nothing."""
    for rank in range(1, others + 1):
        told = status.with_name(f"status-{rank}.json")
        other = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {"kind": "end"}
        if other["kind"] not in ("end", "exit"):
            return {**other, "error": f"rank {rank}: {other['error']}"}
    return None
