"""Files, sockets and programs, through an audit hook: it cannot be taken out again by the submission.

Content hashes are taken when a written file is read back or the process ends, because writers in
C++ (``torch.save``) do not announce themselves; a file that appears or changes in the run folder
counts as written.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.events import AnyEvent, FileRead, FileWritten, Reached

_REACH = {"socket.connect": 1, "subprocess.Popen": 0, "os.system": 0, "os.exec": 0, "os.posix_spawn": 0}
NO_ARTIFACT = (".py", ".txt", ".log", ".json", ".jsonl", ".csv", ".md", ".pyc", ".so", ".tsv", ".vocab")
"""Endings of files that hold no weights."""
_SMALLEST_ARTIFACT = 1024


@dataclass
class Opens:
    """Classifies what is opened. ``read_back`` is called when a likely artifact is about to be read.

    Files in the run folder that were changed after ``since`` (nanoseconds) are the submission's work, even
    if they were there before the script began: an earlier process of the same run has written them.
    """

    emit: Callable[[AnyEvent], None]
    run_dir: str
    validation: frozenset[str]
    read_back: Callable[[str], None] | None = None
    validation_read: Callable[[str], None] | None = None
    since: int | None = None
    _sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    _busy: bool = False
    active: bool = True

    def note_existing(self) -> None:
        """Remember the files that were there before the run began."""
        self._sizes = {p: state for p, state in self._scan() if self.since is None or state[1] <= self.since}

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook itself."""
        if self._busy or not self.active:
            return
        self._busy = True
        try:
            if event == "open":
                self._opened(args[0], args[1], args[2])
            elif event in _REACH:
                self.emit(Reached(event, str(args[_REACH[event]])[:200]))
        finally:
            self._busy = False

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, (str, bytes)):
            return
        name = os.path.realpath(os.fsdecode(path))
        writing = (isinstance(mode, str) and mode[:1] in "wax+") or bool((flags or 0) & os.O_ACCMODE)
        if writing:
            return
        role = self.role(name)
        if role != "other":
            self.emit(FileRead(name, role))
        if role == "validation" and self.validation_read is not None:
            self.validation_read(name)
        if role == "artifact" and self.read_back is not None:
            self.emit_written()
            self._busy = False
            self.read_back(name)

    def role(self, name: str) -> str:
        """What a file that is read is to the challenge."""
        base = os.path.basename(name)
        if name in self.validation:
            return "validation"
        if base.startswith("fineweb_train"):
            return "training"
        if name.endswith(".model") or base.startswith("tokenizer"):
            return "tokenizer"
        return "artifact" if self._is_artifact(name) else "other"

    def _is_artifact(self, name: str) -> bool:
        if not name.startswith(self.run_dir) or name.endswith(NO_ARTIFACT):
            return False
        try:
            state = os.stat(name)
        except OSError:
            return False
        known = self._sizes.get(name)
        return state.st_size >= _SMALLEST_ARTIFACT and known != (state.st_size, state.st_mtime_ns)

    def emit_written(self) -> None:
        """Emit every file of the run folder that is new or changed since this was last called."""
        for name, state in self._scan():
            if self._sizes.get(name) != state and not name.endswith((".pyc", ".py")):
                digest = hashlib.sha256(Path(name).read_bytes()).hexdigest()
                self.emit(FileWritten(os.path.relpath(name, self.run_dir), state[0], digest))
            if not self._is_artifact(name):
                self._sizes[name] = state

    def _scan(self) -> list[tuple[str, tuple[int, int]]]:
        found = []
        for folder, folders, names in os.walk(self.run_dir):
            folders[:] = [f for f in folders if not f.startswith((".", "__pycache__"))]
            for name in names:
                path = os.path.join(folder, name)
                try:
                    state = os.stat(path)
                except OSError:
                    continue
                found.append((os.path.realpath(path), (state.st_size, state.st_mtime_ns)))
        return found


def install(opens: Opens) -> None:
    """Add the audit hook."""
    opens.note_existing()
    sys.addaudithook(opens.hook)
