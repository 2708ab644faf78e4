"""Which lines of the submission ran, by a trace function; used only in a fork that nobody times."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from harness.events import Executed

PATIENCE = 5000
"""Line events without a new line before a function is no longer traced: hot loops would take minutes.
A line that first runs later than that counts as not run, which only ever keeps a suspicion alive."""


class Coverage:
    """Collects executed lines of the files that ``theirs`` accepts; ``root`` is cut off their names."""

    def __init__(self, theirs: Callable[[str], bool], root: str = "") -> None:
        self._theirs, self._root = theirs, root
        self._lines: dict[str, set[int]] = {}
        self._left: dict[CodeType, set[int]] = {}
        self._quiet: dict[CodeType, int] = {}

    def start(self) -> None:
        """Trace the frames that are running and all that follow."""
        sys.settrace(self._call)
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            frame.f_trace = self._call(frame, "call", None)
            frame = frame.f_back

    def stop(self) -> list[Executed]:
        """Stop, and return one event a file."""
        sys.settrace(None)
        return [
            Executed(path.removeprefix(self._root), ranges(lines))
            for path, lines in sorted(self._lines.items())
        ]

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if not self._theirs(code.co_filename):
            return None
        left = self._left.get(code)
        if left is None:
            left = {line for _, _, line in code.co_lines() if line is not None}
            self._left[code] = left
        self._note(code, frame.f_lineno)
        return self._line if left and self._quiet.get(code, 0) <= PATIENCE else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if event == "line":
            left = self._left[code]
            if frame.f_lineno in left:
                self._note(code, frame.f_lineno)
                self._quiet[code] = 0
            else:
                self._quiet[code] = self._quiet.get(code, 0) + 1
            if not left or self._quiet[code] > PATIENCE:
                frame.f_trace_lines = False
        return self._line

    def _note(self, code: CodeType, line: int) -> None:
        self._left[code].discard(line)
        self._lines.setdefault(code.co_filename, set()).add(line)


def ranges(lines: set[int]) -> list[tuple[int, int]]:
    """Sorted inclusive ranges of consecutive lines."""
    found: list[tuple[int, int]] = []
    for line in sorted(lines):
        if found and line == found[-1][1] + 1:
            found[-1] = (found[-1][0], line)
        else:
            found.append((line, line))
    return found
