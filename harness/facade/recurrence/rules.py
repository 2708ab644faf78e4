"""Linear recurrences of flash-linear-attention and mamba, computed chunk by chunk in plain torch.

Shapes follow the packages they stand for. Within a chunk everything is a masked matrix product, so a
position never touches a later one: terms of later positions are exact zeros, never small numbers.

Sources: Yang, Kautz, Hatamizadeh, "Gated Delta Networks" (2024), equations 8-10; Dao and Gu,
"Transformers are SSMs" (2024), listing 1; Gu and Dao, "Mamba" (2023), equation 2.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 64

Parts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def decays(g: Tensor) -> Tensor:
    """exp(sum of g over (j, i]) for j <= i, else 0, of cumulated logarithms ``g`` (..., C)."""
    length = g.size(-1)
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    return (g[..., :, None] - g[..., None, :]).masked_fill(later, float("-inf")).exp()


def delta_scan(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """S_t = exp(g_t) (I - beta_t k_t k_t') S_{t-1} + beta_t k_t v_t', o_t = S_t' q_t.

    Args:
        q, k: (batch, heads, length, width).
        v: (batch, heads, length, width of values).
        g, beta: (batch, heads, length).
        state: (batch, heads, width, width of values), None for zeros.

    Returns:
        Outputs shaped like ``v`` and the last state.
    """
    if state is None:
        state = v.new_zeros(*q.shape[:2], q.size(-1), v.size(-1))
    pieces = []
    for a in range(0, q.size(2), CHUNK):
        qc, kc, vc = (x[:, :, a : a + CHUNK] for x in (q, k, v))
        sums = g[:, :, a : a + CHUNK].cumsum(-1)
        bc, decay = beta[:, :, a : a + CHUNK, None], decays(sums)
        lower = (bc * (kc @ kc.mT) * decay).tril(-1)
        wanted = bc * (vc - sums.exp()[..., None] * (kc @ state))
        eye = torch.eye(lower.size(-1), dtype=lower.dtype)
        update = torch.linalg.solve_triangular(eye + lower, wanted, upper=False, unitriangular=True)
        pieces.append(sums.exp()[..., None] * (qc @ state) + ((qc @ kc.mT) * decay) @ update)
        last = sums[..., -1:]
        state = last.exp()[..., None] * state + (kc * (last - sums).exp()[..., None]).mT @ update
    return torch.cat(pieces, 2) if pieces else v, state


def chunk_gated_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    beta: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    cu_seqlens: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """As ``fla.ops.gated_delta_rule``: (batch, length, heads, width), ``g`` and ``beta`` without the last."""
    kept = v.dtype
    if use_qk_l2norm_in_kernel:
        q, k = _unit(q), _unit(k)
    q = q.float() * (scale if scale is not None else q.size(-1) ** -0.5)
    beta = torch.ones_like(v[..., 0]) if beta is None else beta
    g = torch.zeros_like(beta) if g is None else g
    q, k, v, g, beta = (x.float().transpose(1, 2) for x in (q, k, v, g, beta))
    groups = v.size(1) // q.size(1)
    q, k = q.repeat_interleave(groups, 1), k.repeat_interleave(groups, 1)
    out, state = _by_sequence((q, k, v, g, beta), initial_state, cu_seqlens)
    return out.transpose(1, 2).to(kept), state if output_final_state else None


def _by_sequence(parts: Parts, initial: Tensor | None, bounds: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scan each packed sequence by itself; ``bounds`` are cumulative lengths of a batch of one."""
    if bounds is None:
        return delta_scan(*parts, initial.float() if initial is not None else None)
    edges = [int(edge) for edge in bounds]
    outs, states = [], []
    for i, (a, b) in enumerate(itertools.pairwise(edges)):
        first = initial[i : i + 1].float() if initial is not None else None
        out, state = delta_scan(*_cut(parts, a, b), first)
        outs.append(out)
        states.append(state)
    return torch.cat(outs, 2), torch.cat(states)


def _cut(parts: Parts, a: int, b: int) -> Parts:
    q, k, v, g, beta = (x[:, :, a:b] for x in parts)
    return q, k, v, g, beta


def _unit(x: Tensor) -> Tensor:
    return x * (x.float().square().sum(-1, keepdim=True) + 1e-6).rsqrt().to(x.dtype)


def chunk_delta_rule(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, **options: Any) -> Any:
    """As ``fla.ops.delta_rule``: the gated rule without decay."""
    return chunk_gated_delta_rule(q, k, v, None, beta, **options)


def chunk_gated_delta_product(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    beta: Tensor | None = None,
    num_householder: int = 1,
    cu_seqlens: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """As ``fla.ops.gated_delta_product``: several steps a token, decayed first, read last."""
    n, (batch, length) = num_householder, q.shape[:2]
    spread = q.new_zeros(batch, length, n, *q.shape[2:])
    spread[:, :, -1] = q
    gates = None
    if g is not None:
        gates = g.new_zeros(batch, length, n, g.size(-1))
        gates[:, :, 0] = g
        gates = gates.flatten(1, 2)
    options["cu_seqlens"] = None if cu_seqlens is None else cu_seqlens * n
    out, state = chunk_gated_delta_rule(spread.flatten(1, 2), k, v, gates, beta, **options)
    return out[:, n - 1 :: n], state


def mamba_chunk_scan_combined(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    chunk_size: int = CHUNK,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    initial_states: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, float("inf")),
    return_final_states: bool = False,
    **options: Any,
) -> Any:
    """As ``mamba_ssm``: h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t', y_t = C_t h_t + D x_t, gated by silu(z).

    ``x`` and ``z`` (batch, length, heads, width), ``dt`` (batch, length, heads), ``A`` (heads),
    ``B`` and ``C`` (batch, length, groups, state).

    Raises:
        NotImplementedError: sequences are packed (``seq_idx``).
    """
    if options.get("seq_idx") is not None:
        raise NotImplementedError("facade: mamba over packed sequences")
    dt = dt.float() if dt_bias is None else dt.float() + dt_bias.float()
    dt = (F.softplus(dt) if dt_softplus else dt).clamp(*dt_limit)
    repeat = x.size(2) // B.size(2)
    b, c = (m.float().repeat_interleave(repeat, 2).transpose(1, 2) for m in (B, C))
    steps = dt.transpose(1, 2)
    values = x.float().transpose(1, 2) * steps[..., None]
    out, state = _ssd(values, steps * A.float()[:, None], b, c, initial_states)
    out = out.transpose(1, 2)
    if D is not None:
        out = out + x.float() * (D.float() if D.dim() == 2 else D.float()[:, None])
    if z is not None:
        out = out * F.silu(z.float())
    out = out.to(x.dtype)
    return (out, state) if return_final_states else out


def _ssd(x: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """(batch, heads, length, ...) values, log decays, inputs and readings; the state is (width, state)."""
    if state is None:
        state = x.new_zeros(*x.shape[:2], x.size(-1), b.size(-1))
    pieces = []
    for start in range(0, x.size(2), CHUNK):
        xs, bs, cs = (m[:, :, start : start + CHUNK] for m in (x, b, c))
        sums = a[:, :, start : start + CHUNK].cumsum(-1)
        within = ((cs @ bs.mT) * decays(sums)) @ xs
        pieces.append(within + sums.exp()[..., None] * (cs @ state.mT))
        last = sums[..., -1:]
        state = last.exp()[..., None] * state + xs.mT @ (bs * (last - sums).exp()[..., None])
    return torch.cat(pieces, 2), state


def selective_scan_fn(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
) -> Any:
    """As ``mamba_ssm``: ``u``, ``delta``, ``z`` (batch, channels, length), ``A`` (channels, state), ``B`` and
    ``C`` (batch, [groups,] state, length) or (channels, state)."""
    steps = delta.float() if delta_bias is None else delta.float() + delta_bias.float()[:, None]
    steps = F.softplus(steps) if delta_softplus else steps
    b, c = (_per_channel(m.float(), u.size(1)) for m in (B, C))
    decay = (steps[..., None] * A.float()[:, None]).exp()  # (batch, channels, length, state)
    drive = (steps * u.float())[..., None] * b
    state = torch.zeros_like(decay[:, :, 0])
    outs = []
    # Unbound once: a slice at a time, each gradient would be as large as the whole.
    for kept, added in zip(decay.unbind(2), drive.unbind(2), strict=True):
        state = kept * state + added
        outs.append(state)
    out = (torch.stack(outs, 2) * c).sum(-1)
    out = out if D is None else out + u.float() * D.float()[:, None]
    out = (out if z is None else out * F.silu(z.float())).to(u.dtype)
    return (out, state) if return_last_state else out


def _per_channel(m: Tensor, channels: int) -> Tensor:
    """(batch, channels, length, state), broadcasting where the channels share or time does not matter."""
    if m.dim() == 2:
        return m[None, :, None]
    if m.dim() == 4:
        return m.repeat_interleave(channels // m.size(1), 1).transpose(2, 3)
    return m.transpose(1, 2)[:, None]


def causal_conv1d_fn(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None, **options: Any
) -> Tensor:
    """As ``causal_conv1d``: ``x`` (batch, channels, length), one filter a channel, (channels, width).

    Raises:
        NotImplementedError: sequences are packed or a state is carried.
    """
    if any(value is not None and value is not False for value in options.values()):
        raise NotImplementedError("facade: causal_conv1d with " + ", ".join(sorted(options)))
    width = weight.size(-1)
    dtype = weight.dtype if bias is None else torch.promote_types(weight.dtype, bias.dtype)
    padded = F.pad(x.to(dtype), (width - 1, 0))
    out = F.conv1d(padded, weight[:, None], bias, groups=x.size(1))
    return (F.silu(out) if activation in ("silu", "swish") else out).to(x.dtype)
