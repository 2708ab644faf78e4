"""What to try next when a run has failed: a ladder of attempts that learn from the failures before them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness import blame, supply
from harness.outcome import Ending
from harness.record import Outcome

STEPS = 4
NODE = 8
"""Ranks of the official node."""
_RANKS = re.compile(r"\bDDP\b|DistributedDataParallel|torchrun|WORLD_SIZE|(?<!torch\.)\bdistributed\b")
"""Failures that a script may lay at the door of its launcher."""
_WHOLE_NODE = re.compile(
    rf"world_?size\W*(?:must be|of|to be)?\W*{NODE}\b|\b{NODE}\W?(?:x\W?)?(?:H100|GPU|rank|process)",
    re.IGNORECASE,
)
"""Failures of scripts that accept no other number of ranks than that of the node."""
_VOCABULARY = re.compile(
    r"vocab|index out of range in self|Target \d+ is out of bounds|parse ModelProto", re.IGNORECASE
)
"""Failures of a tokenizer or data set of another size than the script's."""
_SHORT = re.compile(r"shape '\[-1, (\d+)\]' is invalid for input of size (\d+)")
"""A share of a batch that holds no sequence: there are more micro steps than are known."""
_LEAVES_OUT, _OFF = re.compile(r"(?:^|_)SKIP(?:_|$)", re.IGNORECASE), ("", "0", "false", "no")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One rung of the ladder: which groups of sizes stay as they are, and how the machine looks."""

    profile: str
    keep: tuple[str, ...] = ()
    bf16: str = "alias"
    steps: int = STEPS
    alone: bool = False  # started by python itself and not by a launcher of ranks
    alike: int = 1  # ranks, of which the first is started and the others are taken to do the same
    without: tuple[str, ...] = ()  # claimed settings that are left out
    own: tuple[str, ...] = ()  # single settings that keep their size
    multiples: tuple[tuple[str, int], ...] = ()  # what the lowered size of a setting must be divisible by
    batch: int = 1  # times as many tokens a step as the micro steps that are known want
    interval: int = 0  # steps between validations while training; 0: none, if the script can do without
    vocabulary: int = 0  # which of the vocabularies that the script names
    lacking: tuple[str, ...] = ()  # paths of data without which an earlier rung died
    hollow: tuple[str, ...] = ()  # modules that nobody ships, in whose place one stands that does nothing

    def keeping(self, *groups: str) -> Attempt:
        """The same with the own sizes of further groups."""
        return replace(self, keep=tuple(sorted({*self.keep, *groups})))


@dataclass(slots=True)
class Ladder:
    """The attempts at one script.

    ``claimed`` are the settings of the run that the submission claims; ``ranks`` how many real processes
    are started. After each attempt ``lowered`` names the settings that it made small, and ``vocabularies``
    says how many sizes of vocabulary the script names.
    """

    claimed: Mapping[str, str]
    ranks: int = 1
    lowered: Sequence[str] = ()
    vocabularies: int = 1
    tried: list[Attempt] = field(default_factory=list)
    _failures: list[str | None] = field(default_factory=list)

    def start(self, first: Attempt) -> Attempt:
        """Begin with ``first``; without claimed settings its profile is the default."""
        return replace(first, profile=first.profile if self.claimed else "default")

    def next(self, last: Attempt, ending: Ending) -> Attempt | None:
        """What to change after ``last`` has failed; None when nothing is left to try."""
        self.tried.append(last)
        self._failures.append(ending.blocker)
        rungs = (rung for rung in self._rungs(last, ending) if rung not in self.tried)
        return next((rung for rung in rungs if self.claimed or rung.profile == "default"), None)

    def _rungs(self, last: Attempt, ending: Ending) -> Iterator[Attempt]:
        """What the words of a failure ask for, then the profile, sizes and precision.

        What a rung left out or kept for an earlier failure stays so in those after it.
        """
        blocker = ending.blocker or ""
        default = replace(last, profile="default", keep=(), without=())
        if ending.outcome is Outcome.TIMEOUT or blocker.startswith("SyntaxError"):
            return
        if ending.silent and (muting := self._muting(last)):
            yield _leaving_out(last, muting)
        elif ending.silent or (blocker.startswith("ZeroDivisionError") and not last.interval):
            often = replace(last, interval=last.steps)
            yield from (often, last.keeping("progress"), default, default.keeping("progress"))
        elif _VOCABULARY.search(blocker) and last.vocabulary + 1 < self.vocabularies:
            yield replace(last, vocabulary=last.vocabulary + 1)
        elif asked := self._asked(last, ending):
            yield from (asked, default)
        elif ending.outcome is Outcome.BLOCKED:
            yield default
        elif blocker.startswith("NameError") or self._failures.count(ending.blocker) > 1:
            yield from self._elsewhere(last, default, undefined=blocker.startswith("NameError"))
        else:
            yield from _larger(last, default)

    def _asked(self, last: Attempt, ending: Ending) -> Attempt | None:
        """What the failure itself names: data, a module, settings, the number of ranks."""
        blocker = ending.blocker or ""
        if (path := supply.missing(blocker, ending.unfound)) and path not in last.lacking:
            return replace(last, lacking=(*last.lacking, path))
        if ending.missing and ending.reported and ending.missing not in last.hollow:
            return replace(last, hollow=(*last.hollow, ending.missing))
        if last.batch == 1 and (short := _SHORT.search(blocker)):
            length, held = int(short[1]), int(short[2])
            if 0 < held < length:
                return replace(last, batch=-(-length // held))
        if named := self._named(blocker, last):
            return named
        if _WHOLE_NODE.search(blocker) and last.alike == self.ranks == 1:
            return replace(last, alike=NODE, alone=False)
        if _RANKS.search(blocker) and not last.alone:
            return replace(last, alone=True)
        return None

    def _elsewhere(self, last: Attempt, default: Attempt, *, undefined: bool) -> Iterator[Attempt]:
        """A failure that another rung has met before is not the model's size: what is left is the share that
        one of a node's ranks has, lengths and chunks, the profile, and starting without a launcher of ranks.
        A name that is nowhere defined is no size's fault."""
        if not undefined:
            if last.alike == self.ranks == 1 and not last.alone:
                yield replace(last, alike=NODE)
            yield replace(last, keep=("eval", "length", "quant"))
        yield from (default, replace(self.tried[0], alone=True), replace(default, alone=True))

    def _named(self, blocker: str, last: Attempt) -> Attempt | None:
        """Settings that a failure names: lowered ones become divisible by the number that it states, else
        keep their size, and claimed ones are left out."""
        lowered = blame.mentioned(set(self.lowered) - set(last.own), blocker)
        unit = blame.divisor(blocker)
        if unit and set(lowered) - set(dict(last.multiples)):
            return replace(last, multiples=(*last.multiples, *((name, unit) for name in lowered)))
        if lowered:
            return replace(last, own=tuple(sorted({*last.own, *lowered})))
        left = self._left(last)
        named = blame.mentioned(left, blocker) or blame.quoted(left, blocker)
        return _leaving_out(last, named) if named else None

    def _muting(self, last: Attempt) -> list[str]:
        """Claimed settings that leave a part of the script out, when it has ended without a score."""
        left = self._left(last).items()
        return [name for name, value in left if _LEAVES_OUT.search(name) and value.lower() not in _OFF]

    def _left(self, last: Attempt) -> dict[str, str]:
        """Claimed settings that ``last`` has taken over."""
        if last.profile != "as_claimed":
            return {}
        return {name: value for name, value in self.claimed.items() if name not in last.without}


def _leaving_out(last: Attempt, names: Sequence[str]) -> Attempt:
    return replace(last, without=tuple(sorted({*last.without, *names})))


def _larger(last: Attempt, default: Attempt) -> Iterator[Attempt]:
    yield last.keeping("model")
    yield replace(last, keep=("length",))
    yield last.keeping("model", "eval")
    yield default
    yield default.keeping("model")
    yield replace(last, keep=(), bf16="native")
