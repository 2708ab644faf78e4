"""The configuration of the run a submission claims, as environment settings of its script."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from harness.shrink import Knob, Via

_NEVER = re.compile(
    r"RANK|LOCAL_RANK|WORLD_SIZE|MASTER_\w+|PATH|HOME|USER|CUDA_\w+|NCCL_\w+|TORCH\w*|OMP_\w+|PYTHON\w*|RUN_ID|HF_\w+"
    r"|TRITON_\w+|LD_\w+|PYTORCH_\w+|LOG\w*_(?:DIR|FILE)|OUT_DIR|OUTPUT_DIR|WANDB_\w+|DATA_\w+|TOKENIZER_\w*|\w*_PATH|\w*_DIR"
)
_SWITCHES = {"enabled": "1", "on": "1", "yes": "1", "disabled": "0", "off": "0", "no": "0"}
_RUNS = ("INIT_MODEL", "LOAD", "RESUME", "CHECKPOINT", "CKPT", "EVAL_ONLY", "SKIP_TRAIN", "TTT_EVAL_ONLY")


def claimed_environment(logs: Any, knobs: Iterable[Knob]) -> dict[str, str]:
    """Environment assignments of the headline command, completed from the hyperparameters in its log.

    Only names the script reads are kept; paths, ranks and switches that skip training are not.
    """
    if logs is None:
        return {}
    names = {k.name: k for k in knobs if k.via is Via.ENVIRONMENT and not _NEVER.fullmatch(k.name)}
    found: dict[str, str] = {}
    for name, value in _from_log(logs, names).items():
        found.setdefault(name, value)
    for command in _commands(logs):
        found.update({k: v for k, v in command.env.items() if k in names and _plain(v)})
    found = {k: v for k, v in found.items() if _parses(v, names[k].reader)}
    return {k: v for k, v in sorted(found.items()) if not any(word in k for word in _RUNS)}


def _commands(logs: Any) -> list[Any]:
    """The command with the most settings: READMEs also give ablations, but the full one is longest."""
    commands = [c for c in getattr(logs, "commands", ()) if c.env]
    return sorted(commands, key=lambda c: len(c.env))[-1:]


def _from_log(logs: Any, names: dict[str, Knob]) -> dict[str, str]:
    found = {}
    for key, setting in logs.hyperparameters().items():
        name = key.upper()
        if name in names and _plain(setting.value):
            value = _as_environment(setting.value, names[name])
            if value is not None and value != str(names[name].default):
                found[name] = value
    return found


def _as_environment(value: str, knob: Knob) -> str | None:
    """Logs print parsed values: booleans and words for them become the 1 and 0 that the scripts parse."""
    if value in ("True", "False"):
        return "1" if value == "True" else "0"
    if knob.reader and value.lower() in _SWITCHES:
        return _SWITCHES[value.lower()]
    default = knob.default
    if value in ("None", "[]", "()", "{}") or value.startswith(("[", "(", "{", "<")):
        return None
    number = isinstance(default, (int, float)) or re.fullmatch(r"[-+\d._e]+", str(default))
    if number and not re.fullmatch(r"[-+]?[\d._]+(?:e[-+]?\d+)?", value):
        return None
    return value


def _plain(value: str) -> bool:
    return bool(value) and not re.search(r"[$`<>|{}()\"']|\.\.\.", value) and len(value) < 300


def _parses(value: str, reader: str) -> bool:
    """Whether the script's own reader of a setting takes the value: logs also print words for numbers."""
    try:
        return not reader or (int(value) if reader == "int" else float(value)) is not None
    except ValueError:
        return False
