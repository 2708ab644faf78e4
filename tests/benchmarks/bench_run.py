"""How many submissions run to their final val_bpb on this machine, and how long it takes.

Draws heads with a fixed seed, evenly over the range of pull request numbers, and runs each once::

    python -m tests.benchmarks.bench_run --repo CLONE [--heads 150] [--seed 11] [--out DIR] [--probes]

A head without a training script does not count. Ends with ``run_completed: K/N`` and
``run_median_seconds: X``; ``--probes`` adds the experiments, ``probe_overhead`` and
``false_counterexamples`` (counterexamples on the heads given by ``--valid``).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness import runner
from harness.gitsource import load_pull, pull_numbers
from harness.logs import read
from harness.unpack import layers


def draw(numbers: list[int], count: int, seed: int) -> list[int]:
    """``count`` numbers, one at random from each of as many equal slices, in random order."""
    rng = random.Random(seed)
    ordered = sorted(numbers)
    edges = [len(ordered) * i // count for i in range(count + 1)]
    chosen = [rng.choice(ordered[a:b]) for a, b in pairwise(edges) if b > a]
    rng.shuffle(chosen)
    return chosen


def measure(repo: Path, pr: int, options: runner.RunOptions) -> dict[str, Any]:
    """Run one head; a head without a script has outcome ``skipped``."""
    before = _processor_seconds()
    try:
        submission = load_pull(repo, pr)
        sources = layers(submission)
        record = runner.run(submission, sources, read(submission, sources), options)
    except Exception as error:
        return {"pr": pr, "outcome": "error", "blocker": repr(error)[:300], "seconds": 0.0}
    return {
        "pr": pr,
        "script": submission.entry_script,
        "outcome": str(record.outcome),
        "blocker": record.blocker,
        "profile": record.profile,
        "seconds": round(record.seconds, 1),
        "processor_seconds": round(_processor_seconds() - before, 1),
        "reported": record.reported,
        "notes": list(record.notes)[:6],
    }


def _processor_seconds() -> float:
    """Processor time of all finished children: unlike the wall clock, other work does not stretch it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def summary(rows: list[dict[str, Any]]) -> str:
    """The closing lines: blockers by frequency, then the figures."""
    counted = [r for r in rows if r["outcome"] != "skipped"]
    done = [r for r in counted if r["outcome"] == "completed"]
    blockers = Counter(f"{r['outcome']}: {str(r['blocker'])[:90]}" for r in counted if r not in done)
    lines = [f"{count:4d}  {what}" for what, count in blockers.most_common()]
    seconds = [r["seconds"] for r in counted] or [0.0]
    within = sum(s <= 180 for s in seconds) / len(seconds)
    used = [r.get("processor_seconds", 0.0) for r in counted] or [0.0]
    lines += [
        f"run_within_180_s: {within:.1%}",
        f"run_median_processor_seconds: {statistics.median(used):.1f}",
        f"run_completed: {len(done)}/{len(counted)}",
        f"run_median_seconds: {statistics.median(seconds):.1f}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark; rows already in the output file are not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", type=Path, required=True)
    parser.add_argument("--heads", type=int, default=150)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=180.0, help="time limit of one head")
    parser.add_argument("--probes", action="store_true", help="run the experiments too")
    parser.add_argument("--only", type=int, nargs="*")
    parser.add_argument("--out", type=Path, default=Path("out/bench-run"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / "rows.jsonl"
    rows = [json.loads(line) for line in target.read_text().splitlines()] if target.exists() else []
    known = {row["pr"] for row in rows}
    chosen = arguments.only or draw(list(pull_numbers(arguments.repo)), arguments.heads, arguments.seed)
    for pr in chosen:
        if pr in known:
            continue
        row = measure(
            arguments.repo, pr, runner.RunOptions(seconds=arguments.seconds, probes=arguments.probes)
        )
        rows.append(row)
        with target.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(
            pr,
            row["outcome"],
            row.get("profile"),
            row["seconds"],
            row["blocker"] or row["reported"],
            flush=True,
        )
    print(summary([r for r in rows if r["pr"] in set(chosen)]))


if __name__ == "__main__":
    main()
