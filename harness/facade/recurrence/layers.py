"""Layers of flash-linear-attention and mamba with the parameters, names and initial values of the originals.

Scripts reach into them (``o_proj.weight``, ``A_log``), so the names are part of the contract. What the
originals add for speed, packed sequences and generation caches is left out and refused.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.facade.recurrence import rules


class ShortConvolution(nn.Conv1d):
    """A causal convolution of one filter a channel over (batch, length, channels), then SiLU."""

    def __init__(
        self,
        hidden_size: int,
        kernel_size: int = 4,
        bias: bool = False,
        activation: str | None = "silu",
        **options: Any,
    ) -> None:
        super().__init__(
            hidden_size, hidden_size, kernel_size, groups=hidden_size, bias=bias, padding=kernel_size - 1
        )
        self.activation = activation

    def forward(self, x: Tensor, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """The convolved sequence and no cache; ``cu_seqlens`` bounds packed ones, each by itself."""
        bounds = options.get("cu_seqlens")
        edges = [0, x.size(1)] if bounds is None else [int(edge) for edge in bounds]
        pieces = [self._convolve(x[:, a:b]) for a, b in itertools.pairwise(edges) if b > a]
        return torch.cat(pieces, 1), None

    def _convolve(self, x: Tensor) -> Tensor:
        return rules.causal_conv1d_fn(x.mT, self.weight.squeeze(1), self.bias, self.activation).mT


class RMSNorm(nn.Module):
    """Root mean square norm; with ``gated``, multiplied by SiLU of the gate afterwards (or before it)."""

    def __init__(self, hidden_size: int, eps: float = 1e-5, gate_first: bool = False, **options: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps, self.gate_first = eps, gate_first

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """Normalize the last dimension."""
        dtype, x = x.dtype, x.float()
        if gate is not None and self.gate_first:
            x = x * F.silu(gate.float())
        x = x * (x.square().mean(-1, keepdim=True) + self.eps).rsqrt() * self.weight.float()
        if gate is not None and not self.gate_first:
            x = x * F.silu(gate.float())
        return x.to(dtype)


def step_bias(heads: int, low: float = 1e-3, high: float = 0.1, floor: float = 1e-4) -> nn.Parameter:
    """The inverse softplus of step sizes spread evenly in logarithm."""
    dt = torch.exp(torch.rand(heads) * (math.log(high) - math.log(low)) + math.log(low)).clamp(min=floor)
    bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
    bias._no_weight_decay = True  # type: ignore[attr-defined]
    return bias


def _log_decay(heads: int, low: float = 0.0, high: float = 16.0) -> nn.Parameter:
    values = nn.Parameter(torch.log(torch.empty(heads).uniform_(low, high)))
    values._no_weight_decay = True  # type: ignore[attr-defined]
    return values


class GatedDeltaProduct(nn.Module):
    """``fla.layers.GatedDeltaProduct``; with one Householder step a token it is ``GatedDeltaNet``.

    ``forward`` takes (batch, length, hidden) and returns (output, None, None).
    """

    def __init__(
        self,
        hidden_size: int = 2048,
        expand_v: float = 2,
        head_dim: int = 256,
        num_heads: int = 6,
        num_v_heads: int | None = None,
        use_gate: bool | None = None,
        use_short_conv: bool = True,
        allow_neg_eigval: bool = False,
        conv_size: int = 4,
        conv_bias: bool = False,
        layer_idx: int | None = None,
        norm_eps: float = 1e-5,
        num_householder: int = 2,
        use_output_gate: bool = True,
        use_forget_gate: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        self.hidden_size, self.head_dim, self.layer_idx = hidden_size, head_dim, layer_idx
        self.num_heads, self.num_v_heads = num_heads, num_v_heads or num_heads
        self.head_k_dim, self.head_v_dim = head_dim, int(head_dim * expand_v)
        self.key_dim, self.value_dim = num_heads * head_dim, self.num_v_heads * self.head_v_dim
        self.num_householder, self.allow_neg_eigval = num_householder, allow_neg_eigval
        self.use_gate = use_output_gate if use_gate is None else use_gate
        self.use_forget_gate, self.use_short_conv = use_forget_gate, use_short_conv
        self._projections(hidden_size)
        if use_short_conv:
            n = num_householder
            self.q_conv1d = ShortConvolution(self.key_dim, conv_size, conv_bias)
            self.k_conv1d = ShortConvolution(self.key_dim * n, conv_size, conv_bias)
            self.v_conv1d = ShortConvolution(self.value_dim * n, conv_size, conv_bias)
        self.o_norm = RMSNorm(self.head_v_dim, norm_eps)
        self.o_proj = nn.Linear(self.value_dim, hidden_size, bias=False)

    def _projections(self, hidden: int) -> None:
        n, heads = self.num_householder, self.num_v_heads
        self.q_proj = nn.Linear(hidden, self.key_dim, bias=False)
        self.k_proj = nn.Linear(hidden, self.key_dim * n, bias=False)
        self.v_proj = nn.Linear(hidden, self.value_dim * n, bias=False)
        self.b_proj = nn.Linear(hidden, heads * n, bias=False)
        if self.use_forget_gate:
            self.a_proj = nn.Linear(hidden, heads, bias=False)
            self.A_log, self.dt_bias = _log_decay(heads), step_bias(heads)
        if self.use_gate:
            self.g_proj = nn.Linear(hidden, self.value_dim, bias=False)

    def forward(self, hidden_states: Tensor, attention_mask: Any = None, **options: Any) -> Any:
        """Mix along the sequence."""
        batch, length, _ = hidden_states.shape
        n, mixed = self.num_householder, {}
        for name in "qkv":
            part = getattr(self, f"{name}_proj")(hidden_states)
            convolve = getattr(self, f"{name}_conv1d", None)
            part = F.silu(part) if convolve is None else convolve(part, **options)[0]
            width = self.head_v_dim if name == "v" else self.head_k_dim
            mixed[name] = part.reshape(batch, length * (1 if name == "q" else n), -1, width)
        beta = self.b_proj(hidden_states).sigmoid() * (2.0 if self.allow_neg_eigval else 1.0)
        g = None
        if self.use_forget_gate:
            step = F.softplus(self.a_proj(hidden_states).float() + self.dt_bias.float())
            g = -self.A_log.float().exp() * step
        out, _ = rules.chunk_gated_delta_product(
            **mixed,
            g=g,
            beta=beta.reshape(batch, length * n, -1),
            num_householder=n,
            use_qk_l2norm_in_kernel=True,
            cu_seqlens=options.get("cu_seqlens"),
        )
        gate = None
        if self.use_gate:
            gate = self.g_proj(hidden_states).reshape(batch, length, -1, self.head_v_dim)
        return self.o_proj(self.o_norm(out, gate).flatten(2)), None, None


class GatedDeltaNet(GatedDeltaProduct):
    """``fla.layers.GatedDeltaNet``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "num_householder": 1})


