"""The kernel emulation against torch, and against Triton's own interpreter where it is installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.facade.kernels import equivalents
from harness.facade.kernels.language import TensorDescriptor
from harness.facade.kernels.pointers import Pointer, Window

HERE = Path(__file__).parent


def launched(backend):
    env = {
        **os.environ,
        "PYTHONPATH": f"{HERE.parents[1]}:{os.environ.get('PYTHONPATH', '')}",
        "TRITON_INTERPRET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "kernels_script.py"), backend],
        env=env,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def emulated():
    return launched("emulated")


@pytest.mark.parametrize("name", ["add", "softmax", "matmul", "histogram"])
def test_emulated_kernels_compute_what_they_say(emulated, name):
    got, exact = torch.tensor(emulated["results"][name]), torch.tensor(emulated["exact"][name])
    assert torch.allclose(got.double(), exact.double(), atol=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_emulation_agrees_with_the_interpreter(emulated):
    interpreted = launched("interpreted")["results"]
    assert interpreted.keys() == emulated["results"].keys()
    for name, values in interpreted.items():
        assert torch.allclose(
            torch.tensor(values).double(), torch.tensor(emulated["results"][name]).double(), atol=1e-5
        )


def test_windows_clip_at_the_edge():
    memory = torch.arange(12.0).reshape(3, 4)
    window = Window(Pointer.to(memory), (3, 4), (4, 1), (2, 3))
    assert window.load([0, 0]).tolist() == [[0, 1, 2], [4, 5, 6]]
    assert window.load([2, 2]).tolist() == [[10, 11, 0], [0, 0, 0]]
    window.store([2, 2], torch.full((2, 3), -1.0))
    assert memory[2].tolist() == [8, 9, -1, -1]
    assert memory[:2].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_pointers_see_memory_through_strides():
    memory = torch.arange(12.0).reshape(3, 4)
    column = Pointer.to(memory[:, 1]) + torch.arange(3) * 4
    assert column.load().tolist() == [1, 5, 9]
    column.store(torch.zeros(3), torch.tensor([True, False, True]))
    assert memory[:, 1].tolist() == [0, 5, 0]
    assert column.load(torch.tensor([False, True, False]), 7.0).tolist() == [7, 5, 7]


@pytest.mark.parametrize("mask", [None, True, torch.tensor(True)])
def test_a_loaded_scalar_is_a_value_that_stores_leave_alone(mask):
    memory = torch.arange(4.0)
    cell = Pointer.to(memory) + 2
    before = cell.load(mask)
    cell.store(9.0, mask)
    assert (before.item(), memory.tolist()) == (2.0, [0, 1, 9, 3])


def test_blocks_and_masks_meet_at_their_common_shape():
    memory = torch.arange(12.0)
    block = Pointer.to(memory) + torch.arange(3)[:, None] * 4 + torch.arange(4)
    rows, columns = torch.tensor([True, True, False])[:, None], torch.tensor([True] * 4)
    assert block.load(columns).tolist() == memory.reshape(3, 4).tolist()
    assert block.load(rows, -1.0).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [-1] * 4]
    assert block.load(rows & False).tolist() == [[0] * 4] * 3
    block.store(5.0, columns)
    block.store(torch.full((1, 4), 6.0), rows)
    assert memory.tolist() == [6] * 8 + [5] * 4


def cross_entropy(emulate):
    logits, targets = torch.randn(6, 9), torch.arange(6)
    arguments = {
        "softcap": 15.0,
        "logits_ptr": logits,
        "targets_ptr": targets,
        "lse_ptr": torch.zeros(6),
        "losses_ptr": torch.zeros(6),
    }
    equivalents.launch("_softcapped_ce_fwd_kernel", arguments, lambda n: emulate(arguments, n))
    return arguments


def honest(arguments, programs):
    truth = equivalents._softcapped_ce_forward(arguments)
    for key, value in truth.items():
        arguments[key][:programs] = value[:programs]


def other(arguments, programs):
    arguments["losses_ptr"][:programs] = 1.0
    arguments["lse_ptr"][:programs] = 2.0


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(equivalents, "STATE", {})


def test_an_equivalent_is_checked_before_it_is_trusted(fresh):
    calls = []
    for _ in range(4):
        cross_entropy(lambda a, n: (calls.append(n), honest(a, n)))
    assert calls == [equivalents.PROGRAMS] * equivalents.CHECKS


def test_a_kernel_that_computes_something_else_is_emulated(fresh):
    arguments = cross_entropy(other)
    assert arguments["losses_ptr"].tolist() == [1.0] * 6
    calls = []
    cross_entropy(lambda a, n: (calls.append(n), other(a, n)))
    assert calls == [None]


def test_descriptors_are_made_of_whole_tensors():
    tensor = torch.arange(6.0).reshape(2, 3)
    assert TensorDescriptor.from_tensor(tensor, [1, 3]).load([1, 0]).tolist() == [[3, 4, 5]]
