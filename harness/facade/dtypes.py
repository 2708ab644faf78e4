"""bfloat16 and autocast: by default an alias of float32, on request the real thing.

The alias is faster on CPUs without native bfloat16 and loses no precision; a script that looks at
the bits of a bfloat16 needs ``native``.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.facade.patching import replace

REAL_BF16 = torch.bfloat16


def _prime_caches() -> None:
    """Let torch build its tables of dtypes from the true names before one of them lies."""
    import torch._weights_only_unpickler as unpickler
    import torch.storage

    storage: Any = torch.storage
    storage._dtype_to_storage_type_map()
    storage._storage_type_to_dtype_map()
    table: Any = unpickler
    allowed = dict(table._get_allowed_globals())
    if not hasattr(table._get_allowed_globals, "cache_info"):
        replace(table, _get_allowed_globals=lambda: dict(allowed))


def _autocast_class(native: bool) -> type:
    """Autocast to the CPU: active only with true bfloat16, since the alias has one precision."""
    original: Any = torch.amp.autocast_mode.autocast

    class Autocast(original):  # type: ignore[misc]
        """Autocast whose device is always the CPU."""

        def __init__(
            self,
            device_type: Any = "cuda",
            dtype: Any = None,
            enabled: bool = True,
            cache_enabled: bool | None = None,
        ) -> None:
            if isinstance(device_type, bool):
                enabled = device_type
            super().__init__("cpu", dtype=REAL_BF16, enabled=enabled and native, cache_enabled=cache_enabled)

    return Autocast


def _cuda_autocast(base: type) -> type:
    class CudaAutocast(base):  # type: ignore[misc]
        """The old spelling: ``torch.cuda.amp.autocast(enabled, dtype)``."""

        def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
            super().__init__("cuda", dtype, enabled, cache_enabled)

    return CudaAutocast


def _alias() -> None:
    _prime_caches()
    replace(torch, bfloat16=torch.float32, BFloat16Tensor=torch.FloatTensor)
    replace(torch.Tensor, bfloat16=lambda self, *a, **k: self.float())
    replace(torch.nn.Module, bfloat16=lambda self: self.float())


def install(mode: str) -> None:
    """Install ``mode`` (``alias`` or ``native``)."""
    autocast = _autocast_class(native=mode == "native")
    old = _cuda_autocast(autocast)
    replace(torch, autocast=autocast)
    replace(torch.amp, autocast=autocast)
    replace(torch.amp.autocast_mode, autocast=autocast)
    replace(torch.cuda.amp, autocast=old)
    if mode == "alias":
        _alias()
