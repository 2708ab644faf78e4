"""Missing packages: harmless ones get a stand-in, the others are named by their ImportError.

A stand-in is given only where it cannot change a score: progress bars, experiment loggers,
downloaders (which fail when used). Kernels and compressors are never invented.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.facade.patching import Anything, absent, lenient, module


def _iterate(iterable: Any = None, *args: Any, **kwargs: Any) -> Any:
    """``tqdm(x)``: x itself; without an argument, a bar that ignores updates."""
    return Anything() if iterable is None else _Bar(iterable)


class _Bar(Anything):
    def __init__(self, iterable: Any) -> None:
        self._iterable = iterable

    def __iter__(self) -> Any:
        return iter(self._iterable)

    def __len__(self) -> int:
        return len(self._iterable)


def _no_network(*args: Any, **kwargs: Any) -> Any:
    raise ConnectionError("facade: there is no network in the sandbox")


def install(hollow: Iterable[str] = ()) -> None:
    """Enter stand-ins for the packages that are not installed, and modules that do nothing at all."""
    for name in hollow:
        lenient(module(name))
    if absent("tqdm"):
        for name in ("tqdm", "tqdm.auto"):
            module(name, tqdm=_iterate, trange=lambda *a, **k: range(*a))
    if absent("wandb"):
        lenient(module("wandb", init=Anything, config=Anything(), run=None))
    if absent("tensorboard"):
        module("torch.utils.tensorboard", SummaryWriter=Anything)
    if absent("dotenv"):
        module("dotenv", load_dotenv=lambda *a, **k: False)
    if absent("huggingface_hub"):
        functions = ("hf_hub_download", "snapshot_download", "login", "upload_file", "HfApi")
        module("huggingface_hub", **dict.fromkeys(functions, _no_network))
    if absent("python_minifier"):
        module("python_minifier", minify=lambda source, *a, **k: source)  # sizes mean nothing here
    if absent("datasets"):
        module("datasets", load_dataset=_no_network)
