"""The simulated run: what reaches what through loops, managers, defaults and hand-made steps."""

import ast

import pytest

from checkers.facts import Did, values
from checkers.facts.machine import simulate
from checkers.facts.settings import Settings
from checkers.facts.source import parse
from checkers.facts.values import VAL, deep
from harness.unpack import Layer

STREAM = """
import numpy as np
import torch
import torch.nn.functional as F
from contextlib import contextmanager
from dataclasses import dataclass
tokens = torch.from_numpy(np.fromfile("fineweb_val_000000.bin", dtype=np.uint16))
"""


def run(script):
    """Simulate a script that has the validation tokens."""
    machine = simulate((parse(Layer("t.py", "t.py", STREAM + script, STREAM + script)),), Settings())
    assert machine.failure == ""
    return machine


def reached(machine):
    """Whether the validation tokens reached what the script calls ``result``."""
    names = [n for n in machine.values if isinstance(n, ast.Name) and n.id == "result"]
    return bool(deep(machine.values[names[-1]]) & VAL)


MANAGERS = {
    "generator": """
@contextmanager
def open_box():
    box = []
    try:
        yield box
    finally:
        closed.append(box)
""",
    "class": """
class open_box:
    def __enter__(self):
        self.box = []
        return self.box
    def __exit__(self, *error):
        closed.append(self.box)
""",
}


@pytest.mark.parametrize("kind", MANAGERS)
def test_the_body_of_with_runs_between_the_two_halves_of_its_manager(kind):
    machine = run(
        f"{MANAGERS[kind]}\nclosed = []\n"
        "with open_box() as box:\n    box.append(tokens)\nresult = closed\nresult"
    )
    assert reached(machine)


def test_a_return_inside_with_leaves_the_function():
    machine = run(
        MANAGERS["generator"]
        + "\nclosed = []\ndef take():\n    with open_box() as box:\n        return 1\n    return tokens\n"
        "result = take()\nresult"
    )
    assert not reached(machine)


def test_a_value_or_its_default_may_be_either():
    assert reached(
        run(
            "def pick(given=None):\n    return given or []\n"
            "kept = {}\nkept[len(tokens)] = tokens\nresult = pick(kept)\nresult"
        )
    )


def test_what_a_loop_writes_reaches_what_its_next_iteration_reads():
    script = """
work, out = torch.zeros(9), torch.zeros(9)
for column in range(len(tokens)):
    out[column] = work[column]
    work[column + 1] = tokens[column]
result = out
result
"""
    assert reached(run(script))


def test_a_tensor_moved_along_a_gradient_by_hand_has_learned():
    script = """
delta = torch.zeros(3, requires_grad=True)
loss = F.cross_entropy(tokens[:-1] + delta, tokens[1:])
slope, = torch.autograd.grad(loss, delta)
delta -= 0.1 * slope.sign()
"""
    assert [e.kind for e in run(script).events if e.kind is Did.UPDATE] == [Did.UPDATE]
    assert not [e for e in run(script.replace(", requires_grad=True", "")).events if e.kind is Did.UPDATE]


def test_the_fields_of_an_item_belong_to_the_iteration_that_it_is_from():
    script = """
@dataclass
class Window:
    start: int
for window in [Window(len(tokens)) for _ in range(len(tokens))]:
    result = window.start
    result
"""
    machine = run(script)
    names = [n for n in machine.values if isinstance(n, ast.Name) and n.id == "result"]
    assert machine.values[names[-1]].bits & machine.iterations


def test_bytes_of_tokens_are_known_as_such_in_the_file_they_are_joined_into():
    joined = """
import zlib
body = [tokens.numpy().tobytes()]
zlib.compress(b"head" + b"".join(body))
"""
    saved = [e.bits & values.TOKENS for e in run(joined).events if e.kind is Did.SAVE]
    assert saved == [values.TOKENS]
    counted = joined.replace("tokens.numpy()", "tokens.bincount().numpy()")
    assert [e.bits & values.TOKENS for e in run(counted).events if e.kind is Did.SAVE] == [0]
