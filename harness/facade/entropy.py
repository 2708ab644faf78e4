"""The machine's randomness, from a seed: what a script draws without a seed of its own is the same again.

The run, its twin on other validation tokens and every fork are compared to the bit, so a generator that
takes its state from the machine (``numpy.random.default_rng()``, ``secrets``) would make weights differ that
depend on nothing they must not depend on. Names made with ``uuid.uuid4()`` still differ: the run and its twin
share /tmp.
"""

from __future__ import annotations

import os
import random
import uuid
from typing import Any

from harness.facade.patching import replace


class Entropy:
    """Bytes as ``os.urandom`` gives them, from a generator that is its own."""

    def __init__(self, seed: int) -> None:
        self._drawn = random.Random(seed)

    def __call__(self, size: int) -> bytes:
        """So many bytes."""
        return self._drawn.randbytes(size)


def install(seed: int) -> None:
    """Answer for the operating system. ``secrets`` and numpy ask through ``random.SystemRandom``, a generator
    of ``random`` itself asks below Python."""
    source, seeded, machine = Entropy(seed), random.Random.seed, os.urandom

    def seeding(self: random.Random, a: Any = None, version: int = 2) -> None:
        seeded(self, int.from_bytes(source(32)) if a is None else a, version)

    replace(uuid, uuid4=lambda: uuid.UUID(bytes=machine(16), version=4))
    replace(os, urandom=source)
    replace(random, _urandom=source)
    replace(random.Random, seed=seeding)
