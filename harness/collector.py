"""Fewer passes of the garbage collector while trees of a million nodes are built.

Syntax trees and abstract values are freed by their reference counts; each of the collector's passes
over them (a third of an audit's time with Python's defaults) finds next to nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG = 1_000_000  # new objects before a pass, about 100 MB; Python's default is 700


@contextmanager
def rarely() -> Iterator[None]:
    """Let the collector pass rarely inside; the previous thresholds hold again afterwards."""
    before = gc.get_threshold()
    rarely_from_now_on()
    try:
        yield
    finally:
        gc.set_threshold(*before)


def rarely_from_now_on() -> None:
    """Let the collector pass rarely until this process ends: for one that only audits."""
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
