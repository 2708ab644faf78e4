"""Starting the child and waiting for it, within a time limit and with its output in a file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.sandbox import Mount, Sandbox
from harness.supply import WRITTEN

PROJECT = Path(__file__).resolve().parent.parent
CHILD = ("-m", "harness.child")
OUTPUT_LIMIT = 8 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """One process to run: its folder is the only place it can write to besides a private /tmp."""

    root: Path  # writable
    cwd: Path
    plan: Path
    env: dict[str, str]
    readable: tuple[Path, ...] = ()
    links: tuple[tuple[str, Path], ...] = ()  # absolute path inside -> folder shown there
    fds: tuple[int, ...] = ()
    seconds: float = 180.0


@dataclass(frozen=True, slots=True)
class Finished:
    """What a job left: exit code (negative: killed by that signal), output, wall seconds."""

    code: int
    output: str
    timed_out: bool
    seconds: float
    notes: tuple[str, ...] = field(default=())


RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher such as torchrun sets."""
SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""Those of them that tell how many ranks there are."""

Attend = Callable[["subprocess.Popen[bytes]", float], None]
"""Called with the running process and its deadline on the monotonic clock; returns before it."""


def environment(run_root: Path, home: Path) -> dict[str, str]:
    """The whole environment of a child before the script's own settings: nothing is inherited."""
    return {
        "PATH": f"{run_root / 'bin'}:/usr/local/bin:/usr/bin:/bin:{Path(sys.executable).parent}",
        "HOME": str(home),
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(PROJECT),
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MLX_DISABLE_COMPILE": "1",  # MLX would call a C++ compiler
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
    }


def run(job: Job, sandbox: Sandbox, attend: Attend | None = None) -> Finished:
    """Run a job to its end or its deadline; every process of it is gone on return."""
    command = [sys.executable, *CHILD, str(job.plan)]
    mounts = [Mount(job.root, writable=True), Mount(PROJECT / "harness")]
    mounts += [Mount(path) for path in job.readable]
    written = job.root / WRITTEN
    mounts += [Mount(target, inside, target.is_relative_to(written)) for inside, target in job.links]
    output = job.root / "output.txt"
    began = time.monotonic()
    with output.open("wb") as sink:
        process = sandbox.start(command, job.cwd, job.env, mounts, sink, job.fds)
        timed_out = _wait(process, began + job.seconds, attend)
    seconds = time.monotonic() - began
    with output.open("rb") as source:
        text = source.read(OUTPUT_LIMIT).decode("utf-8", "replace")
    return Finished(process.returncode, text, timed_out, seconds)


def _wait(process: subprocess.Popen[bytes], deadline: float, attend: Attend | None) -> bool:
    try:
        if attend is not None:
            attend(process, deadline)
        process.wait(max(0.1, deadline - time.monotonic()))
        return False
    except subprocess.TimeoutExpired:
        return True
    finally:
        if process.poll() is None:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the group; in a sandbox the namespace's first process takes all others with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
