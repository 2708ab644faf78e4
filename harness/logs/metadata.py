"""Claims of ``submission.json`` in all its dialects: numbers at the top, by seed, in lists and tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from harness.logs.records import Claim, Measure, Place

_DIALECTS: tuple[tuple[Measure, float, str], ...] = (  # measure, factor to bpb, bytes or seconds, key
    (Measure.BPB, 1.0, r"val_bpb(_exact|_mean|_\d+seed_mean)?|(mean_val_|mean_)?bpb"),
    (Measure.LOSS, 1.0, r"val_loss(_mean|_nats)?|mean_val_loss"),
    (Measure.BPB_STD, 1.0, r"val_bpb(_\d+seed)?_std|std_(val_)?bpb"),
    (Measure.TOTAL_BYTES, 1.0, r"(bytes_total|total_bytes|max_artifact_bytes)(_max)?"),
    (Measure.TOTAL_BYTES, 1.0, r"artifact_(size_)?bytes(_max|_mean|_total)?"),
    (Measure.TOTAL_BYTES, 1.0, r"(total_)?submission_(size_?)?(bytes)?(_max)?|compressed_(size_)?bytes"),
    (Measure.MODEL_BYTES, 1.0, r"bytes_model\w*|model_bytes"),
    (Measure.CODE_BYTES, 1.0, r"bytes_code|code_bytes"),
    (Measure.TRAIN_SECONDS, 1.0, r"wallclock_seconds|train(ing)?_(time_)?s(econds)?(_mean|_max)?"),
    (Measure.TRAIN_SECONDS, 0.001, r"train_(time|wallclock)_ms"),
    (Measure.EVAL_SECONDS, 1.0, r"(total_|ttt_)?eval_(time_)?s(econds)?(_max|_mean|_total)?"),
    (Measure.EVAL_SECONDS, 0.001, r"(total_)?eval_time_ms"),
)
_KEYS = tuple((re.compile(pattern), measure, scale) for measure, scale, pattern in _DIALECTS)
_SEED_KEY = re.compile(r"(?:seed_?)?(\d{1,10})$")
_SEED_TABLES = re.compile(
    r"seeds?$|seed_results|per_seed|results|runs|seed_\d+$|val_bpb_(per_)?seeds?|individual"
)
_MAX_CHARACTERS = 2_000_000
_DEPTH = 8


class MetadataError(ValueError):
    """The file is not a JSON object; the message says where it stops being one."""


def parse(path: str, text: str) -> tuple[dict[str, Any], tuple[Claim, ...]]:
    """Read the object and what it claims.

    Raises:
        MetadataError: not JSON, or not an object.
    """
    try:
        loaded = json.loads(text[:_MAX_CHARACTERS].lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise MetadataError(str(error) or type(error).__name__) from None
    if not isinstance(loaded, dict):
        raise MetadataError(f"the top is a {type(loaded).__name__}, not an object")
    return loaded, tuple(_claims(path, loaded, _Lines(text), "", None, 0))


class _Lines:
    """Find the line of a key, in the order keys are met."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._next: dict[str, int] = {}

    def of(self, key: str) -> tuple[int, str]:
        quoted = f'"{key}"'
        for index in range(self._next.get(key, 0), len(self._lines)):
            if quoted in self._lines[index]:
                self._next[key] = index + 1
                return index + 1, self._lines[index].strip()[:300]
        return 0, ""


def _claims(
    path: str, node: dict[str, Any], lines: _Lines, prefix: str, seed: int | None, depth: int
) -> Iterator[Claim]:
    own = node.get("seed")
    if prefix and isinstance(own, int) and not isinstance(own, bool):
        seed = own
    for key, value in node.items():
        line, excerpt = lines.of(key)
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth < _DEPTH:
            inner = _seed_of(key)
            yield from _claims(
                path, value, lines, f"{name}.", inner if inner is not None else seed, depth + 1
            )
        elif isinstance(value, list) and depth < _DEPTH:
            for item in value[:64]:
                if isinstance(item, dict):
                    yield from _claims(path, item, lines, f"{name}[].", seed, depth + 1)
        else:
            yield from _claim(name, key, value, Place(path, line, excerpt), seed)


def _claim(name: str, key: str, value: Any, place: Place, seed: int | None) -> Iterator[Claim]:
    """A number under a known key; a bare number under a seed's own key is that seed's score."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,12}(?:\.\d{1,17})?", value.strip()):
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return
    digits = len(repr(value).partition(".")[2]) if isinstance(value, float) else 0
    plain = re.sub(r"^seed_\d+_", "", key.lower())
    for pattern, measure, scale in _KEYS:
        if pattern.fullmatch(plain):
            yield Claim(
                measure, value * scale, name, place, _seed_of_path(name) if seed is None else seed, digits
            )
            return
    alone = _seed_of(key)
    if alone is not None and 0.0 < value < 20.0 and _SEED_TABLES.search(name.rpartition(".")[0]):
        yield Claim(Measure.BPB, float(value), name, place, alone, digits)


def _seed_of(key: str) -> int | None:
    found = _SEED_KEY.match(key.lower())
    return int(found[1]) if found else None


def _seed_of_path(name: str) -> int | None:
    found = re.search(r"(?:^|\.)seed_(\d{1,10})_", name.lower())
    return int(found[1]) if found else None
