"""The walls around a submission: bubblewrap where present, else namespaces, else an honest refusal.

Inside: no network, a read-only world of system and Python files, a private /tmp, the run's folder
as the only writable place, no capabilities, no new privileges, filtered system calls, limits on
memory, processor time, processes and file size, and nothing of our environment.

Not stopped: a flaw of the kernel; learning what processor and kernel this is; filling the run's
folder up to the file size limit; using the processor until the time limit.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

_JAIL = Path(__file__).resolve().with_name("jail.py")
_NOBODY = 65534


class SandboxRefusedError(RuntimeError):
    """No sandbox can be built on this machine; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path shown inside, by default under its own name and read-only."""

    source: Path
    inside: str | None = None
    writable: bool = False

    @property
    def target(self) -> str:
        """The path inside."""
        return self.inside or str(self.source)


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of the child; the wall clock is the parent's business."""

    address_bytes: int = 24 << 30
    file_bytes: int = 1 << 30
    processes: int = 512
    cpu_seconds: int = 900
    open_files: int = 1024
    core_bytes: int = 0


class Sandbox:
    """No walls at all: what ``--no-sandbox`` asks for, loudly."""

    name = "none"

    def start(
        self,
        command: list[str],
        cwd: Path,
        env: dict[str, str],
        mounts: list[Mount],
        output: BinaryIO,
        fds: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` with standard output and error in ``output``; ``fds`` stay open."""
        return _popen(command, cwd, env, output, fds)


def _popen(
    command: list[str], cwd: Path | str, env: dict[str, str], output: BinaryIO, fds: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=fds,
        start_new_session=True,
    )


def python_paths() -> list[Path]:
    """Where the interpreter and its packages lie."""
    folders = {
        sys.prefix,
        sys.base_prefix,
        *(sysconfig.get_paths()[k] for k in ("purelib", "platlib", "stdlib")),
    }
    paths = sorted({Path(f).resolve() for f in folders} | {Path(f) for f in folders})
    outer = [p for p in paths if not any(q != p and p.is_relative_to(q) for q in paths)]
    return [p for p in outer if p.is_dir() and not p.is_relative_to("/usr")]


class Namespaces(Sandbox):
    """Namespaces of the kernel, entered by ``harness.jail``; works as root and as a user."""

    name = "namespaces"
    walls = True

    def __init__(self, limits: Limits | None = None, ranks: int = 1) -> None:
        self.limits, self.ranks = limits or Limits(), ranks

    def start(
        self,
        command: list[str],
        cwd: Path,
        env: dict[str, str],
        mounts: list[Mount],
        output: BinaryIO,
        fds: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` inside; writable mounts must be writable by the unprivileged user."""
        mounts = [Mount(p) for p in python_paths()] + mounts
        jail = [sys.executable, "-I", "-S", str(_JAIL), json.dumps(self._spec(command, cwd, env, mounts))]
        return _popen(self._outer(mounts, jail), "/", {}, output, fds)

    def _outer(self, mounts: list[Mount], jail: list[str]) -> list[str]:
        return jail

    def _spec(
        self, command: list[str], cwd: Path, env: dict[str, str], mounts: list[Mount]
    ) -> dict[str, object]:
        return {
            "command": command,
            "cwd": str(cwd),
            "env": env,
            "mounts": [(str(m.source), m.target, m.writable) for m in mounts],
            "read_only": [m.target for m in mounts if not m.writable],
            "limits": asdict(self.limits),
            "uid": _NOBODY if os.geteuid() == 0 else os.geteuid(),
            "tmp_bytes": 2 << 30,
            "shm_bytes": 1 << 30,
            "mountpoint": str(_mountpoint()),
            "interfaces": self.ranks > 1,  # gloo looks for the loopback by name
            "walls": self.walls,
            "parent": os.getpid(),
        }


class Bubblewrap(Namespaces):
    """The same walls by bubblewrap; ``harness.jail`` adds limits, filter and checks inside."""

    name = "bubblewrap"
    walls = False

    def _outer(self, mounts: list[Mount], jail: list[str]) -> list[str]:
        binds = [["--bind" if m.writable else "--ro-bind", str(m.source), m.target] for m in mounts]
        system = [["--ro-bind-try", p, p] for p in ("/usr", "/etc/ld.so.cache", "/etc/alternatives")]
        links = [_system_link(name) for name in ("bin", "sbin", "lib", "lib64")]
        parts = [
            [shutil.which("bwrap") or "bwrap", "--unshare-all", "--die-with-parent", "--clearenv"],
            *system,
            *links,
            ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", str(_JAIL), str(_JAIL)],
            *binds,
            _as_nobody(),
            ["--remount-ro", "/", "--"],
        ]
        return [word for part in parts for word in part] + jail


def _as_nobody() -> list[str]:
    """Root becomes nobody in a user namespace of its own: inside, no other user could be changed to."""
    nobody = str(_NOBODY)
    return ["--unshare-user", "--uid", nobody, "--gid", nobody] if os.geteuid() == 0 else []


def _system_link(name: str) -> list[str]:
    path = f"/{name}"
    if os.path.islink(path):
        return ["--symlink", os.readlink(path), path]
    return ["--ro-bind-try", path, path]


@functools.cache
def _mountpoint() -> Path:
    """An empty folder on which each sandbox mounts its own root, seen by nobody else."""
    folder = Path(tempfile.mkdtemp(prefix="golf-jail-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _trial(sandbox: Sandbox) -> str | None:
    """Start ``true`` inside; None when that works, else what went wrong."""
    with tempfile.TemporaryFile() as output:
        try:
            process = sandbox.start(
                ["/usr/bin/env", "true"], Path("/"), {"PATH": "/usr/bin:/bin"}, [], output
            )
            code = process.wait(30)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        output.seek(0)
        said = output.read().decode("utf-8", "replace").strip()
    return None if code == 0 else said or f"exit code {code}"


@functools.cache
def _best() -> Sandbox | str:
    reasons = []
    for kind in (Bubblewrap, Namespaces):
        if kind is Bubblewrap and shutil.which("bwrap") is None:
            reasons.append("bubblewrap is not installed")
            continue
        problem = _trial(kind())
        if problem is None:
            return kind()
        reasons.append(f"{kind.name}: {problem}")
    return "; ".join(reasons)


def choose(no_sandbox: bool = False, ranks: int = 1) -> Sandbox:
    """The best sandbox of this machine, tried once a process; ``ranks`` processes may find one another.

    Raises:
        SandboxRefusedError: none works here and none was not asked for.
    """
    if no_sandbox:
        return Sandbox()
    best = _best()
    if isinstance(best, str):
        raise SandboxRefusedError(
            f"no sandbox can be built here ({best}); install bubblewrap or use --no-sandbox"
        )
    return best if ranks == 1 or not isinstance(best, Namespaces) else type(best)(ranks=ranks)
