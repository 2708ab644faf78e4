"""CUDA on a CPU: what a training script written for 8xH100 expects to find, at world size 1.

One concern a file. ``install`` must run before the script is compiled: it replaces attributes of
``torch``, ``time``, ``threading`` and ``sys.modules`` in this process and cannot be undone, so it
belongs in the sandboxed child alone. docs/limits.md lists what is imitated and what is not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FacadeConfig:
    """How the machine looks to the script.

    ``steps`` optimizer steps fill ``wall_seconds`` of the virtual clock. ``bf16`` is ``alias``
    (bfloat16 names float32: fast, and more precise than the original) or ``native`` (the real
    type). ``ranks`` above 1 leaves ``torch.distributed`` real, over gloo; ``alike`` above 1 makes this
    process the first of so many ranks that do the same. ``hollow`` names modules whose every function does
    nothing.
    """

    steps: int = 4
    wall_seconds: float = 600.0
    bf16: str = "alias"
    ranks: int = 1
    alike: int = 1
    threads: int = 1
    real_dynamo: bool = False
    hollow: tuple[str, ...] = ()


def install(config: FacadeConfig) -> None:
    """Make this process look like one H100 of a training node."""
    import torch

    from harness.facade import (
        attention,
        clock,
        compiling,
        compressors,
        cuda,
        devices,
        distributed,
        dtypes,
        files,
        kernels,
        optim,
        packages,
        recurrence,
    )

    torch.set_num_threads(config.threads)
    dtypes.install(config.bf16)
    compiling.install(config.real_dynamo or config.ranks > 1)  # real process groups ask it
    cuda.install()
    devices.install()
    optim.install()
    distributed.install(config.ranks, config.alike)
    attention.install()
    kernels.install()
    recurrence.install()
    packages.install(config.hollow)
    compressors.install()
    files.install()
    clock.install(config.wall_seconds, config.steps)
