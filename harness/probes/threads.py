"""Threads of a script in a fork, which has only the one that forked: they are begun again.

A script that prints through a queue, or computes in a pool, waits in vain otherwise. A thread that waits for
work loses nothing by beginning again.
"""

from __future__ import annotations

import gc
import queue
import select
import threading

_DRAINED = 1.0  # seconds that threads get to work off what is queued


def others() -> list[threading.Thread]:
    """The threads that run besides this one, to be remembered before a fork."""
    return [
        t for t in threading.enumerate() if t not in (threading.current_thread(), threading.main_thread())
    ]


def revive(before: list[threading.Thread]) -> None:
    """In a fork: begin the threads again that ran ``before`` it; who joins the old ones joins the new."""
    if not before:
        return
    for held in gc.get_objects():
        if type(held) is threading.Condition:
            held._waiters.clear()  # type: ignore[attr-defined]  # all of them are gone, and would be woken first
    for thread in before:
        again = threading.Thread(target=thread.run, name=thread.name, daemon=True)
        thread.join = again.join  # type: ignore[method-assign]
        thread.is_alive = again.is_alive  # type: ignore[method-assign]
        again.start()


def drain() -> None:
    """Let threads work off what is queued: a last line may wait to be printed."""
    if not others():
        return
    for _ in range(int(_DRAINED / 0.05)):
        select.select([], [], [], 0.05)  # the clock of the script may be a virtual one
        if all(q.empty() for q in gc.get_objects() if type(q) in (queue.SimpleQueue, queue.Queue)):
            break
    select.select([], [], [], 0.05)
