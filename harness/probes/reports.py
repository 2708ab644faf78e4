"""Read the scores off what the submission prints."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from harness.events import Reported

_NUMBER = r"(?:\s*\([^()\d]{1,40}\))?\s*(?:[:=≈~]|is)?\s*([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf))"
_LOSS = re.compile(r"(?:val|eval|ttt|slot|final|sliding|roundtrip)[\w ]*[_ ]loss\b" + _NUMBER, re.IGNORECASE)
_BPB = re.compile(r"(?:\b|_)(?:bpb|bits[_ ]per[_ ]byte)\b" + _NUMBER, re.IGNORECASE)
_DIFFERENCE = re.compile(
    r"(?:delta|difference|gap|gain|improvement|degradation)\W*[\w() \-]*$", re.IGNORECASE
)
_LONGEST = 2000


def parse(line: str) -> Reported | None:
    """A report of a validation score, if the line states one.

    ``val_loss`` is in nats per token, ``val_bpb`` in bits per byte, as the script words them.
    """
    if len(line) > _LONGEST or ("loss" not in line and "bpb" not in line.lower()):
        return None
    loss, bpb = _stated(_LOSS, line), _stated(_BPB, line)
    if loss is None and bpb is None:
        return None
    return Reported(line.strip()[:300], _value(loss), _value(bpb))


def _stated(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    return next(_each(pattern, line), None)


def _each(pattern: re.Pattern[str], line: str) -> Iterator[re.Match[str]]:
    """The numbers of a kind that are no differences of two: those bear a sign or are called so."""
    for match in pattern.finditer(line):
        if match[1][0] not in "+-" and not _DIFFERENCE.search(line[: match.start()]):
            yield match


def several(line: str) -> list[float]:
    """All the bits per byte of a line that states more than one and no loss: a summary of scores."""
    found = [float(match[1]) for match in _each(_BPB, line)]
    return found if len(found) > 1 and _stated(_LOSS, line) is None else []


def names(line: str, bpb: float, told: str) -> bool:
    """Whether a summary of scores has the one that another line ``told``."""
    return any(abs(bpb - other) <= rounding(line, told, "val_bpb") for other in several(line))


def rounding(one: str, two: str, name: str) -> float:
    """How far the numbers of two lines lie apart at most where the coarser repeats the finer."""
    return 1.01 * max(precision(one, name), precision(two, name))


def _value(match: re.Match[str] | None) -> float | None:
    return float(match[1]) if match else None


class Listening:
    """A text stream that passes everything on and shows whole lines to a listener."""

    def __init__(self, stream: Any, heard: Callable[[str], None]) -> None:
        self._stream, self._heard, self._line = stream, heard, ""

    def write(self, text: str) -> int:
        """Write on, then report the lines completed."""
        count = self._stream.write(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._heard(line)
        self._line = self._line[-_LONGEST:]
        return int(count or 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def listen(heard: Callable[[str], None]) -> None:
    """Hear what is printed, and what is logged: that goes to the error stream unless a script says more."""
    sys.stdout, sys.stderr = Listening(sys.stdout, heard), Listening(sys.stderr, heard)


def precision(line: str, name: str) -> float:
    """Half a unit of the last printed digit of a number in a report (0.5 when it cannot be told)."""
    match = _stated(_LOSS if name == "val_loss" else _BPB, line)
    if match is None or "." not in match[1]:
        return 0.5
    mantissa, _, exponent = match[1].lower().partition("e")
    digits = len(mantissa.partition(".")[2])
    return float(0.5 * 10.0 ** (int(exponent or 0) - digits))
