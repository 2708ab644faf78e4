"""``mamba_ssm.Mamba3`` with the parameters, names and initial values of the original (release 2.3.1).

Scripts compute with its parts (``in_proj``, ``B_norm``, ``C_bias``, ``num_rope_angles``) and call the scan
themselves, so these are part of the contract. Caches for generation are left out and refused.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.facade.recurrence.layers import step_bias
from harness.facade.recurrence.trapezoid import mamba3_mimo, mamba3_siso_combined


class RMSNorm(nn.Module):
    """As ``mamba_ssm.ops.triton.layernorm_gated``: in groups of ``group_size``, gated before or after."""

    def __init__(
        self,
        hidden_size: int,
        eps: float = 1e-5,
        group_size: int | None = None,
        norm_before_gate: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size, device=device, dtype=dtype))
        self.register_parameter("bias", None)
        self.eps, self.group_size, self.norm_before_gate = eps, group_size, norm_before_gate

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Normalize the last dimension."""
        dtype, x = x.dtype, x.float()
        if z is not None and not self.norm_before_gate:
            x = x * F.silu(z.float())
        groups = x.reshape(*x.shape[:-1], -1, self.group_size or x.size(-1))
        groups = groups * (groups.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        x = groups.flatten(-2) * self.weight.float()
        if z is not None and self.norm_before_gate:
            x = x * F.silu(z.float())
        return x.to(dtype)


class Mamba3(nn.Module):
    """``mamba_ssm.Mamba3``: (batch, length, d_model) to the same."""

    def __init__(
        self,
        d_model: int,
        d_state: int = 128,
        expand: float = 2,
        headdim: int = 64,
        ngroups: int = 1,
        rope_fraction: float = 0.5,
        dt_min: float = 1e-3,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        A_floor: float = 1e-4,
        is_outproj_norm: bool = False,
        is_mimo: bool = False,
        mimo_rank: int = 4,
        chunk_size: int = 64,
        dropout: float = 0.0,
        layer_idx: int | None = None,
        n_layer: int | None = None,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if rope_fraction not in (0.5, 1.0):
            raise AssertionError("rope_fraction must be 0.5 or 1.0")
        self.d_model, self.d_state, self.expand, self.headdim = d_model, d_state, expand, headdim
        self.chunk_size, self.layer_idx, self.A_floor = chunk_size, layer_idx, A_floor
        self.is_outproj_norm, self.is_mimo = is_outproj_norm, is_mimo
        self.mimo_rank = mimo_rank if is_mimo else 1
        self.d_inner, self.num_bc_heads = int(expand * d_model), ngroups
        if self.d_inner % headdim:
            raise AssertionError("expand * d_model must be a multiple of headdim")
        self.nheads = self.d_inner // headdim
        self.rotary_dim_divisor = int(2 / rope_fraction)
        self.num_rope_angles = int(d_state * rope_fraction) // 2
        self.split_tensor_size = 2 * self.num_rope_angles
        made = {"device": device, "dtype": dtype}
        self.in_proj = nn.Linear(d_model, sum(self._widths()), bias=False, **made)
        self.dt_bias = step_bias(self.nheads, dt_min, dt_max, dt_init_floor)
        self._parameters_of_heads()
        self.B_norm, self.C_norm = (RMSNorm(d_state, **made) for _ in range(2))
        if is_outproj_norm:
            self.norm = RMSNorm(self.d_inner, group_size=headdim, **made)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False, **made)

    def _widths(self) -> list[int]:
        """Columns of ``in_proj``: z, x, B, C, dt, A, trap, angles."""
        states = self.d_state * self.num_bc_heads * self.mimo_rank
        return [self.d_inner] * 2 + [states] * 2 + [self.nheads] * 3 + [self.num_rope_angles]

    def _parameters_of_heads(self) -> None:
        states = self.nheads, self.mimo_rank, self.d_state
        self.B_bias, self.C_bias = nn.Parameter(torch.ones(states)), nn.Parameter(torch.ones(states))
        if self.is_mimo:
            values = torch.ones(self.nheads, self.mimo_rank, self.headdim)
            self.mimo_x = nn.Parameter(values / self.mimo_rank)
            self.mimo_z = nn.Parameter(values.clone())
            self.mimo_o = nn.Parameter(values / self.mimo_rank)
        self.D = nn.Parameter(torch.ones(self.nheads))
        self.D._no_weight_decay = True  # type: ignore[attr-defined]

    def forward(
        self, u: Tensor, seq_idx: Any = None, cu_seqlens: Tensor | None = None, inference_params: Any = None
    ) -> Tensor:
        """Mix along the sequence; ``cu_seqlens`` bounds packed ones; the original ignores ``seq_idx``, too.

        Raises:
            NotImplementedError: a cache for generation is given.
        """
        if inference_params is not None:
            raise NotImplementedError("facade: Mamba3 with a cache for generation")
        z, x, b, c, dt, decay, trap, angles = self.in_proj(u).split(self._widths(), -1)
        shape, states = u.shape[:2], (self.mimo_rank, self.num_bc_heads, self.d_state)
        z, x = (m.reshape(*shape, self.nheads, self.headdim) for m in (z, x))
        b, c = (m.reshape(*shape, *states) for m in (b, c))
        step = F.softplus(dt + self.dt_bias)
        rate = (-F.softplus(decay.float())).clamp(max=-self.A_floor)
        shared: dict[str, Any] = {
            "Q": self.C_norm(c),
            "K": self.B_norm(b),
            "V": x,
            "ADT": (rate * step).mT,
            "DT": step.mT,
            "Trap": trap.mT,
            "Angles": angles.float().unsqueeze(-2).expand(-1, -1, self.nheads, -1),
            "D": self.D,
            "Z": None if self.is_outproj_norm else z,
            "chunk_size": self.chunk_size,
            "cu_seqlens": cu_seqlens,
        }
        mix = self._several if self.is_mimo else self._single
        out: Tensor = self.out_proj(mix(shared, z).flatten(2).to(x.dtype))
        return out

    def _single(self, shared: dict[str, Any], z: Tensor) -> Tensor:
        shared["Q"], shared["K"] = shared["Q"].squeeze(2), shared["K"].squeeze(2)
        q_bias, k_bias = self.C_bias.squeeze(1), self.B_bias.squeeze(1)
        y: Tensor = mamba3_siso_combined(**shared, Q_bias=q_bias, K_bias=k_bias)
        return self.norm(y.flatten(2), z.flatten(2)) if self.is_outproj_norm else y

    def _several(self, shared: dict[str, Any], z: Tensor) -> Tensor:
        y: Tensor = mamba3_mimo(
            **shared,
            Q_bias=self.C_bias,
            K_bias=self.B_bias,
            MIMO_V=self.mimo_x,
            MIMO_Z=self.mimo_z,
            MIMO_Out=None if self.is_outproj_norm else self.mimo_o,
            rotary_dim_divisor=self.rotary_dim_divisor,
            dtype=z.dtype,
        )
        if not self.is_outproj_norm:
            return y
        gate = torch.einsum("blhp,hrp->blrhp", z.float(), self.mimo_z)
        normed = self.norm(y.flatten(3), gate.flatten(3)).reshape(y.shape)
        return torch.einsum("blrhp,hrp->blhp", normed, self.mimo_o)
