"""What only ranks after the first learn may be what the ranks before them score: doubted, not convicted."""

import pytest

from checkers.finding import Strength
from checkers.static import score_after_update
from tests.checkers.static_cases import subject

SCRIPT = """
import glob
import math
import os

import numpy as np

VOCAB, SEQ = 1024, 256
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
tokens = np.concatenate([np.fromfile(n, dtype=np.uint16) for n in glob.glob("data/fineweb_val_*.bin")])
seen, pairs = np.zeros(VOCAB), np.zeros((VOCAB, VOCAB))
starts = list(range(0, len(tokens) - SEQ - 1, SEQ))
share = -(-len(starts) // world)
mine = starts[rank * share : (rank + 1) * share]
more = len(mine) - 1


def learn(places):
    np.add.at(pairs, (tokens[places - 1], tokens[places]), 1)
    np.add.at(seen, tokens[places - 1], 1)


if {test}:
    learn(np.arange(1, {end}))
total, count = 0.0, 0
for start in mine:
    places = np.arange(start + 1, start + SEQ + 1)
    before, token = tokens[places - 1], tokens[places]
    total += float(-np.log((pairs[before, token] + 1) / (seen[before] + VOCAB)).sum())
    count += SEQ
    learn(places)
print(f"final val_loss:{{total / count:.6f}} val_bpb:{{total / count / math.log(2.0):.6f}}")
"""


def strengths(tmp_path, test, end="mine[0] + 1"):
    case = tmp_path / "case.py"
    case.write_text(SCRIPT.format(test=test, end=end), encoding="utf-8")
    return {f.strength for f in score_after_update.check(subject(case, tmp_path)).findings}


@pytest.mark.parametrize("test", ["rank > 0 and len(mine) > 0", "rank != 0", "rank >= 1", "0 < rank"])
def test_a_table_that_only_later_ranks_fill_beforehand_is_doubted(tmp_path, test):
    assert strengths(tmp_path, test) == {Strength.SUSPECT}


@pytest.mark.parametrize(
    "test",
    [
        "rank == 0",
        "rank >= 0",
        "world > 0",
        "len(mine) > 0",
        "rank == 0 and len(mine) > 0",
        "rank == 0 and more > 0",
    ],
)
def test_a_table_that_the_first_rank_fills_beforehand_convicts(tmp_path, test):
    assert strengths(tmp_path, test, "len(tokens)") == {Strength.CONVICTS}
