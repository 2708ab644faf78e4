"""A fork whose two sides go on alike."""

from __future__ import annotations

import os
import random


def fork() -> int:
    """``os.fork``, after which the child draws the same random numbers as its parent.

    Python seeds its own generator anew in a child (numpy and torch do not): a script that shuffles its
    shards with ``random`` would train on another order in the twin, and differ without a cause.
    """
    state = random.getstate()
    pid = os.fork()
    if not pid:
        random.setstate(state)
    return pid
