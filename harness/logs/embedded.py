"""Find the script that a log prints before the run starts, so that its lines are not read as evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RULE = re.compile(r"={60,}\s*$")
_PYTHON = re.compile(r"\s*(?:import |from \w[\w.]* import |def |class |exec\(|import\w*,)")
_RESULT = re.compile(
    r"(?:step:\d|\d+/\d+ (?:train|val)_|Running Python|model_params:\d|train_loader:|val_bpb:enabled|W\d{4} )"
)
_HEADER_LINES = 4000  # a run's banner is searched this deep below the script


@dataclass(frozen=True, slots=True)
class Embedded:
    """A printed script: its text, and the half-open range of line indices it covers."""

    text: str
    start: int
    stop: int


def find(lines: list[str]) -> Embedded | None:
    """Return the first block between rules of ``=`` (or the top of the file) that reads as Python."""
    start = 0
    for stop in [i for i, line in enumerate(lines) if line[:1] == "=" and _RULE.match(line)]:
        block = lines[start:stop]
        if _looks_like_source(block):
            offset = _skip_banner(block)
            return Embedded("\n".join(block[offset:]), start + offset, stop)
        start = stop + 1
    return _unruled(lines)


def _unruled(lines: list[str]) -> Embedded | None:
    """A script printed at the top without a rule below it ends where the first result line stands."""
    if not any(_PYTHON.match(line) for line in lines[:120]):
        return None
    stop = next((i for i, line in enumerate(lines) if _RESULT.match(line)), 0)
    block = lines[:stop]
    if sum(1 for line in block if _PYTHON.match(line)) < 10:
        return None
    offset = _skip_banner(block)
    return Embedded("\n".join(block[offset:]), offset, stop)


def _looks_like_source(block: list[str]) -> bool:
    hits = sum(1 for line in block[:_HEADER_LINES] if _PYTHON.match(line))
    return hits >= 3 or (hits >= 1 and len(block) <= 40 and any("exec(" in line for line in block))


def _skip_banner(block: list[str]) -> int:
    """Leave out what a launcher printed above the script, such as the name of the log file."""
    for index, line in enumerate(block[:200]):
        if line.startswith(('"""', "'''", "#", "import ", "from ", "exec(", 'r"""', "_")):
            return index
    return 0
