"""What a script looked for and did not find: not every failure says so in words.

An audit hook sees patterns, folders and files as they are asked for, before it is known what comes of
it; what is still not there when the script has died is what it died without, or might have.
"""

from __future__ import annotations

import glob
import os
import sys
from typing import Any

_MOST = 256
_ASKS = frozenset(("glob.glob", "os.listdir", "os.scandir", "open"))


class Sought:
    """Remembers paths and patterns in the order in which they were asked for last."""

    def __init__(self) -> None:
        self._asked: dict[str, None] = {}

    def install(self) -> None:
        """Listen for the rest of the process."""
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook itself."""
        if event == "pathlib.Path.glob" and len(args) > 1:
            self._note(os.path.join(str(args[0]), str(args[1])))
        elif event in _ASKS and args and not (event == "open" and _writes(args)):
            self._note(args[0])

    def _note(self, path: Any) -> None:
        if isinstance(path, os.PathLike):
            path = os.fspath(path)
        if isinstance(path, str) and len(self._asked) < _MOST:
            self._asked.pop(path, None)
            self._asked[path] = None

    def unfound(self) -> list[str]:
        """What is not there now, the last asked for first."""
        return [path for path in reversed(self._asked) if not glob.glob(path)]


def _writes(args: tuple[Any, ...]) -> bool:
    mode = args[1] if len(args) > 1 else None
    return isinstance(mode, str) and "r" not in mode
