"""flash-linear-attention, mamba_ssm and causal_conv1d where the recurrence is known in closed form.

Modules that are not here (RWKV-7, bidirectional or packed variants) stay missing and are named
by their ImportError: nothing is invented.
"""

from __future__ import annotations

from typing import Any

from harness.facade.patching import absent, module
from harness.facade.recurrence import layers, mamba3, rules, trapezoid


def _gated(name: str, functions: dict[str, Any]) -> None:
    """An operator is importable from its package and from each of the files that fla keeps it in."""
    for path in (name, f"{name}.chunk", f"{name}.fused_recurrent", f"{name}.naive"):
        module(path, **functions)


def _fla() -> None:
    rule, product = rules.chunk_gated_delta_rule, rules.chunk_gated_delta_product
    names = ("chunk", "fused_recurrent", "naive_chunk", "naive_recurrent")
    gated = {f"{name}_gated_delta_rule": rule for name in names}
    products = {f"{name}_gated_delta_product": product for name in names}
    plain = {f"{name}_delta_rule": rules.chunk_delta_rule for name in names}
    module("fla", __version__="0.4.0")
    module("fla.ops", **gated, **products, **plain)
    _gated("fla.ops.gated_delta_rule", gated)
    _gated("fla.ops.gated_delta_product", products)
    _gated("fla.ops.delta_rule", plain)
    net = {"GatedDeltaNet": layers.GatedDeltaNet, "GatedDeltaProduct": layers.GatedDeltaProduct}
    module("fla.layers", **net, Mamba2=layers.FlaMamba2)
    module("fla.layers.gated_deltanet", **net, **gated)
    module("fla.layers.gated_deltaproduct", **net, **products)
    module("fla.modules", ShortConvolution=layers.ShortConvolution, RMSNorm=layers.RMSNorm)


def _mamba() -> None:
    scans = {"selective_scan_fn": rules.selective_scan_fn, "selective_scan_ref": rules.selective_scan_fn}
    blocks = {"Mamba": layers.Mamba, "Mamba2": layers.Mamba2, "Mamba3": mamba3.Mamba3}
    module("mamba_ssm", **blocks, **scans, __version__="2.3.1")
    module("mamba_ssm.modules.mamba_simple", Mamba=layers.Mamba)
    module("mamba_ssm.modules.mamba2", Mamba2=layers.Mamba2)
    module("mamba_ssm.modules.mamba3", Mamba3=mamba3.Mamba3)
    module("mamba_ssm.ops.selective_scan_interface", **scans)
    combined = {"mamba_chunk_scan_combined": rules.mamba_chunk_scan_combined}
    module("mamba_ssm.ops.triton.ssd_combined", **combined)
    module("mamba_ssm.ops.triton.layernorm_gated", RMSNorm=mamba3.RMSNorm)
    siso = {"mamba3_siso_combined": trapezoid.mamba3_siso_combined}
    module("mamba_ssm.ops.triton.mamba3.mamba3_siso_combined", **siso)
    module("mamba_ssm.ops.tilelang.mamba3.mamba3_mimo", mamba3_mimo=trapezoid.mamba3_mimo)
    module("selective_scan_cuda")  # scripts import the kernels to see that they are built, and call the above


def install() -> None:
    """Enter what is not installed."""
    if absent("fla"):
        _fla()
    if absent("mamba_ssm"):
        _mamba()
    if absent("causal_conv1d"):
        module("causal_conv1d", causal_conv1d_fn=rules.causal_conv1d_fn)
        module("causal_conv1d_cuda")
