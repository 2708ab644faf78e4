"""Generators without a seed of their own draw the same in the run and in its twin."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRAWS = """
import sys
from harness.facade import entropy
entropy.install(int(sys.argv[1]))
import os, random, secrets, uuid
import numpy as np
drawn = lambda: [
    os.urandom(4).hex(), uuid.uuid4().hex, secrets.randbits(30), np.random.default_rng().random(),
    random.Random().random(), random.SystemRandom().random(),
]
print(drawn(), len({*map(str, drawn()), *map(str, drawn())}), random.Random(3).random())
"""


def drawn(seed):
    command = [sys.executable, "-c", DRAWS, str(seed)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_machines_randomness_repeats_and_varies_with_the_seed():
    first = drawn(5)
    assert first == drawn(5)
    assert first != drawn(6)
    assert " 12 0.23796462709189137" in first  # no two draws are equal, and a seed means what it always has
