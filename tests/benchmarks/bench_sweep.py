"""Cost of a whole-archive sweep, as ratios from one run on this machine.

The yardstick is ``libcst.parse_module`` alone on every distinct Python layer the sweep analyses, with
the same number of processes. Prints, as its last lines::

    sweep_ratio_vs_parse: cold sweep time / parse time
    sweep_warm_over_cold: time of a second, unchanged sweep / cold sweep time
    sweep_peak_mb: resident memory of the hungriest process
    sweep_deterministic: whether two cold sweeps gave identical records but for their times (--twice)
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import joblib
import libcst

import audit
from harness import gitsource, sweep, unpack
from harness.submission import SubmissionError


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


def parse_seconds(texts: Sequence[str], jobs: int) -> float:
    """Wall seconds to parse every text with ``jobs`` processes, pool start included."""
    started = time.perf_counter()
    parsed = joblib.Parallel(n_jobs=jobs)(joblib.delayed(parse)(text) for text in texts)
    print(f"libcst parses {sum(parsed)} of {len(texts)} distinct layers")
    return time.perf_counter() - started


def sweep_seconds(tasks: Sequence[sweep.Task], repo: Path, out: Path, jobs: int) -> tuple[float, float]:
    """Wall seconds and peak MB of one sweep into ``out``."""
    started = time.perf_counter()
    job = partial(audit.audit_head, repo, audit.Options(run=False))
    peak = sweep.sweep(tasks, job, out, jobs=jobs)
    return time.perf_counter() - started, peak


def records(out: Path) -> list[dict[str, object]]:
    """The records of a sweep without their times."""
    lines = (out / "results.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repo", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="take every n-th head (1: the whole archive)")
    parser.add_argument("--jobs", type=int, default=sweep.default_jobs())
    parser.add_argument("--twice", action="store_true", help="sweep cold twice and compare the records")
    args = parser.parse_args()
    heads = sorted(gitsource.heads(args.repo).items())[:: args.every]
    tasks = [sweep.Task(pr, head, head) for pr, head in heads]
    texts: dict[int, str] = {}
    for pr, _ in heads:
        texts.update(layer_texts(str(args.repo), pr))
    parsing = parse_seconds(list(texts.values()), args.jobs)
    print(f"parse: {parsing:.1f} s with {args.jobs} processes")
    with tempfile.TemporaryDirectory() as scratch:
        first, second = Path(scratch, "first"), Path(scratch, "second")
        cold, peak = sweep_seconds(tasks, args.repo, first, args.jobs)
        warm, _ = sweep_seconds(tasks, args.repo, first, args.jobs)
        print(f"sweep of {len(tasks)} heads: cold {cold:.1f} s, warm {warm:.2f} s")
        if args.twice:
            sweep_seconds(tasks, args.repo, second, args.jobs)
            print(f"sweep_deterministic: {records(first) == records(second)}")
    print(f"sweep_ratio_vs_parse: {cold / parsing:.3f}")
    print(f"sweep_warm_over_cold: {warm / cold:.5f}")
    print(f"sweep_peak_mb: {peak:.0f}")


if __name__ == "__main__":
    main()
