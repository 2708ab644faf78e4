"""A torch function mode that listens and changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

Observe = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]


class WatchMode(TorchFunctionMode):
    """Calls ``observe(function, args, kwargs, result)`` after every torch function."""

    def __init__(self, observe: Observe) -> None:
        super().__init__()
        self._observe = observe

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the function, then tell the listener."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        self._observe(func, args, kwargs, out)
        return out


def in_force(kind: type[TorchFunctionMode]) -> bool:
    """Whether a mode of this kind is on this thread's stack."""
    stack: Callable[[], list[TorchFunctionMode]] = _get_current_function_mode_stack
    return any(isinstance(mode, kind) for mode in stack())


def follow_threads(observe: Observe) -> None:
    """Enter the mode in every thread that starts from now on."""
    original = threading.Thread.run

    def run(self: threading.Thread) -> None:
        with WatchMode(observe):
            original(self)

    threading.Thread.run = run  # type: ignore[method-assign]
