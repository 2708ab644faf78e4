"""The recurrence of Mamba 3, by chunks in plain torch: trapezoidal steps, turning states, several inputs.

With B and C turned by the angle that a position has reached, l = sigmoid(trap) and a = exp(A dt):

    h_t = a_t h_{t-1} + (1 - l_t) dt_t a_t x_{t-1} B_{t-1}' + l_t dt_t x_t B_t',    y_t = h_t C_t + D x_t

Source: Lahoti et al., "Mamba-3: Improved Sequence Modeling using State Space Principles" (2026), section 3;
names, shapes and the order of results as in ``mamba_ssm`` 2.3.1. A step's second input is that of the
position before, so nothing of a later position is computed with, not even to be taken off again.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.facade.recurrence.rules import CHUNK, decays

State = tuple[Tensor, Tensor, Tensor, Tensor]
"""Angle (batch, heads, angles), h (batch, heads, values, width), and B and x of the last position."""


def scan(q: Tensor, k: Tensor, v: Tensor, a: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """h_t = exp(a_t) h_{t-1} + sum over s of v_ts k_ts', read by each q_tr.

    Args:
        q: (batch, heads, length, readings, width).
        k: (batch, heads, length, inputs, width).
        v: (batch, heads, length, inputs, values).
        a: Logarithms of the decay, (batch, heads, length).
        state: (batch, heads, values, width).

    Returns:
        (batch, heads, length, readings, values) and the last state.
    """
    readings, inputs, pieces = q.size(3), k.size(3), []
    for start in range(0, q.size(2), CHUNK):
        qs, ks, vs = (x[:, :, start : start + CHUNK].flatten(2, 3) for x in (q, k, v))
        sums = a[:, :, start : start + CHUNK].cumsum(-1)
        mask = decays(sums).repeat_interleave(readings, -2).repeat_interleave(inputs, -1)
        kept = sums.exp().repeat_interleave(readings, -1)[..., None]
        out = ((qs @ ks.mT) * mask) @ vs + kept * (qs @ state.mT)
        pieces.append(out.reshape(*q.shape[:2], -1, readings, v.size(-1)))
        last = sums[..., -1:]
        left = (last - sums).exp().repeat_interleave(inputs, -1)[..., None]
        state = last.exp()[..., None] * state + vs.mT @ (ks * left)
    return torch.cat(pieces, 2), state


def turn(x: Tensor, angles: Tensor, adjacent: bool) -> Tensor:
    """Turn as many pairs of the last dimension as there are angles: 2i with 2i + 1, or i with i + half."""
    half = x.size(-1) // 2
    cos, sin = angles.cos(), angles.sin()
    cos = F.pad(cos, (0, half - cos.size(-1)), value=1.0)
    sin = F.pad(sin, (0, half - sin.size(-1)))
    first, second = (x[..., ::2], x[..., 1::2]) if adjacent else (x[..., :half], x[..., half:])
    turned = first * cos - second * sin, first * sin + second * cos
    return torch.stack(turned, -1).flatten(-2) if adjacent else torch.cat(turned, -1)


def _before(x: Tensor, first: Tensor) -> Tensor:
    """Each position's predecessor along dimension 2."""
    return torch.cat([first[:, :, None], x[:, :, :-1]], 2)


def _one(parts: tuple[Tensor, ...], adjacent: bool, state: State) -> tuple[Tensor, State]:
    """The recurrence over one sequence."""
    q, k, v, a, dt, trap, angles = parts
    if not q.size(2):
        return v, state
    start, h, last_k, last_v = state
    reached = start[:, :, None] + (angles.tanh() * math.pi * dt[..., None]).cumsum(2)
    q, k = (turn(x, reached[:, :, :, None], adjacent) for x in (q, k))
    share = trap.sigmoid()
    now, then = share * dt, (1 - share) * dt * a.exp()
    keys = torch.cat([k, _before(k, last_k)], 3)
    values = torch.cat([v * now[..., None, None], _before(v, last_v) * then[..., None, None]], 3)
    out, h = scan(q, keys, values, a, h)
    return out, (reached[:, :, -1].remainder(2 * math.pi), h, k[:, :, -1], v[:, :, -1])


def trapezoid(
    parts: tuple[Tensor, ...], adjacent: bool, state: State | None, bounds: Tensor | None
) -> tuple[Tensor, State]:
    """The recurrence without skip and gate, over each packed sequence by itself.

    Args:
        parts: C and B (batch, heads, length, ranks, width), x (batch, heads, length, ranks, values), A dt, dt
            and trap (batch, heads, length), angles (batch, heads, length, angles).
        adjacent: Which pairs are turned, see ``turn``.
        state: Where to begin, one entry of the batch a sequence; None for zeros.
        bounds: Cumulative lengths of a batch of one.
    """
    _, k, v, *_, angles = parts
    if state is None:
        count = len(k) if bounds is None else len(bounds) - 1
        turned, h = angles.new_zeros(1, 1, angles.size(-1)), v.new_zeros(1, 1, v.size(-1), k.size(-1))
        zeros = (turned, h, k.new_zeros(1, 1, *k.shape[3:]), v.new_zeros(1, 1, *v.shape[3:]))
        angle, h, b, x = (part.repeat(count, k.size(1), *[1] * (part.dim() - 2)) for part in zeros)
        state = angle, h, b, x
    if bounds is None:
        return _one(parts, adjacent, state)
    outs, lasts = [], []
    for i, (low, high) in enumerate(itertools.pairwise(int(edge) for edge in bounds)):
        angle, h, b, x = (part[i : i + 1] for part in state)
        out, last = _one(tuple(part[:, :, low:high] for part in parts), adjacent, (angle, h, b, x))
        outs.append(out)
        lasts.append(last)
    angle, h, b, x = (torch.cat(part) for part in zip(*lasts, strict=True))
    return torch.cat(outs, 2), (angle, h, b, x)


