"""Making a run small through the script's own configuration, and saying what was changed.

``shrink`` sets the knobs whose name tells a size. Nothing else of the script is touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.arguments import is_argument
from harness.knobs import HEADS, ROTARY, WIDTH, Knob, Via, fitted, number, rule_of
from harness.unpack import Layer

_DIVISION = re.compile(r"%\s*(?:\w+\.)*(?:val_loss|val|eval)_every\b", re.IGNORECASE)


def divides_by_progress(layers: Iterable[Layer]) -> bool:
    """Whether a step is taken modulo an interval of validation that is not first asked to be positive."""
    for layer in layers:
        lines = layer.text.splitlines() if layer.language == "python" else []
        for before, line in zip(["", *lines], lines, strict=False):
            if _DIVISION.search(line) and ">" not in before + line:
                return True
    return False


@dataclass
class Shrunk:
    """The settings of one attempt. ``values`` has every knob that was set, ``changed`` says so in words.

    ``arguments`` are those of the command line; flags and words that are no option have the value "".
    """

    env: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)

    def apply(self, knob: Knob, value: Any) -> None:
        """Set a knob through its own channel and record it; a second time replaces the first."""
        if knob.via is Via.ENVIRONMENT:
            self.env[knob.name] = str(value)
        elif knob.via is Via.ARGUMENT:
            self.arguments[knob.name] = str(value)
        else:
            self.constants[knob.name] = value  # of assignments and of calls alike
        self.values[knob.name] = value
        self.changed[knob.name] = str(value) if knob.default is None else f"{value} (was {knob.default})"

    @property
    def argv(self) -> list[str]:
        """The command line."""
        return [word for pair in self.arguments.items() for word in pair if word]


_AUTOMATIC = ("TRAIN_SEQ_LEN", "TRAIN_BATCH_TOKENS")
"""Zero switches nothing off here: the script chooses for the machine it finds."""


def shrink(
    knobs: Iterable[Knob],
    claimed: Mapping[str, str],
    keep: Iterable[str] = (),
    own: Iterable[str] = (),
    caps: Mapping[str, int] | None = None,
    multiples: Mapping[str, int] | None = None,
    batch: int = 1,
) -> Shrunk:
    """Set every knob that tells a size to at most its cap.

    Args:
        knobs: the script's knobs.
        claimed: environment and arguments of the run the submission claims; sizes in them are lowered too.
        keep: groups of the table left at their own size.
        own: names of single knobs left so.
        caps: by group, in place of the table's.
        multiples: by name of a knob, what its lowered size must be divisible by.
        batch: times as many micro steps as are known share a batch.
    """
    kept, named, result, multiples = set(keep), set(own), Shrunk(), multiples or {}
    for name, told in claimed.items():
        (result.arguments if is_argument(name) else result.env)[name] = told
    for knob in knobs:
        rule = rule_of(knob)
        if rule is None or rule.group in kept or knob.name in named:
            continue
        if caps and rule.group in caps:
            rule = replace(rule, cap=caps[rule.group])
        current = number(claimed.get(knob.name, knob.default))
        value = fitted(rule, None if current == 0 and knob.topic in _AUTOMATIC else current)
        if value is not None:
            unit = multiples.get(knob.name, 1)
            result.apply(knob, unit * -(-value // unit))
    _fit_width(result, knobs, multiples)
    _fit_batches(result, knobs, batch)
    _fit_chunks(result, knobs, claimed)
    _fit_schedules(result, knobs, claimed)
    return result


_HEAD = 16
"""Least width of a head, all of which may rotate."""


def _fit_width(result: Shrunk, knobs: Iterable[Knob], multiples: Mapping[str, int]) -> None:
    """The width must hold the heads, each of 16 dimensions; of these no more may rotate than there are.

    A width that must be divided by something is divided before the heads share a part of it.
    """
    for knob in knobs:
        named = WIDTH.fullmatch(knob.topic)
        if named is None or knob.name not in result.changed:
            continue
        heads = _value_of(result, knobs, tuple(named[1] + topic for topic in HEADS))
        own = number(knob.default)
        parts = int(heads or 0) * multiples.get(knob.name, 1)
        unit = _HEAD * parts
        width = unit * -(-128 // unit) if unit else 0
        if width and (own is None or width <= own):
            result.apply(knob, width)
            _fit_rotary(result, knobs, width // parts)


def _fit_rotary(result: Shrunk, knobs: Iterable[Knob], head: int) -> None:
    for knob in knobs:
        if knob.topic in ROTARY and (number(result.env.get(knob.name, knob.default)) or 0) > head:
            result.apply(knob, head)


_LENGTHS = ("TRAIN_SEQ_LEN", "SEQ_LEN", "SEQ_LENGTH", "SEQUENCE_LENGTH", "MAX_SEQ_LEN", "BLOCK_SIZE")
_ACCUMULATION = ("GRAD_ACCUM_STEPS", "GRADIENT_ACCUMULATION_STEPS", "GRAD_ACCUM")
_MICRO_STEPS = 8
"""Scripts share a batch among the eight ranks of the node, or as many micro steps where there are fewer."""


def _fit_batches(result: Shrunk, knobs: Iterable[Knob], more: int) -> None:
    """A batch counted in tokens must hold a sequence for every micro step, a micro step one."""
    length = _value_of(result, knobs, _LENGTHS)
    steps = more * max(_value_of(result, knobs, _ACCUMULATION) or 0, _MICRO_STEPS)
    for knob in knobs:
        own = number(knob.default)
        batch = "BATCH" in knob.topic and ("TOKENS" in knob.topic or knob.topic == "VAL_BATCH_SIZE")
        if batch and length and knob.name in result.changed:
            least = int(length if "MICRO" in knob.topic else min(length * steps, own or 0))
            if least > int(result.values[knob.name]):
                result.apply(knob, least)


def _fit_chunks(result: Shrunk, knobs: Iterable[Knob], claimed: Mapping[str, str]) -> None:
    """A chunk that held whole sequences still holds one: scripts divide the one by the other."""
    own = {k.name: number(claimed.get(k.name, k.default)) or 0 for k in knobs}
    before = _own_length(knobs, claimed)
    length = int(_value_of(result, knobs, _LENGTHS) or 0)
    for knob in knobs:
        chunk = "CHUNK" in knob.topic and knob.name in result.changed
        if chunk and 0 < before <= own[knob.name] and int(result.values[knob.name]) < length:
            result.apply(knob, length)


_SCHEDULE = re.compile(r"\w*SEQ\w*(?:SCHEDULE|LENS|CURRICULUM)|SEQ_LENS_PER_\w+")
_LENGTH = re.compile(r"(?<![\d.])\d{3,}(?![\d.])")


def _fit_schedules(result: Shrunk, knobs: Iterable[Knob], claimed: Mapping[str, str]) -> None:
    """Lengths in a list (``1024@0.5,2048@1.0``) shrink as the length does, to what divides a batch."""
    before, length = _own_length(knobs, claimed), _value_of(result, knobs, _LENGTHS) or 0
    if not 0 < length < before:
        return
    for knob in knobs:
        text = str(claimed.get(knob.name, knob.default) or "")
        if not _SCHEDULE.fullmatch(knob.topic) or number(text) is not None:
            continue
        shorter = _LENGTH.sub(lambda m: str(_power_below(int(m[0]) * length / before)), text)
        if shorter != text:
            result.apply(knob, shorter)


def _own_length(knobs: Iterable[Knob], claimed: Mapping[str, str]) -> float:
    """The longest sequence that a script's settings tell, before any is lowered."""
    own = (number(claimed.get(k.name, k.default)) for k in knobs if k.topic in _LENGTHS)
    return max((value or 0 for value in own), default=0)


def _power_below(value: float) -> int:
    """The largest power of two that is no larger, at least 16."""
    return 1 << max(4, int(value).bit_length() - 1)


def _value_of(result: Shrunk, knobs: Iterable[Knob], topics: tuple[str, ...]) -> float | None:
    """The first that is known: an option may leave it to the class that has the default."""
    told = {**result.env, **result.arguments, **result.values}
    known = (told.get(k.name, k.default) for k in knobs if k.topic in topics)
    return next((value for v in known if (value := number(v)) is not None), None)
