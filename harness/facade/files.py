"""Programs that scripts start and machine facts they ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from harness.facade.patching import constant, replace


def _installs_packages(command: Any) -> bool:
    words = [str(w) for w in command] if isinstance(command, (list, tuple)) else str(command).split()
    return "install" in words and any(w.rsplit("/", 1)[-1].startswith("pip") for w in words)


class Popen(subprocess.Popen[Any]):
    """``pip install`` does nothing and succeeds: the import that follows names what is missing."""

    def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
        if _installs_packages(args):
            args, options["shell"] = ["true"], False
        super().__init__(args, *rest, **options)


def install() -> None:
    """Replace process creation and the number of CPUs."""
    replace(subprocess, Popen=Popen)
    replace(os, cpu_count=constant(2))
    if hasattr(os, "sched_getaffinity"):
        replace(os, sched_getaffinity=constant({0, 1}))
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 3000))
