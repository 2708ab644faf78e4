"""Scripts in MLX under the probes: a fork of theirs computes on a thread of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.events import Stepped
from harness.record import Holds
from tests.harness.test_experiments_on_scripts import SETTLED, violated
from tests.harness.toy_run import run

pytest.importorskip("mlx.core", reason="installed by the extra `run`")

SCRIPT = """
import math
import os

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np

VOCAB, WINDOW = 260, 128


def load(split):
    path = os.path.join(os.environ["DATA_PATH"], f"fineweb_{split}_000000.bin")
    return np.fromfile(path, "<u2", offset=1024).astype(np.int32)


class Bigram(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(VOCAB, 32)
        self.head = nn.Linear(32, VOCAB)

    def __call__(self, inputs):
        return self.head(self.table(inputs))

    def loss(self, inputs, targets):
        return nn.losses.cross_entropy(self(inputs), targets, reduction="mean")


def train(model, tokens, steps=8):
    optimizer, learn = optim.Adam(learning_rate=0.01), nn.value_and_grad(model, model.loss)
    for step in range(steps):
        at = step * WINDOW
        inputs, targets = mx.array(tokens[at : at + WINDOW]), mx.array(tokens[at + 1 : at + WINDOW + 1])
        loss, grads = learn(inputs, targets)
        optimizer.update(model, grads)
        mx.eval(loss, model.parameters(), optimizer.state)


def evaluate(model, val):
    total, count = 0.0, 0
    for at in range(0, len(val) - 1, WINDOW):
        inputs, targets = val[at : at + WINDOW], val[at + 1 : at + WINDOW + 1]
        inputs = inputs[: len(targets)]
        total += model.loss(mx.array(inputs), mx.array(targets)).item() * len(targets)
        count += len(targets)
        AFTERWARDS
    return total, count


mx.random.seed(1)
model = Bigram()
train(model, load("train"))
model.save_weights("final_model.npz")
model.load_weights("final_model.npz")
val = load("val")
BEFOREHAND
total, count = evaluate(model, val)
size = int((val[1:] >= 4).sum())
print(f"final val_loss:{total / count:.8f} val_bpb:{total / math.log(2) / size:.8f}")
"""


def script(tmp_path: Path, beforehand: str = "pass", afterwards: str = "pass") -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.replace("BEFOREHAND", beforehand).replace("AFTERWARDS", afterwards))
    return path


@pytest.mark.slow
def test_an_honest_script_in_mlx_holds_everywhere(tmp_path):
    done = run(tmp_path, script(tmp_path))
    assert done.problem == ""
    assert {done.experiments[name].result for name in SETTLED} == {Holds.HOLDS}, done.experiments
    steps = [bool(event.positions) for _, event in done.trace.stream(0).of(Stepped)]
    assert steps == [False] * 8


@pytest.mark.slow
def test_what_was_scored_may_be_learned_from(tmp_path):
    done = run(tmp_path, script(tmp_path, afterwards="train(model, val[at : at + WINDOW + 1], 1)"))
    assert violated(done) == set()
    assert done.experiments["prefix"].result is Holds.HOLDS
    assert done.experiments["order"].data["learned"] > 1000


@pytest.mark.slow
def test_what_is_learned_before_it_is_scored_is_seen_in_mlx(tmp_path):
    done = run(tmp_path, script(tmp_path, beforehand="train(model, val, 16)"))
    assert {"prefix", "order"} <= violated(done), done.experiments
