"""Both sides of a fork draw the same random numbers."""

import os
import random

import numpy as np
import torch

from harness.probes.forking import fork


def draws():
    order = list(range(9))
    random.shuffle(order)
    return repr((order, random.random(), np.random.rand(), torch.rand(1).item()))


def test_a_child_goes_on_with_the_numbers_of_its_parent():
    """A script that shuffles its shards trained on another order in the twin, so its weights differed."""
    random.seed(5)
    np.random.seed(5)  # else each side begins with a seed of its own
    reading, writing = os.pipe()
    pid = fork()
    if not pid:
        os.write(writing, draws().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 1 << 12).decode() == draws()
