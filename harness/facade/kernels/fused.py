"""Compiled extensions whose one operation is known: a matrix product with an element-wise epilogue.

``cutlass_evt::gemm_mul(go, w, grad)`` is ``(go @ w) * grad``; scripts that use it fall back to that
formula where the extension is missing, or give no fallback at all. It occurs in backward passes only.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.facade.patching import absent, module

_LIBRARIES: list[Any] = []
"""A library's operators live as long as it does."""


def gemm_mul(go: torch.Tensor, w: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    """(rows, inner) by (inner, columns), times (rows, columns) element by element."""
    return (go @ w.to(go.dtype)) * grad


def install() -> None:
    """Define the operator and the module that scripts import for it."""
    if not absent("cutlass_evt_fusion"):
        return
    torch_library: Any = torch.library
    library = torch_library.Library("cutlass_evt", "DEF")
    library.define("gemm_mul(Tensor go, Tensor w, Tensor grad) -> Tensor")
    library.impl("gemm_mul", gemm_mul, "CompositeExplicitAutograd")
    _LIBRARIES.append(library)
    module("cutlass_evt_fusion", gemm_mul=gemm_mul)
