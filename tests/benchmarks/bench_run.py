"""How many submissions run to their final val_bpb on this machine, how long it takes, and at what price.

Draws heads with a fixed seed, evenly over the range of pull request numbers, and runs each once with
the experiments::

    python -m tests.benchmarks.bench_run --repo CLONE [--heads 150] [--seed 11] [--out DIR]
        [--jobs 1] [--no-probes] [--overhead 3] [--precedents FILE [--valid 38]]

A head without a training script does not count. ``--jobs`` runs that many heads side by side.
``--no-probes`` runs the draw without instruments and experiments, which asks only whether it completes.
``--overhead`` runs that many of the heads that completed twice again: without probes, and with a trace but
without experiments. ``--precedents`` names public verdicts (one JSON object a line: ``pr``, ``gold``); those
that an organizer called valid are run as well, and every violated experiment on one of them is listed. Rows
are kept in DIR and not run again.
Ends with::

    run_completed: K/N           heads of the draw that reached their final score, of those with a script
    run_completed_runnable: K/M  the same without heads that nobody can run, each named with its reason: the
                                 script is Python of no version, it ended without a score and has no word for
                                 bits, or what stopped the run is an import, at top level and unguarded, of a
                                 module that neither the head's own repository, the standard library nor a
                                 known package has (`tests.benchmarks.nobody`)
    run_median_seconds: X        wall seconds of run and experiments, over the same heads
    instrument_overhead: X       processor time with a trace alone over that without
    probe_overhead: X            the same with everything: a twin on noise, and a fork for every experiment
    false_counterexamples: N     violated experiments on organizer-valid precedents
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import pygit2

from harness import runner
from harness.experiments import Instruments
from harness.gitsource import load_pull, pull_numbers
from harness.logs import read
from harness.record import Holds, RunRecord
from harness.submission import Submission
from harness.unpack import Layer, layers
from tests.benchmarks import nobody

Rows = list[dict[str, Any]]


class How(StrEnum):
    """What accompanies a run, and the name of the file that its rows are kept in."""

    DRAWN = "drawn"  # everything
    VALID = "valid"  # everything, on precedents
    TRACED = "traced"  # the instruments and their trace, no experiments
    BARE = "bare"  # nothing

    def options(self, seconds: float, traces: Path) -> runner.RunOptions:
        """How to run one head for at most ``seconds``; ``traces`` is a folder for its trace."""
        if self is How.TRACED:
            companion = Instruments(traces, seconds, experiments=False)
            return runner.RunOptions(seconds=seconds, companion=companion)
        return runner.RunOptions(seconds=seconds, probes=self is not How.BARE)


def draw(numbers: list[int], count: int, seed: int) -> list[int]:
    """``count`` numbers, one at random from each of as many equal slices, in random order."""
    rng = random.Random(seed)
    ordered = sorted(numbers)
    edges = [len(ordered) * i // max(1, count) for i in range(count + 1)]
    chosen = [rng.choice(ordered[a:b]) for a, b in pairwise(edges) if b > a]
    rng.shuffle(chosen)
    return chosen


def measure(repo: Path, pr: int, how: How, limit: float) -> dict[str, Any]:
    """Run one head for at most ``limit`` seconds; a head without a script has outcome ``skipped``."""
    try:
        submission = load_pull(repo, pr)
        sources = layers(submission)
        logs, before = read(submission, sources), _processor_seconds()
        with tempfile.TemporaryDirectory(prefix="golf-trace-") as traces:
            options = how.options(limit, Path(traces))
            record = runner.run(submission, sources, logs, options)
    except Exception as error:
        return {"pr": pr, "outcome": "error", "blocker": repr(error)[:300], "seconds": 0.0}
    return {
        "pr": pr,
        "script": submission.entry_script,
        "outcome": str(record.outcome),
        "blocker": record.blocker,
        "nobody": _nobody(repo, submission, sources, record),
        "profile": record.profile,
        "seconds": round(record.seconds, 1),
        "processor_seconds": round(_processor_seconds() - before, 1),
        "reported": record.reported,
        "notes": list(record.notes)[:6],
        "experiments": {e.name: str(e.result) for e in record.experiments},
        "violated": {e.name: e.summary for e in record.experiments if e.result is Holds.VIOLATED},
        "undecided": {e.name: e.summary for e in record.experiments if e.result is Holds.UNDECIDED},
    }


def _nobody(repo: Path, submission: Submission, sources: tuple[Layer, ...], record: RunRecord) -> str | None:
    """Why nobody can run the head, if that is so."""
    if record.blocker is None or submission.entry_script is None or not submission.head:
        return None
    python = [layer.lowered for layer in sources if layer.language == "python"]
    tree = pygit2.Index()
    tree.read_tree(pygit2.Repository(str(repo))[submission.head].peel(pygit2.Tree))
    files = [entry.path for entry in tree]
    return nobody.why(record.blocker, submission.text(submission.entry_script), python, files)


def _processor_seconds() -> float:
    """Processor time of this process, which receives the trace, and of all finished children.

    Unlike the wall clock, it is not stretched by other work on the machine.
    """
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def summary(drawn: Rows, traced: Rows, bare: Rows, valid: Rows) -> str:
    """The closing lines: blockers by frequency, counterexamples, then the figures.

    ``traced`` and ``bare`` are reruns of heads of the draw without experiments and without anything;
    ``valid`` the runs of organizer-valid precedents.
    """
    counted = [r for r in drawn if r["outcome"] != "skipped"]
    done = [r for r in counted if r["outcome"] == "completed"]
    lines = _blockers([r for r in counted if r not in done])
    false = [(r["pr"], *v) for r in valid for v in r.get("violated", {}).items()]
    lines += [f"counterexample on a valid precedent: #{pr} {name}: {told}" for pr, name, told in false]
    seconds = [r["seconds"] for r in counted] or [0.0]
    within = sum(s <= 180 for s in seconds) / len(seconds)
    used = [r.get("processor_seconds", 0.0) for r in counted] or [0.0]
    decided = [r for r in valid if r["outcome"] == "completed"]
    return "\n".join(
        [
            *lines,
            f"run_within_180_s: {within:.1%}",
            f"run_median_processor_seconds: {statistics.median(used):.1f}",
            f"valid_precedents_run: {f'{len(decided)}/{len(valid)}' if valid else 'n/a'}",
            f"run_completed: {len(done)}/{len(counted)}",
            _runnable(counted, len(done)),
            f"run_median_seconds: {statistics.median(seconds):.1f}",
            f"instrument_overhead: {overhead(traced, bare)}",
            f"probe_overhead: {overhead(drawn, bare)}",
            f"false_counterexamples: {len(false) if decided else 'n/a'}",
        ]
    )


def _runnable(counted: Rows, done: int) -> str:
    """The share that completed of the heads that somebody can run, with the others' names and reasons."""
    out = {row["pr"]: row["nobody"] for row in counted if row.get("nobody")}
    named = ", ".join(f"#{pr} {reason}" for pr, reason in sorted(out.items()))
    return f"run_completed_runnable: {done}/{len(counted) - len(out)}" + (
        f" (without {named})" if out else ""
    )


