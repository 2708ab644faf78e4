"""Printed hyperparameters: ``name: value`` lines, ``name:value name=value`` runs of words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.logs.records import Place, Setting

_WHOLE = re.compile(r"\s*([A-Za-z_]\w{0,60})\s*[:=]\s+(\S.{0,400}?)\s*$")
_LIST = r"(?!\d{1,3}(?:,\d{3}){1,3}(?![,\d]))-?[\d.]+(?:,-?[\d.]+)+(?![\w,.:=])"
"""Numbers joined by commas, unless these divide the thousands of one."""
_PAIR = re.compile(rf"(?<![\w.:/])([A-Za-z_]\w{{0,60}})[:=]({_LIST}|[^\s,;|:=][^\s,;|]{{0,200}})")
_MEASURED = ("loss:", "loss=", "bpb:", "bpb=", "train_time", "step_avg", "elapsed", "tok/s")
_SEED = re.compile(r"\bseed(?:\s*[=:]\s*|\s+)(\d{1,10})\b", re.IGNORECASE)
_WORLD = re.compile(r"\bworld size\s*[:=]\s*(\d+)", re.IGNORECASE)
_VAL_TOKENS = re.compile(
    r"val_loader:.*\btokens:(\d+)|\bval(?:idation)?[ _]tokens\s*[:=]\s*([\d,_]+)", re.IGNORECASE
)


def settings_of(line: str, place: Place) -> Iterator[Setting]:
    """Read the settings on one line; result lines and prose give none."""
    if (":" not in line and "=" not in line and "seed" not in line.lower()) or _measured(line):
        return
    yield from _special(line, place)
    whole = _WHOLE.match(line)
    if whole and ": " not in whole[2]:
        yield Setting(whole[1].lower(), whole[2], place)
        return
    for name, value in _PAIR.findall(line):
        yield Setting(name.lower(), value.rstrip(")]}'\""), place)


def _measured(line: str) -> bool:
    """Whether a line gives results: substring tests cost a tenth of one pattern of alternatives."""
    return any(word in line for word in _MEASURED)


def _special(line: str, place: Place) -> Iterator[Setting]:
    lower = line.lower()
    tokens = _VAL_TOKENS.search(line) if "token" in lower else None
    if tokens:
        yield Setting("val_tokens", (tokens[1] or tokens[2]).replace(",", "").replace("_", ""), place)
    seed = _SEED.search(line) if "seed" in lower else None
    if seed:
        yield Setting("seed", seed[1], place)
    world = _WORLD.search(line) if "world" in lower else None
    if world:
        yield Setting("world_size", world[1], place)
