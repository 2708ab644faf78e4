"""Cost of a sweep of the archive or of a sample of it, as ratios from one run on this machine.

The yardstick is ``libcst.parse_module`` alone on every distinct Python layer the sweep analyses, with
the same number of processes. Prints, as its last lines::

    sweep_cpu_ratio_vs_parse: the ratio below in processor time, which a busy machine disturbs less (--jobs 1)
    sweep_ratio_vs_parse: cold sweep time / parse time
    sweep_warm_over_cold: time of a second, unchanged sweep / cold sweep time
    sweep_peak_mb: resident memory of the hungriest process
    sweep_deterministic: whether two cold sweeps gave identical records but for their times (--twice)

With --profile (one process) a table before them gives the processor time of the cold sweep by stage.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest import mock

import joblib
import libcst

import audit
from checkers import registry
from checkers.facts import facts
from harness import gitsource, logs, lowering, sweep, unpack
from harness.submission import SubmissionError
from reports import json_v1


def layer_texts(repo: str, pr: int) -> dict[int, str]:
    """Distinct Python layer texts of one head, by hash."""
    try:
        found = unpack.layers(gitsource.load_pull(repo, pr))
    except SubmissionError:
        return {}
    return {hash(layer.text): layer.text for layer in found if layer.language == "python"}


def parse(text: str) -> bool:
    """Parse one text with LibCST and nothing more; tell whether it is Python."""
    try:
        libcst.parse_module(text)
    except Exception:  # the yardstick only counts time; files nobody can parse cost what they cost
        return False
    return True


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the wall clock, and of processors: this process and the children it has waited for."""

    wall: float
    cpu: float

    @staticmethod
    def so_far() -> Spent:
        """What this process has spent until now."""
        return Spent(time.perf_counter(), sum(os.times()[:4]))

    def since(self) -> Spent:
        """What was spent from this moment on."""
        now = Spent.so_far()
        return Spent(now.wall - self.wall, now.cpu - self.cpu)


def parse_cost(texts: Sequence[str], jobs: int) -> Spent:
    """The cost of parsing every text with ``jobs`` processes, pool start included."""
    started = Spent.so_far()
    parsed = joblib.Parallel(n_jobs=jobs)(joblib.delayed(parse)(text) for text in texts)
    print(f"libcst parses {sum(parsed)} of {len(texts)} distinct layers")
    return started.since()


def sweep_cost(tasks: Sequence[sweep.Task], repo: Path, out: Path, jobs: int) -> tuple[Spent, float]:
    """The cost and the peak MB of one sweep into ``out``."""
    started = Spent.so_far()
    job = partial(audit.audit_head, repo, audit.Options(run=False))
    peak = sweep.sweep(tasks, job, out, jobs=jobs)
    return started.since(), peak


def chosen(repo: Path, every: int, number: int, seed: int) -> list[sweep.Task]:
    """The heads to sweep, by number: every n-th of the clone, or ``number`` of them drawn with ``seed``."""
    heads = sorted(gitsource.heads(repo).items())[::every]
    if number:
        heads = sorted(random.Random(seed).sample(heads, min(number, len(heads))))
    return [sweep.Task(pr, head, head) for pr, head in heads]


STAGES: tuple[tuple[str, Any, str], ...] = (
    ("loading from git", gitsource, "load_pull"),
    ("unpacking", unpack, "layers"),
    ("parse (ast)", ast, "parse"),
    ("logs", logs, "read"),
    ("index of names", facts, "parse"),
    ("simulation", facts, "simulate"),
    ("checkers", registry, "run"),
    ("JSON and sketch", json_v1, "to_json"),
)
"""The stages of an audit: a name, and the function that does the work, as its caller finds it."""


@dataclass
class Profile:
    """Seconds of processor time by stage; a stage inside another is taken off the outer one."""

    spent: dict[str, float] = field(default_factory=lambda: {name: 0.0 for name, _, _ in STAGES})
    _inside: list[float] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge what runs inside to a stage."""
        started = time.process_time()
        self._inside.append(0.0)
        try:
            yield
        finally:
            whole = time.process_time() - started
            self.spent[name] = self.spent.get(name, 0.0) + whole - self._inside.pop()
            if self._inside:
                self._inside[-1] += whole

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time charged to a stage."""

        @wraps(work)
        def charged(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return work(*args, **kwargs)

        return charged

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Charge the stages of every audit in this process while it lasts; what is in none is the rest."""
        with ExitStack() as stack:
            for name, owner, function in STAGES:
                timed = self.timed(name, getattr(owner, function))
                stack.enter_context(mock.patch.object(owner, function, timed))
            with self.stage("rest"):
                yield

    def show(self, whole: float, parsing: float) -> None:
        """Print for each stage the seconds, the share of the ``whole`` sweep, the ratio to the yardstick's.

        What the whole has more than the stages was spent in child processes: newer syntax lowered by LibCST.
        """
        self.spent["child processes"] = max(0.0, whole - sum(self.spent.values()))
        print(f"{'stage':20}{'cpu s':>8}{'share':>8}{'/ parse':>9}")
        for name, seconds in sorted(self.spent.items(), key=lambda item: -item[1]):
            print(f"{name:20}{seconds:8.2f}{seconds / whole:8.1%}{seconds / parsing:9.3f}")


def records(out: Path) -> list[dict[str, object]]:
    """The records of a sweep without their times."""
    lines = (out / "results.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repo", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="take every n-th head (1: the whole archive)")
    parser.add_argument("--heads", type=int, default=0, help="draw so many heads (0: all of them)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the draw")
    parser.add_argument("--jobs", type=int, default=sweep.default_jobs())
    parser.add_argument("--twice", action="store_true", help="sweep cold twice and compare the records")
    parser.add_argument("--profile", action="store_true", help="show the time by stage (with --jobs 1)")
    args = parser.parse_args()
    if args.profile and args.jobs != 1:
        parser.error("--profile watches one process: add --jobs 1")
    tasks = chosen(args.repo, args.every, args.heads, args.seed)
    texts: dict[int, str] = {}
    for task in tasks:
        texts.update(layer_texts(str(args.repo), task.pr))
    registry.discover()  # what is imported once is no cost of a sweep
    lowering.forget()  # a cold sweep has seen none of the texts
    parsing = parse_cost(list(texts.values()), args.jobs)
    print(f"parse: {parsing.wall:.1f} s with {args.jobs} processes")
    with tempfile.TemporaryDirectory() as scratch:
        first, second = Path(scratch, "first"), Path(scratch, "second")
        profile = Profile()
        with profile.watching() if args.profile else nullcontext():
            cold, peak = sweep_cost(tasks, args.repo, first, args.jobs)
        warm, _ = sweep_cost(tasks, args.repo, first, args.jobs)
        if args.profile:
            profile.show(cold.cpu, parsing.cpu)
        print(f"sweep of {len(tasks)} heads: cold {cold.wall:.1f} s, warm {warm.wall:.2f} s")
        if args.twice:
            sweep_cost(tasks, args.repo, second, args.jobs)
            print(f"sweep_deterministic: {records(first) == records(second)}")
    if args.jobs == 1:
        print(f"sweep_cpu_ratio_vs_parse: {cold.cpu / parsing.cpu:.3f}")
    print(f"sweep_ratio_vs_parse: {cold.wall / parsing.wall:.3f}")
    print(f"sweep_warm_over_cold: {warm.wall / cold.wall:.5f}")
    print(f"sweep_peak_mb: {peak:.0f}")


if __name__ == "__main__":
    main()
