"""The configuration of the run a submission claims, as environment settings of its script."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from harness.knobs import Knob, Via

_NEVER = re.compile(
    r"RANK|LOCAL_RANK|WORLD_SIZE|MASTER_\w+|PATH|HOME|USER|CUDA_\w+|NCCL_\w+|TORCH\w*|OMP_\w+|PYTHON\w*|RUN_ID|HF_\w+"
    r"|TRITON_\w+|LD_\w+|PYTORCH_\w+|LOG\w*_(?:DIR|FILE)|OUT_DIR|OUTPUT_DIR|WANDB_\w+|DATA_\w+|TOKENIZER_\w*|\w*_PATH|\w*_DIR"
)
_SWITCHES = {"enabled": "1", "on": "1", "yes": "1", "disabled": "0", "off": "0", "no": "0"}
_GENERIC = frozenset(("ENABLED", "ENABLE", "USE", "EVAL", "DO", "RUN", "WITH", "ON", "VAL", "FINAL"))
_FORMAT = re.compile(
    r"U?INT\d*|Q\d+|BF\d+|FP\d+|ZLIB|ZSTD|LZMA|GPTQ|QAT|EMA|SWA|LAWA|EXACT|ROUNDTRIP|LOSS|BPB"
)
"""Words that say how weights are made or packed; scripts print them whatever is switched on."""
_AMOUNTS = frozenset(("ORDER", "ORDERS", "EPOCHS", "STEPS", "ITERS", "PASSES", "ENABLED", "ENABLE"))
_RUNS = (
    *("INIT_MODEL", "LOAD", "RESUME", "CHECKPOINT", "CKPT", "EVAL_ONLY", "SKIP_TRAIN"),
    *("DRY_RUN", "INIT_ONLY", "SMOKE_TEST"),  # a run that ended before its score is not the claimed one
)


def claimed_environment(logs: Any, knobs: Iterable[Knob]) -> dict[str, str]:
    """Environment assignments of the headline command, completed from the hyperparameters in its log.

    Where the two contradict each other the log counts: it is of the run. What is off by default, printed
    nowhere, and named by a final score of that log was on. Only names the script reads are kept; paths,
    ranks and switches that skip training are not.
    """
    if logs is None:
        return {}
    names = {k.name: k for k in knobs if k.via is Via.ENVIRONMENT and not _NEVER.fullmatch(k.name)}
    found = {**_from_scores(logs, names), **_from_log(logs, names)}
    for command in _commands(logs):
        said = {k: v for k, v in command.env.items() if k in names and _plain(v)}
        found.update({k: v for k, v in said.items() if k not in _contradicted(command, logs)})
    found = {k: v for k, v in found.items() if _parses(v, names[k].reader)}
    return {k: v for k, v in sorted(found.items()) if not any(word in k for word in _RUNS)}


def _commands(logs: Any) -> list[Any]:
    """The command that the log contradicts least, of those the one with the most settings: READMEs and
    shell scripts also give ablations and short trials, but the full one is longest."""
    commands = [c for c in getattr(logs, "commands", ()) if c.env]
    against = {id(c): len(_contradicted(c, logs) | _denied(c, logs)) for c in commands}
    return sorted(commands, key=lambda c: (-against[id(c)], len(c.env)))[-1:]


def _contradicted(command: Any, logs: Any) -> set[str]:
    """Settings of a command that the log prints with another value; every seed has its own run."""
    printed = logs.hyperparameters()
    both = ((k, v, printed[k.lower()].value) for k, v in command.env.items() if k.lower() in printed)
    return {k for k, v, p in both if k != "SEED" and _plain(v) and _differ(v, p)}


def _denied(command: Any, logs: Any) -> set[str]:
    """Features that a command sets to no order, epoch or step although a final score is named for them."""
    off = {
        k: _telling(k) - _AMOUNTS for k, v in command.env.items() if v == "0" and _AMOUNTS & set(k.split("_"))
    }
    return {k for k, words in off.items() if words and any(words <= label for label in _labels(logs))}


def _labels(logs: Any) -> list[set[str]]:
    """The words by which the headline log names its final scores."""
    headline = getattr(logs, "headline", None)
    return [set(re.findall(r"[A-Z0-9]+", s.label.upper())) for s in headline.finals] if headline else []


def _telling(name: str) -> set[str]:
    """The words of a setting's name that say what it is about."""
    return {w for w in name.split("_") if w not in _GENERIC and not _FORMAT.fullmatch(w)}


def _differ(one: str, two: str) -> bool:
    """Whether two words or numbers are different values of a setting; 1 and True are one."""
    words = {"true": "1", "false": "0", **_SWITCHES}
    first, second = (words.get(v.lower(), v.lower()) for v in (one, two))
    try:
        return float(first) != float(second)
    except ValueError:
        return False  # a word beside a number, a path, a list: printed in another form, perhaps


def _from_scores(logs: Any, names: dict[str, Knob]) -> dict[str, str]:
    """Switches, off by default and not printed, all of whose telling words a final score has in its label."""
    printed, labels = set(logs.hyperparameters()), _labels(logs)
    found = {}
    for name, knob in names.items():
        telling = _telling(name)
        is_off = knob.reader == "int" and str(knob.default) == "0" and name.lower() not in printed
        if is_off and telling and any(telling <= label for label in labels):
            found[name] = "1"
    return found


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
