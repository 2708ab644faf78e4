"""Optimizer arguments that only a GPU understands are dropped."""

from __future__ import annotations

import functools
from typing import Any

import torch

from harness.facade.patching import replace

_GPU_ONLY = ("capturable", "fused")


def _without(init: Any) -> Any:
    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in _GPU_ONLY:
            kwargs.pop(name, None)
        init(self, *args, **kwargs)

    return wrapped


def install() -> None:
    """Wrap the constructors of torch's own optimizers."""
    for name in ("Adam", "AdamW", "SGD", "NAdam", "RAdam", "Adagrad", "Adamax", "RMSprop", "Muon"):
        cls = getattr(torch.optim, name, None)
        if cls is not None:
            replace(cls, __init__=_without(cls.__init__))
