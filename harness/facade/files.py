"""Programs that scripts start and machine facts they ask for."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness.facade.patching import constant, replace


def _installs_packages(command: Any) -> bool:
    words = [str(w) for w in command] if isinstance(command, (list, tuple)) else str(command).split()
    return "install" in words and any(w.rsplit("/", 1)[-1].startswith("pip") for w in words)


def _script(command: Any) -> list[str]:
    """The Python script that a command starts, by itself or through torchrun, and its arguments."""
    words = [str(w) for w in command] if isinstance(command, (list, tuple)) else []
    program = os.path.basename(words[0]) if words else ""
    if not program.startswith(("python", "torchrun")) or "-c" in words:
        return []
    return list(itertools.dropwhile(lambda word: not word.endswith(".py"), words[1:]))


def _relayed(plan: dict[str, Any], script: list[str], cwd: Any) -> list[str]:
    """The command that runs a script as this process runs its own, without instruments."""
    folder = Path(tempfile.mkdtemp(prefix="golf-relay-"))
    theirs = {
        "script": str(Path(cwd or ".").resolve() / script[0]),
        "argv": script[1:],
        "status": str(folder / "status.json"),
        "probes": None,
    }
    path = folder / "plan.json"
    path.write_text(json.dumps({**plan, **theirs}), encoding="utf-8")
    return [sys.executable, "-m", "harness.child", str(path)]


class Popen(subprocess.Popen[Any]):
    """Python scripts find the façade in their process as well; everything else starts as it is.

    ``pip install`` does nothing and succeeds: the import that follows names what is missing.
    """

    plan: dict[str, Any] | None = None  # of this process

    def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
        if _installs_packages(args):
            args, options["shell"] = ["true"], False
        elif Popen.plan is not None and (script := _script(args)):
            args = _relayed(Popen.plan, script, options.get("cwd"))
        super().__init__(args, *rest, **options)


def install() -> None:
    """Replace process creation and the number of CPUs."""
    replace(subprocess, Popen=Popen)
    replace(os, cpu_count=constant(2))
    if hasattr(os, "sched_getaffinity"):
        replace(os, sched_getaffinity=constant({0, 1}))
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 3000))