def _blockers(rows: Rows) -> list[str]:
    """What stopped the runs, the most frequent first, each with the heads it stopped."""
    heads: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        heads[f"{row['outcome']}: {str(row['blocker'])[:90]}"].append(row["pr"])
    ranked = sorted(heads.items(), key=lambda item: -len(item[1]))
    return [f"{len(prs):4d}  {what} (#{', #'.join(map(str, sorted(prs)))})" for what, prs in ranked]


def overhead(probed: Rows, bare: Rows) -> str:
    """Median ratio of processor seconds with and without probes, over heads that completed both ways."""
    without = {r["pr"]: r["processor_seconds"] for r in bare if r["outcome"] == "completed"}
    ratios = [
        r["processor_seconds"] / without[r["pr"]]
        for r in probed
        if r["outcome"] == "completed" and without.get(r["pr"])
    ]
    return f"{statistics.median(ratios):.2f}" if ratios else "n/a"


class Bench:
    """Runs heads, ``jobs`` at a time, and keeps their rows in files of one folder."""

    def __init__(self, repo: Path, out: Path, seconds: float, jobs: int = 1) -> None:
        self.repo, self.out, self.seconds, self.jobs = repo, out, seconds, jobs
        out.mkdir(parents=True, exist_ok=True)

    def rows(self, how: How, prs: list[int]) -> Rows:
        """The rows of ``prs`` in the file of ``how``, running those that are not there yet."""
        target = self.out / f"{how}.jsonl"
        rows = [json.loads(line) for line in target.read_text().splitlines()] if target.exists() else []
        known = {row["pr"] for row in rows}
        for row in self._measured([pr for pr in prs if pr not in known], how):
            rows.append(row)
            with target.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            told = row["blocker"] or row["reported"]
            print(how, row["pr"], row["outcome"], row.get("profile"), row["seconds"], told, flush=True)
        return [row for row in rows if row["pr"] in set(prs)]

    def _measured(self, prs: list[int], how: How) -> Iterator[dict[str, Any]]:
        """Rows as they come. Each worker counts the processor time of its own children only."""
        if self.jobs == 1:
            yield from (measure(self.repo, pr, how, self.seconds) for pr in prs)
            return
        with ProcessPoolExecutor(self.jobs) as pool:
            running = [pool.submit(measure, self.repo, pr, how, self.seconds) for pr in prs]
            yield from (done.result() for done in as_completed(running))


def organizer_valid(precedents: Path) -> list[int]:
    """Pull requests that an organizer called valid without reserve and that have a script."""
    rows = [json.loads(line) for line in precedents.read_text(encoding="utf-8").splitlines() if line]
    return sorted(r["pr"] for r in rows if r["gold"] == "valid/organizer" and r.get("has_script", True))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repo", type=Path, required=True)
    parser.add_argument("--heads", type=int, default=150)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=180.0, help="time limit of one head")
    parser.add_argument("--jobs", type=int, default=1, help="heads to run side by side")
    parser.add_argument("--no-probes", action="store_true", help="run the draw without experiments")
    parser.add_argument(
        "--overhead", type=int, default=3, help="heads to run again without experiments, and bare"
    )
    parser.add_argument("--precedents", type=Path, help="public verdicts, one JSON object a line")
    parser.add_argument("--valid", type=int, default=1000, help="at most so many valid precedents")
    parser.add_argument("--only", type=int, nargs="*")
    parser.add_argument("--out", type=Path, default=Path("out/bench-run"))
    given = parser.parse_args()
    bench = Bench(given.repo, given.out, given.seconds, given.jobs)
    chosen = given.only or draw(list(pull_numbers(given.repo)), given.heads, given.seed)
    if given.no_probes:
        print(summary(bench.rows(How.BARE, chosen), [], [], []))
        return
    drawn = bench.rows(How.DRAWN, chosen)
    again = [r["pr"] for r in drawn if r["outcome"] == "completed"][: given.overhead]
    traced, bare = bench.rows(How.TRACED, again), bench.rows(How.BARE, again)
    sound = organizer_valid(given.precedents)[: given.valid] if given.precedents else []
    print(summary(drawn, traced, bare, bench.rows(How.VALID, sound)))


if __name__ == "__main__":
    main()
