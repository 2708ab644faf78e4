"""Triton kernels on a CPU: the language's operations as torch operations on blocks.

A kernel's Python source runs as it stands, once for every program of its grid, with ``tl`` bound to
``language``. Block values are CPU tensors, pointers are a flat view of a tensor's storage and
offsets into it. No compiler and no Triton package are needed; where Triton is installed, the tests
compare with its own interpreter. Inline assembly and device libraries beyond mathematics raise
``NotImplementedError("facade: ...")``.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.facade.cuda import PROPERTIES
from harness.facade.kernels import fused, language, launch
from harness.facade.patching import Anything, constant, module, nothing, replace


class _Driver(Anything):
    """What scripts ask the active driver for."""

    utils: Any

    def get_current_target(self) -> Any:
        """Compute capability 9.0."""
        return Anything()

    def get_active_torch_device(self) -> torch.device:
        """Where descriptors live."""
        return torch.device("cpu")

    def get_current_device(self) -> int:
        """Ordinal."""
        return 0

    def get_device_properties(self, *args: Any) -> dict[str, int]:
        """As Triton's utilities answer."""
        return {"multiprocessor_count": PROPERTIES.multi_processor_count, "max_shared_mem": 232448}


def _language_module() -> Any:
    names = {n: getattr(language, n) for n in dir(language) if not n.startswith("_")}
    names["bfloat16"] = torch.bfloat16  # as it is called now: the type or its alias
    made = module("triton.language", **names)
    for path in ("math", "extra.libdevice", "extra.cuda.libdevice", "extra"):
        module(f"triton.language.{path}", **language.MATH)
    return made


def install() -> None:
    """Enter the emulation as ``triton`` and let custom operators accept CPU tensors."""
    driver = _Driver()
    driver.utils = driver
    triton = module(
        "triton",
        __version__="3.4.0",
        jit=launch.jit,
        autotune=launch.autotune,
        heuristics=launch.heuristics,
        Config=launch.Config,
        cdiv=launch.cdiv,
        next_power_of_2=launch.next_power_of_2,
        set_allocator=nothing,
        JITFunction=launch.Kernel,
    )
    triton.language = _language_module()  # type: ignore[attr-defined]
    module("triton.tools.tensor_descriptor", TensorDescriptor=language.TensorDescriptor)
    module("triton.runtime", driver=Anything(), JITFunction=launch.Kernel, Autotuner=launch.Tuned)
    triton.runtime.driver.active = driver
    module("triton.runtime.jit", JITFunction=launch.Kernel)
    module("triton.testing", do_bench=constant(0.0))
    fused.install()
    library: Any = torch.library
    replace(library, custom_op=_custom_op(library.custom_op), wrap_triton=lambda kernel: kernel)
    replace(torch.Tensor, trans=lambda self, *d: language.trans(self, *d))


def _custom_op(original: Any) -> Any:
    """Operators registered for CUDA alone are registered for every device."""

    def custom_op(
        name: str, fn: Any = None, /, *, mutates_args: Any, device_types: Any = None, **rest: Any
    ) -> Any:
        return original(name, fn, mutates_args=mutates_args, device_types=None, **rest)

    return custom_op
