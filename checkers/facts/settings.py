"""The configuration of the headline run: environment, command line and printed hyperparameters.

Order of trust: what the log printed, then the command the README or a shell script gives, then the
default in the code. Each answer says which one it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.submission import Submission

if TYPE_CHECKING:
    from harness.logs import Command, LogBook, Setting


_MOST_COMMANDS = 4
_OF_A_PROCESS = frozenset({"RANK", "LOCAL_RANK"})


@dataclass(frozen=True, slots=True)
class Known:
    """A setting and where it was read."""

    text: str
    source: str


@dataclass(frozen=True)
class Settings:
    """What is known about how the script was started. Names of ``printed`` are lower case."""

    environment: dict[str, Known] = field(default_factory=dict)
    printed: dict[str, Known] = field(default_factory=dict)
    options: dict[str, Known] = field(default_factory=dict)
    world_size: int | None = None

    def env(self, name: str) -> tuple[Known, ...]:
        """What is said of an environment variable, the most trusted first; empty for the code's default.

        What a log prints under a setting's name may be something else ("ttt: starting"), so a reader
        takes the first that can be a value.
        """
        if name == "WORLD_SIZE" and self.world_size:
            return (Known(str(self.world_size), "log"),)
        if name in _OF_A_PROCESS:
            return ()  # the launcher's; what documents call a rank is that of a matrix
        return tuple(k for k in (self.printed.get(name.lower()), self.environment.get(name)) if k)

    def option(self, name: str) -> tuple[Known, ...]:
        """What is said of a command-line option (``--foo-bar`` is ``foo_bar``), the most trusted first."""
        return tuple(k for k in (self.options.get(name), self.printed.get(name)) if k)


def resolve(submission: Submission, logs: LogBook) -> tuple[Settings, ...]:
    """The settings that the logs show, with each command of a submission in turn and at last with none.

    The first is meant, if it scores anything; the later ones are variants: another seed, an ablation. The
    logs of a dry run may be all there is; so what the commands say alone follows.
    """
    commands = _commands(submission, logs)
    shown = _printed(logs)
    found = []
    for printed in (shown, {}) if shown else (shown,):
        for command in (*commands[:_MOST_COMMANDS], None):
            environment, options = _given(command) if command else ({}, {})
            found.append(Settings(environment, printed, options, _world_size(logs, commands)))
    return tuple(found)


def _given(command: Command) -> tuple[dict[str, Known], dict[str, Known]]:
    """What a command sets: variables of its environment, and options."""
    where = str(command.place)
    environment = {name: Known(text, where) for name, text in command.env.items()}
    return environment, {name: Known(text, where) for name, text in _options(command.arguments).items()}


def _commands(submission: Submission, logs: LogBook) -> list[Command]:
    entry = (submission.entry_script or "").rpartition("/")[2]
    return [c for c in logs.commands if not entry or (c.script or "").rpartition("/")[2] in ("", entry)]


def _printed(logs: LogBook) -> dict[str, Known]:
    printed = logs.hyperparameters()
    return {n: Known(s.value.strip(), str(s.place)) for n, s in printed.items() if _plain(s)}


def _plain(setting: Setting) -> bool:
    """Whether a printed value is a literal and not a sentence."""
    return bool(re.fullmatch(r"[\w.+\-,/*'\"]{1,80}", setting.value.strip()))


def _options(arguments: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    words = list(arguments)
    for i, word in enumerate(words):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            after = words[i + 1] if i + 1 < len(words) else "--"
            text = value if equals else ("True" if after.startswith("--") else after)
            found.setdefault(name.replace("-", "_"), text)
    return found


def _world_size(logs: LogBook, commands: list[Command]) -> int | None:
    headline = logs.headline
    for log in ((headline,) if headline else ()) + logs.logs:
        if log.world_size:
            return log.world_size
    return next((c.processes for c in commands if c.processes), None)
