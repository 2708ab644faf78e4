"""A second run of the script in a varied world, beside the first: forked before the script starts.

The twin works in its own copy of the run folder, reads other validation shards and writes to its
own output. It shares the cost of starting up, nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.probes import forking
from harness.probes.changes import reroute

STREAM = 2
"""The twin's stream number; probes of the snapshot get numbers from 3 on."""


@dataclass(frozen=True, slots=True)
class TwinConfig:
    """``folders`` maps path prefixes of the first run to the twin's; ``files`` maps shards to varied ones."""

    folders: Mapping[str, str]
    files: Mapping[str, str]
    output: str

    def moved(self, path: str) -> str:
        """A path of the first run as the twin has it."""
        for old, new in self.folders.items():
            if path == old or path.startswith(old + "/"):
                return new + path[len(old) :]
        return path

    def relocate(self, plan: dict[str, Any]) -> None:
        """Rewrite the paths of a plan in place."""
        for name, value in plan.items():
            if isinstance(value, str):
                plan[name] = self.moved(value)


def fork(config: TwinConfig) -> int:
    """Fork. The first run gets the twin's process id, the twin 0 and its own surroundings."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = forking.fork()
    if pid:
        return pid
    output = os.open(config.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(config.moved(os.getcwd()))
    reroute(dict(config.files))
    return 0


def end(pid: int) -> None:
    """Kill a twin that is no longer wanted, and bury it."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
