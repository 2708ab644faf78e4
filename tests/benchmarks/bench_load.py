"""Load and unpack every pull request of a clone: what is packed, what is peeled, why the rest is not.

Run as ``python tests/benchmarks/bench_load.py CLONE [STEP]``; prints processor seconds per head, peak
memory, counts of how layers were reached, and each reason why a layer stayed closed.
"""

from __future__ import annotations

import re
import resource
import statistics
import sys
import time
from collections import Counter

from harness.gitsource import load_pull, pull_numbers
from harness.unpack import Layer, layers


def measure(clone: str, pr: int) -> tuple[float, tuple[Layer, ...]]:
    """Processor seconds of loading and unpacking one head, and its layers."""
    start = time.process_time()
    found = layers(load_pull(clone, pr))
    return time.process_time() - start, found


def main(clone: str, step: int = 1) -> None:
    """Measure every ``step``-th head and print the table."""
    numbers = pull_numbers(clone)[::step]
    seconds, how, closed, packed, peeled = [], Counter(), Counter(), 0, 0
    for pr in numbers:
        spent, found = measure(clone, pr)
        seconds.append(spent)
        how.update(layer.how for layer in found)
        payloads = [x for x in found if x.how.partition(":")[0] in {"exec", "eval", "runpy"} or "!" in x.name]
        packed += bool(payloads)
        peeled += bool(payloads) and all(x.problem is None for x in payloads)
        closed.update(f"{x.how}: {re.sub('line [0-9]+', 'line N', x.problem)}" for x in found if x.problem)
    seconds.sort()
    print(f"heads {len(numbers)}, packed or wrapped {packed}, wholly peeled {peeled}")
    print(f"seconds per head: median {statistics.median(seconds):.3f}, ", end="")
    print(f"9 in 10 under {seconds[int(0.9 * len(seconds))]:.3f}, most {seconds[-1]:.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    for title, table in (("reached by", how), ("closed", closed)):
        for name, count in table.most_common():
            print(f"{title:>10} {count:5} {name}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
