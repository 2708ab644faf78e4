"""A virtual clock: time passes with calls and with training steps, never by itself.

A script that trains "until 600 s" ends after exactly the steps we chose, warm-down schedules run
their course, and a second run prints the same times.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from harness.facade.patching import heads_a_loop, replace

REAL_PERF_COUNTER, REAL_SLEEP = time.perf_counter, time.sleep
TICK = 1e-4
"""Seconds a look at the clock costs: schedules must see time move."""
PATIENCE = 64
"""Backward passes without an optimizer step that cost nothing: more than any script accumulates here.

Those after it cost a step shared by as many: loops that update weights by hand until their time is up
(meta-learning) end, too, and so do searches that go on while there is time: a look at the clock from
the head of a ``while`` costs as much.
"""


NAP = 0.01
"""Real seconds for which a thread beside the main one sleeps at most."""


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


class VirtualClock:
    """Seconds since an arbitrary epoch. The first optimizer that steps leads it."""

    def __init__(self, wall_seconds: float, steps: int, start: float = 1.7e9) -> None:
        self.moment = start
        self.step_seconds = wall_seconds / max(steps, 1)
        self._leader: Any = None
        self._backwards = 0  # since an optimizer last stepped

    def now(self) -> float:
        """Look at the clock, which takes a tick."""
        return self._look(2)

    def now_ns(self) -> int:
        """Nanoseconds."""
        return int(self._look(2) * 1e9)

    def _look(self, depth: int) -> float:
        frame = sys._getframe(depth)
        if heads_a_loop(frame.f_code, frame.f_lineno):
            self.moment += self.step_seconds / PATIENCE
        elif _is_main():
            self.moment += TICK
        return self.moment

    def sleep(self, seconds: float) -> None:
        """Waiting costs nothing but virtual time; a thread beside the main one lets that go on."""
        if _is_main():
            self.moment += max(float(seconds), 0.0)
        else:
            REAL_SLEEP(min(max(float(seconds), 0.0), NAP))

    def stepped(self, optimizer: Any, args: Any = None, kwargs: Any = None) -> None:
        """Called after every optimizer step; only the leader's steps take time."""
        self._backwards = 0
        if self._leader is None:
            self._leader = optimizer
        if optimizer is self._leader:
            self.moment += self.step_seconds

    def differentiated(self) -> None:
        """Called after every backward pass."""
        self._backwards += 1
        if self._backwards > PATIENCE:
            self.moment += self.step_seconds / PATIENCE


def _followed(backward: Callable[..., Any], clock: VirtualClock) -> Callable[..., Any]:
    @functools.wraps(backward)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        out = backward(*args, **kwargs)
        clock.differentiated()
        return out

    return wrapped


def install(wall_seconds: float, steps: int) -> VirtualClock:
    """Replace the clocks of ``time`` and follow the optimizers."""
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    clock = VirtualClock(wall_seconds, steps)
    reading: Callable[[], float] = clock.now
    replace(time, perf_counter=reading, time=reading, monotonic=reading, process_time=reading)
    replace(time, perf_counter_ns=clock.now_ns, time_ns=clock.now_ns, monotonic_ns=clock.now_ns)
    replace(time, sleep=clock.sleep)
    register_optimizer_step_post_hook(clock.stepped)
    for function in (torch.autograd.backward, torch.autograd.grad):
        replace(torch.autograd, **{function.__name__: _followed(function, clock)})
    return clock