class Mamba(nn.Module):
    """``mamba_ssm.Mamba``: (batch, length, d_model) to the same."""

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: Any = "auto",
        dt_min: float = 1e-3,
        dt_max: float = 0.1,
        conv_bias: bool = True,
        bias: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.d_model, self.d_state, self.d_conv, self.expand = d_model, d_state, d_conv, expand
        self.d_inner = int(expand * d_model)
        self.dt_rank = math.ceil(d_model / 16) if dt_rank == "auto" else int(dt_rank)
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, bias=bias)
        self.conv1d = nn.Conv1d(
            self.d_inner, self.d_inner, d_conv, groups=self.d_inner, bias=conv_bias, padding=d_conv - 1
        )
        self.x_proj = nn.Linear(self.d_inner, self.dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(self.dt_rank, self.d_inner)
        with torch.no_grad():
            self.dt_proj.weight.uniform_(-(self.dt_rank**-0.5), self.dt_rank**-0.5)
            self.dt_proj.bias.copy_(step_bias(self.d_inner, dt_min, dt_max))
        states = torch.arange(1, d_state + 1, dtype=torch.float32).repeat(self.d_inner, 1)
        self.A_log, self.D = nn.Parameter(states.log()), nn.Parameter(torch.ones(self.d_inner))
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=bias)

    def forward(self, hidden_states: Tensor, *args: Any, **options: Any) -> Tensor:
        """Mix along the sequence."""
        x, z = self.in_proj(hidden_states).mT.chunk(2, 1)
        x = rules.causal_conv1d_fn(x, self.conv1d.weight.squeeze(1), self.conv1d.bias, "silu")
        dt, b, c = self.x_proj(x.mT).split([self.dt_rank, self.d_state, self.d_state], -1)
        dt = F.linear(dt, self.dt_proj.weight).mT
        a = -self.A_log.float().exp()
        y = rules.selective_scan_fn(x, dt, a, b.mT, c.mT, self.D, z, self.dt_proj.bias, True)
        out: Tensor = self.out_proj(y.mT)
        return out


