"""flash-attn 2 and 3 over torch's scaled dot product attention.

Shapes follow flash-attn: queries (batch, length, heads, width), keys and values with a divisor of
the heads, packed sequences (total, heads, width) with cumulative lengths.
"""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

import torch
import torch.nn.functional as F

from harness.facade.patching import absent, module

_OPEN = (-1, -1)


def mask(queries: int, keys: int, causal: bool, window: tuple[int, int]) -> torch.Tensor:
    """Boolean (queries, keys) mask, aligned at the lower right corner as flash-attn does."""
    i = torch.arange(queries)[:, None] + (keys - queries)
    j = torch.arange(keys)[None]
    allowed = torch.ones(queries, keys, dtype=torch.bool)
    if causal:
        allowed &= j <= i
    left, right = window
    if left >= 0:
        allowed &= j >= i - left
    if right >= 0:
        allowed &= j <= i + right
    return allowed


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    causal: bool,
    scale: float | None,
    window: Any = _OPEN,
    softcap: float = 0.0,
) -> torch.Tensor:
    """Attention of (batch, length, heads, width) tensors; grouped keys are repeated."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    groups = q.size(1) // k.size(1)
    if groups > 1:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    k, v = k.to(q.dtype), v.to(q.dtype)
    window = tuple(window) if window is not None else _OPEN
    if softcap:
        out = _softcapped(q, k, v, causal, scale, window, softcap)
    elif window == _OPEN and (not causal or q.size(2) == k.size(2)):
        out = F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale)
    else:
        allowed = mask(q.size(2), k.size(2), causal, window)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=scale)
    return out.transpose(1, 2)


def _softcapped(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    causal: bool,
    scale: float | None,
    window: Any,
    cap: float,
) -> torch.Tensor:
    scores = q @ k.transpose(-1, -2) * (scale if scale is not None else q.size(-1) ** -0.5)
    scores = cap * torch.tanh(scores / cap)
    allowed = mask(q.size(2), k.size(2), causal, window)
    return torch.softmax(scores.masked_fill(~allowed, float("-inf")), -1) @ v


def _log_sum_exp(
    q: torch.Tensor, k: torch.Tensor, causal: bool, scale: float | None, window: Any
) -> torch.Tensor:
    q, k = q.transpose(1, 2), k.transpose(1, 2)
    k = k.repeat_interleave(q.size(1) // k.size(1), 1)
    scores = q @ k.transpose(-1, -2) * (scale if scale is not None else q.size(-1) ** -0.5)
    allowed = mask(q.size(2), k.size(2), causal, tuple(window))
    return scores.masked_fill(~allowed, float("-inf")).logsumexp(-1)


def flash_attn_func(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Any = _OPEN,
    softcap: float = 0.0,
    **options: Any,
) -> Any:
    """``flash_attn_func`` of flash-attn 2 and 3; ``return_attn_probs`` gives (out, lse, None).

    Early versions of flash-attn 3 always returned (out, lse). Which version a script was written for
    shows in what it does with the result.
    """
    out = attend(q, k, v, causal, softmax_scale, window_size, softcap)
    asked = options.get("return_attn_probs") or options.get("return_softmax_lse")
    taken = _unpacked(sys._getframe(1)) or (3 if asked else 1)
    if taken == 1:
        return out
    return (out, _log_sum_exp(q, k, causal, softmax_scale, window_size), None)[:taken]


def _unpacked(caller: FrameType) -> int:
    """Into how many names a caller takes what the call that it waits for returns; 0 when into one."""
    return _unpacked_at(caller.f_code, caller.f_lasti)


@lru_cache(maxsize=1024)
def _unpacked_at(code: CodeType, call: int) -> int:
    after = (i for i in dis.get_instructions(code) if i.offset > call)
    following = next(after, None)
    return int(following.arg or 0) if following and following.opname == "UNPACK_SEQUENCE" else 0


def flash_attn_varlen_func(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor | None = None,
    max_seqlen_q: int | None = None,
    max_seqlen_k: int | None = None,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Any = _OPEN,
    softcap: float = 0.0,
    **options: Any,
) -> torch.Tensor:
    """Packed sequences: (total, heads, width), boundaries in ``cu_seqlens_*`` (int, ascending)."""
    bounds_q = cu_seqlens_q.tolist()
    bounds_k = (cu_seqlens_k if cu_seqlens_k is not None else cu_seqlens_q).tolist()
    pieces: list[torch.Tensor] = []
    done = 0
    for a, b, c, d in zip(bounds_q, bounds_q[1:], bounds_k, bounds_k[1:], strict=False):
        b, d = min(b, q.size(0)), min(d, k.size(0))
        if b > a:
            piece = attend(
                q[None, a:b], k[None, c:d], v[None, c:d], causal, softmax_scale, window_size, softcap
            )
            pieces.append(piece[0])
            done = b
    if done < q.size(0):
        pieces.append(torch.zeros_like(q[done:]))
    return torch.cat(pieces)


def flash_attn_qkvpacked_func(qkv: torch.Tensor, *args: Any, **options: Any) -> Any:
    """Queries, keys and values stacked on dimension 2."""
    q, k, v = qkv.unbind(2)
    return flash_attn_func(q, k, v, *args, **options)


def flash_attn_kvpacked_func(q: torch.Tensor, kv: torch.Tensor, *args: Any, **options: Any) -> Any:
    """Keys and values stacked on dimension 2."""
    k, v = kv.unbind(2)
    return flash_attn_func(q, k, v, *args, **options)


def flash_attn_varlen_qkvpacked_func(
    qkv: torch.Tensor, cu_seqlens: torch.Tensor, max_seqlen: int | None = None, **options: Any
) -> torch.Tensor:
    """Packed sequences with queries, keys and values stacked on dimension 1."""
    q, k, v = qkv.unbind(1)
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, **options)


_NAMES = (
    "flash_attn",
    "flash_attn.flash_attn_interface",
    "flash_attn.cute",
    "flash_attn.cute.interface",
    "flash_attn_interface",
    "flash_attn_3",
    "flash_attn_3.flash_attn_interface",
    "hopper",
    "hopper.flash_attn_interface",
)

_BINARIES = ("flash_attn_3._C", "flash_attn_2_cuda", "flash_attn_3_cuda")
"""Imported by scripts only to see whether the package is installed."""


def install() -> None:
    """Enter the modules under the names of flash-attn 2 and 3."""
    functions = {
        f.__name__: f
        for f in (
            flash_attn_func,
            flash_attn_varlen_func,
            flash_attn_qkvpacked_func,
            flash_attn_kvpacked_func,
            flash_attn_varlen_qkvpacked_func,
        )
    }
    for name in _NAMES:
        module(name, **functions, __version__="3.0.0" if "3" in name or "interface" in name else "2.8.3")
    for name in _BINARIES:
        module(name)
    if absent("kernels"):
        module("kernels", get_kernel=_get_kernel, get_local_kernel=_get_kernel)


def _get_kernel(name: Any, *args: Any, **options: Any) -> Any:
    """``kernels.get_kernel``: packages of flash attention, whoever publishes them.

    Raises:
        ImportError: any other kernel would have to be downloaded.
    """
    if "flash" not in str(name):
        raise ImportError(f"facade: no kernel {name} in the sandbox", name="kernels")
    return sys.modules["flash_attn"]