def _heads(x: Tensor, bias: Tensor, heads: int) -> Tensor:
    """(batch, length, ranks, groups, width), (heads, ranks, width): (batch, heads, length, ranks, width)."""
    spread = x.float().repeat_interleave(heads // x.size(3), 3)
    return spread.permute(0, 3, 1, 2, 4) + bias.float()[:, None]


def mamba3_siso_combined(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    ADT: Tensor,
    DT: Tensor,
    Trap: Tensor,
    Q_bias: Tensor,
    K_bias: Tensor,
    Angles: Tensor,
    D: Tensor | None = None,
    Z: Tensor | None = None,
    Input_States: State | None = None,
    chunk_size: int = CHUNK,
    return_final_states: bool = False,
    cu_seqlens: Tensor | None = None,
) -> Any:
    """As ``mamba_ssm``: one input and one reading a head.

    ``Q``, ``K`` (batch, length, groups, width), ``V``, ``Z`` (batch, length, heads, values), ``ADT``, ``DT``,
    ``Trap`` (before its sigmoid) (batch, heads, length), biases (heads, width), ``Angles`` (batch, length,
    heads, angles). A state's B is (batch, heads, width), its x (batch, heads, values).
    """
    state: State | None = None
    if Input_States is not None:
        angle, h, b, x = (part.float() for part in Input_States)
        state = angle, h, b[:, :, None], x[:, :, None]
    q, k = (_heads(m[:, :, None], bias[:, None], V.size(2)) for m, bias in ((Q, Q_bias), (K, K_bias)))
    rates = (m.float() for m in (ADT, DT, Trap, Angles.transpose(1, 2)))
    parts = (q, k, V.float().transpose(1, 2)[:, :, :, None], *rates)
    y, (angle, h, b, x) = trapezoid(parts, True, state, cu_seqlens)
    out = y[:, :, :, 0].transpose(1, 2)
    out = out if D is None else out + D.float()[:, None] * V.float()
    out = (out if Z is None else out * F.silu(Z.float())).to(V.dtype)
    return (out, angle, h, b[:, :, 0].to(K.dtype), x[:, :, 0].to(V.dtype)) if return_final_states else out


def mamba3_mimo(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    ADT: Tensor,
    DT: Tensor,
    Trap: Tensor,
    Q_bias: Tensor,
    K_bias: Tensor,
    MIMO_V: Tensor,
    MIMO_Z: Tensor | None,
    MIMO_Out: Tensor | None,
    Angles: Tensor,
    D: Tensor | None,
    Z: Tensor | None,
    chunk_size: int,
    rotary_dim_divisor: int,
    dtype: torch.dtype,
    return_state: bool = False,
    cu_seqlens: Tensor | None = None,
) -> Any:
    """As ``mamba_ssm``: several inputs and readings a head, all made of ``V`` and summed up by ``MIMO_Out``.

    As ``mamba3_siso_combined`` with a dimension of ranks before the groups of ``Q`` and ``K`` and after the
    heads of the biases; ``MIMO_*`` (heads, ranks, values). Without ``MIMO_Out`` the result is (batch, length,
    ranks, heads, values). States have no gradient here, as in the original.
    """
    q, k = (_heads(m, bias, V.size(2)) for m, bias in ((Q, Q_bias), (K, K_bias)))
    values = _ranks(V, MIMO_V)
    rates = (m.float() for m in (ADT, DT, Trap, Angles.transpose(1, 2)))
    y, (angle, h, b, _) = trapezoid((q, k, values, *rates), False, None, cu_seqlens)
    y = y if D is None else y + D.float()[:, None, None, None] * values
    if Z is not None and MIMO_Z is not None:
        y = y * F.silu(_ranks(Z, MIMO_Z))
    y = y.permute(0, 2, 3, 1, 4)
    if MIMO_Out is not None:
        y = torch.einsum("blrhp,hrp->blhp", y, MIMO_Out.float())
    y = y.to(V.dtype)
    if not return_state:
        return y
    x = V[:, -1] if cu_seqlens is None else V[0, cu_seqlens[1:].long() - 1]
    return (y, *(part.detach() for part in (angle, h, b.transpose(1, 2).to(K.dtype), x)))


def _ranks(x: Tensor, weights: Tensor) -> Tensor:
    """(batch, length, heads, values) by (heads, ranks, values): (batch, heads, length, ranks, values)."""
    return torch.einsum("blhp,hrp->bhlrp", x.float(), weights.float())