class Mamba2(nn.Module):
    """``mamba_ssm.Mamba2``: (batch, length, d_model) to the same."""

    def __init__(
        self,
        d_model: int,
        d_state: int = 128,
        d_conv: int = 4,
        conv_init: Any = None,
        expand: int = 2,
        headdim: int = 64,
        ngroups: int = 1,
        dt_min: float = 1e-3,
        dt_max: float = 0.1,
        bias: bool = False,
        conv_bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        self.d_model, self.d_state, self.d_conv, self.expand = d_model, d_state, d_conv, expand
        self.d_inner, self.headdim, self.ngroups = int(expand * d_model), headdim, ngroups
        self.nheads = self.d_inner // headdim
        mixed = self.d_inner + 2 * ngroups * d_state
        self.in_proj = nn.Linear(d_model, self.d_inner + mixed + self.nheads, bias=bias)
        self.conv1d = nn.Conv1d(mixed, mixed, d_conv, groups=mixed, bias=conv_bias, padding=d_conv - 1)
        self.dt_bias, self.A_log = step_bias(self.nheads, dt_min, dt_max), _log_decay(self.nheads, 1.0)
        self.D = nn.Parameter(torch.ones(self.nheads))
        self.norm = RMSNorm(self.d_inner, gate_first=True)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=bias)

    def forward(self, u: Tensor, *args: Any, **options: Any) -> Tensor:
        """Mix along the sequence."""
        batch, length, _ = u.shape
        mixed = self.d_inner + 2 * self.ngroups * self.d_state
        z, xbc, dt = torch.split(self.in_proj(u), [self.d_inner, mixed, self.nheads], -1)
        xbc = rules.causal_conv1d_fn(xbc.mT, self.conv1d.weight.squeeze(1), self.conv1d.bias, "silu").mT
        wide = self.ngroups * self.d_state
        x, b, c = torch.split(xbc, [self.d_inner, wide, wide], -1)
        b, c = (m.reshape(batch, length, self.ngroups, self.d_state) for m in (b, c))
        y = rules.mamba_chunk_scan_combined(
            x.reshape(batch, length, self.nheads, self.headdim),
            dt,
            -self.A_log.float().exp(),
            b,
            c,
            D=self.D,
            dt_bias=self.dt_bias,
            dt_softplus=True,
        )
        out: Tensor = self.out_proj(self.norm(y.reshape(batch, length, -1), z))
        return out


class FlaMamba2(Mamba2):
    """``fla.layers.Mamba2``, whose arguments are called otherwise and who returns (output, None, None)."""

    def __init__(
        self,
        num_heads: int = 64,
        head_dim: int = 64,
        hidden_size: int = 2048,
        state_size: int = 128,
        expand: int = 2,
        n_groups: int = 1,
        conv_kernel: int = 4,
        **options: Any,
    ) -> None:
        if num_heads * head_dim != expand * hidden_size:
            raise ValueError("num_heads * head_dim must be expand * hidden_size")
        super().__init__(hidden_size, state_size, conv_kernel, None, expand, head_dim, n_groups)

    def forward(self, hidden_states: Tensor, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """Mix along the sequence."""
        return super().forward(hidden_states), None, None
