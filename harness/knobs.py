"""What a setting is, and what its name tells of a size: the table ``sizes.toml``."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness import written


class Via(StrEnum):
    """Through what a knob is set."""

    ENVIRONMENT = "env"
    ARGUMENT = "argv"
    CONSTANT = "constant"
    LITERAL = "literal"


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting: environment name, ``--option``, dotted constant, ``function(name)``, ``range(i=rounds)``,
    ``take(tokens)``.

    ``reader`` is the type (``int``, ``float``) to which the script turns the setting's text at once;
    ``required`` tells that it is read as one that must be there (``os.environ[name]``).
    """

    via: Via
    name: str
    default: Any = None
    reader: str = ""
    required: bool = False

    @property
    def topic(self) -> str:
        """The name compared with the table of sizes: upper case, words joined by underscores."""
        word = self.name.partition("(")[2].rstrip(")") or self.name.rpartition(".")[2]
        return word.lstrip("-").replace("-", "_").upper()


@dataclass(frozen=True, slots=True)
class Rule:
    """Names matching ``pattern`` are lowered to at most ``cap``; ``group`` is dropped as a whole on retry."""

    group: str
    pattern: re.Pattern[str]
    cap: int


def _load_rules() -> tuple[Rule, ...]:
    table = tomllib.loads(Path(__file__).with_name("sizes.toml").read_text(encoding="utf-8"))
    return tuple(
        Rule(entry["group"], re.compile(rf"(?:{name})\Z"), entry["cap"])
        for entry in table["rule"]
        for name in entry["names"].split()
    )


RULES = _load_rules()
"""What is made small, and how small; the first rule whose pattern matches counts."""

HEADS = ("NUM_HEADS", "N_HEADS", "N_HEAD", "HEADS", "NUM_ATTENTION_HEADS")
ROTARY = ("ROPE_DIMS", "ROPE_DIM", "PARTIAL_ROPE_DIMS", "ROTARY_DIM", "ROTARY_DIMS")
"""They say how narrow a width may become."""

WIDTH = re.compile(
    r"(LOCAL_|GLOBAL_|)(?:MODEL_DIM|D_MODEL|N_EMBD|DIM|EMB_DIM|EMBEDDING_DIM|HIDDEN_SIZE|EMBED_DIM)"
)
"""Widths of the residual stream; scripts of two streams name each and its heads for one of them."""

_GENERATES = re.compile(r"autoreg|self_?gen|generate\w*calib|ar_calib", re.IGNORECASE)
"""One pass of the model a token: their time grows with the square of the length."""
_SHARES = re.compile(r"\w*(?:BATCH_SEQS|BATCH_WINDOWS|CHUNK_TOKENS|CHUNK_SIZE)")
_AMOUNTS = Rule("quant", re.compile("."), 4)
_LENGTH = Rule("quant", re.compile("."), 128)
_GENERATED = Rule("quant", re.compile("."), 48)
_ROUNDS = Rule("steps", re.compile("."), 4)
_KEPT = Rule("model", re.compile("."), 4096)
_TAKEN = Rule("quant", re.compile("."), 2048)


def is_share(topic: str) -> bool:
    """Whether a name tells how much an evaluation takes at a time."""
    return _SHARES.fullmatch(topic) is not None


def is_generated(function: str, word: str) -> bool:
    """Whether a parameter is the length of what a model writes itself."""
    return bool(_GENERATES.search(function)) and word.upper().endswith("LEN")


def number(value: Any) -> float | None:
    """A setting's value as a number, or None when it is none."""
    try:
        return float(str(value).replace("_", ""))
    except ValueError:
        return None


def rule_of(knob: Knob) -> Rule | None:
    """What applies to a knob, if its name tells a size."""
    named = next((r for r in RULES if r.pattern.match(knob.topic)), None)
    if knob.via is not Via.LITERAL:
        return named
    if knob.name.startswith(written.ROUNDS):
        return _ROUNDS
    if knob.name.startswith(written.TOKENS):
        return _TAKEN
    if knob.name.startswith(written.ELEMENTS):
        return _KEPT
    if knob.name.startswith("dict("):
        told = {"model": True, "length": "_" in knob.topic}  # a bare ``stride`` is a convolution's
        return named if named is not None and told.get(named.group) else None
    if is_share(knob.topic):
        return named
    if is_generated(knob.name.partition("(")[0], knob.topic):
        return _GENERATED
    return _LENGTH if knob.topic.endswith("LEN") else _AMOUNTS


def tells_size(knob: Knob) -> bool:
    """Whether a literal that is no setting by its form is one by its name."""
    return knob.topic in (*HEADS, *ROTARY) or rule_of(knob) is not None


def fitted(rule: Rule, current: float | None) -> int | None:
    """The lowered value, or None to leave a knob alone: zero and below mean "off" or "automatic"."""
    if current is None:
        return rule.cap if rule.group in ("steps", "time", "data", "length") or rule is _GENERATED else None
    if current <= rule.cap:
        return None
    return rule.cap
