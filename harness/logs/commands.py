"""Command lines in READMEs, shell scripts and logs: which settings the run exported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.logs.records import Command, Place

_ASSIGN = re.compile(
    r"(?:^|[\s;&(])(?:export\s+|env\s+|set\s+|\$env:)?([A-Z_][A-Z0-9_]{1,60})\s?=\s?(\"[^\"\n]{0,300}\"|'[^'\n]{0,300}'|[^\s;&|)\"'`\\]{0,300})"
)
_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,60}")
_RUN = re.compile(r"\b(?:torchrun|accelerate launch|python[\d.]*|modal run|sbatch|srun)\b[^\n]{0,1500}")
_SCRIPT = re.compile(r"([\w./${}-]+\.py)\b")
_PROCESSES = re.compile(r"--?nproc[-_]per[-_]node[= ]\s*\"?(\d+)")
_LINE = 4_000
_MOST = 200
_LISTED = 4
"""Fewer settings in a block of their own are an aside: the switch that a paragraph speaks of."""


def commands(path: str, text: str, *, shell: bool) -> tuple[Command, ...]:
    """Read the commands that run a Python script.

    In a shell script every earlier ``export`` counts; in a README only those of the same code block, and
    the settings of a block that lists nothing else, where the commands contradict none of them.
    """
    found: list[Command] = []
    listed: list[Command] = []
    exported: dict[str, str] = {}
    bare = False
    for number, line in _logical_lines(text):
        if not shell and line.lstrip().startswith("```"):
            if bare and len(exported) >= _LISTED:
                settings = {name: value.rstrip(",") for name, value in exported.items()}
                listed.append(Command(settings, None, None, Place(path, number)))
            exported, bare = {}, True
            continue
        run = _RUN.search(line)
        script = _SCRIPT.search(run[0]) if run else None
        assigns = _only_assigns(line)
        bare = bare and (assigns or not line.split("#")[0].strip())
        if run and script:
            env = {**exported, **dict(_assignments(line[: run.start()]))}
            found.append(_command(path, number, line, run[0], script, env))
            if len(found) >= _MOST:
                break
        elif shell or assigns:
            exported.update(_assignments(line))
    return completed(found, listed)


def settings_file(path: str, text: str) -> Command | None:
    """The settings of a run that a JSON file lists by the names of the environment, by itself or one level
    down; None where it lists no more than an aside has."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return None
    inner = list(whole.values()) if isinstance(whole, dict) else []
    tables = [t for t in (whole, *inner) if isinstance(t, dict)]
    env = max((_exported(table) for table in tables), key=len, default={})
    return Command(env, None, None, Place(path, 1)) if len(env) >= 2 * _LISTED else None


def _exported(table: dict[str, Any]) -> dict[str, str]:
    """Entries under names in capitals as a shell would export them."""
    plain = {k: v for k, v in table.items() if _NAME.fullmatch(k) and isinstance(v, (str, int, float))}
    return {k: str(int(v)) if isinstance(v, bool) else str(v) for k, v in plain.items()}


def completed(found: Sequence[Command], listed: Sequence[Command]) -> tuple[Command, ...]:
    """Commands with the settings of the only list of settings beside them; without commands, that list.

    Two lists are variants, and what another value contradicts is of another run: neither tells anything.
    """
    if len(listed) != 1:
        return tuple(found)
    settings = listed[0].env
    return tuple(_with(c, settings) for c in found) or tuple(listed)


def _with(command: Command, settings: dict[str, str]) -> Command:
    if any(settings.get(name, value) != value for name, value in command.env.items()):
        return command
    return replace(command, env={**settings, **command.env})


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Join lines that end in a backslash, a caret or a backtick; number them by their first."""
    held, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        body = line.rstrip()
        if body.endswith(("\\", "^")) and len(held) < _LINE:
            held += body[:-1] + " "
            continue
        yield start, (held + body)[:_LINE]
        held, start = "", 0
    if held:
        yield start, held[:_LINE]


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for name, value in _ASSIGN.findall(text):
        yield name, value.strip("\"'")


def _only_assigns(line: str) -> bool:
    words = line.strip().removeprefix("export ").removeprefix("set ").split()
    return bool(words) and all(re.match(r"(?:export|\$env:)?[A-Z_][A-Z0-9_]*=", w) for w in words)


def _command(
    path: str, number: int, line: str, run: str, script: re.Match[str], env: dict[str, str]
) -> Command:
    processes = _PROCESSES.search(run)
    tail = run[script.end() :].split("#")[0].split("|")[0].split(">")[0]
    return Command(
        env=env,
        script=script[1],
        processes=int(processes[1]) if processes else None,
        place=Place(path, number, line.strip()[:300]),
        arguments=tuple(tail.split())[:60],
    )
