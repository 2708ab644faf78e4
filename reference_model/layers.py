"""The parts of the network: linear maps that can be trained as if quantized, rotary attention, MLP,
gates on the previous token, and hashed embeddings of token pairs.

Shapes: B sequences, T positions, D model width, H query heads, G key/value heads, K width of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.config import Config
from reference_model.fakequant import fake_quantize

SMEAR_INPUTS = 12
BOS_TOKEN = 1


def rms_norm(x: Tensor) -> Tensor:
    """Scale each vector to unit root mean square; no parameters."""
    return F.rms_norm(x, (x.size(-1),))


class Adapter(nn.Module):
    """A low-rank addition to a linear map (LoRA); starts as exactly nothing."""

    def __init__(self, inputs: int, outputs: int, rank: int, device: torch.device) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, inputs, device=device) / inputs**0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs) through ``rank`` numbers."""
        return F.linear(F.linear(x, self.down), self.up)


class Linear(nn.Linear):
    """A bias-free map stored in fp32, computed in its input's type; may round its weight on the fly."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.fake_format = "none"
        self.adapter: Adapter | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` times the weight, rounded with a straight-through gradient when asked to."""
        mapped = F.linear(x, fake_quantize(self.weight, self.fake_format).to(x.dtype))
        if self.adapter is None:
            return mapped
        added: Tensor = self.adapter(x)
        return mapped + added


class Rotary(nn.Module):
    """Rotary positions on the first ``dims`` components of a head; the others carry no position."""

    def __init__(self, dims: int, base: float) -> None:
        super().__init__()
        self.dims = dims
        frequencies = 1.0 / base ** (torch.arange(0, dims, 2, dtype=torch.float32) / max(dims, 1))
        self.frequencies: Tensor
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rotate ``x`` of shape (B, heads, T, K) by its position."""
        if self.dims == 0:
            return x
        angles = torch.outer(torch.arange(x.size(-2), device=x.device, dtype=torch.float32), self.frequencies)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        half = self.dims // 2
        first, second, rest = x[..., :half], x[..., half : self.dims], x[..., self.dims :]
        return torch.cat((first * cos + second * sin, second * cos - first * sin, rest), dim=-1)


def remove_own_value(attended: Tensor, values: Tensor) -> Tensor:
    """XSA: drop from each head's output its component along the position's own value.

    ``attended`` is (B, H, T, K), ``values`` (B, G, T, K); H is a multiple of G.
    """
    batch, heads, length, width = attended.shape
    groups = values.size(1)
    grouped = attended.reshape(batch, groups, heads // groups, length, width)
    direction = F.normalize(values, dim=-1).unsqueeze(2)
    cleaned = grouped - (grouped * direction).sum(dim=-1, keepdim=True) * direction
    return cleaned.reshape(batch, heads, length, width)


class Attention(nn.Module):
    """Grouped-query attention with normalized queries and keys, a learned gain and partial RoPE."""

    def __init__(self, config: Config, exclusive: bool) -> None:
        super().__init__()
        if config.model_dim % config.num_heads or config.num_heads % config.num_kv_heads:
            raise ValueError("model_dim must divide by num_heads, and num_heads by num_kv_heads")
        self.config = config
        self.heads, self.kv_heads = config.num_heads, config.num_kv_heads
        self.head_dim = config.model_dim // config.num_heads
        self.to_query = Linear(config.model_dim, config.model_dim)
        self.to_key = Linear(config.model_dim, self.kv_heads * self.head_dim)
        self.to_value = Linear(config.model_dim, self.kv_heads * self.head_dim)
        self.to_output = Linear(config.model_dim, config.model_dim)
        nn.init.zeros_(self.to_output.weight)
        self.query_gain = nn.Parameter(torch.full((self.heads,), config.qk_gain_init))
        self.rotary = Rotary(min(config.rope_dims, self.head_dim), config.rope_base)
        self.exclusive = exclusive

    def split(self, x: Tensor, heads: int) -> Tensor:
        """Turn (B, T, heads * K) into (B, heads, T, K)."""
        return x.view(x.size(0), x.size(1), heads, self.head_dim).transpose(1, 2)

    def forward(self, x: Tensor, value_embedding: Tensor | None) -> Tensor:
        """Attend over ``x`` of shape (B, T, D); ``value_embedding`` (B, T, G * K) is added to the values."""
        query = self.rotary(rms_norm(self.split(self.to_query(x), self.heads)))
        key = self.rotary(rms_norm(self.split(self.to_key(x), self.kv_heads)))
        flat = self.to_value(x)
        value = self.split(flat if value_embedding is None else flat + value_embedding, self.kv_heads)
        query = query * self.query_gain.to(query.dtype)[:, None, None]
        attended = attend(query, key, value, self.config.causal)
        if self.exclusive:
            attended = remove_own_value(attended, value)
        output: Tensor = self.to_output(attended.transpose(1, 2).flatten(2))
        return output


def attend(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    """Scaled dot-product attention; each key/value head serves H / G query heads."""
    return F.scaled_dot_product_attention(
        query, key, value, is_causal=causal, enable_gqa=query.size(1) != key.size(1)
    )


class FeedForward(nn.Module):
    """Two maps around relu(x)^2 or leaky_relu(x, 0.5)^2."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        hidden = int(config.model_dim * config.mlp_mult)
        self.expand = Linear(config.model_dim, hidden)
        self.contract = Linear(hidden, config.model_dim)
        nn.init.zeros_(self.contract.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D), each position alone."""
        hidden = self.expand(x)
        slope = 0.5 if self.config.activation == "leaky2" else 0.0
        output: Tensor = self.contract(F.leaky_relu(hidden, slope).square())
        return output


def previous_position(x: Tensor) -> Tensor:
    """Shift (B, T, D) one position to the right; the first position gets zeros."""
    return F.pad(x, (0, 0, 1, 0))[:, :-1]


class SmearGate(nn.Module):
    """Mix a little of the previous position into each one, but never across a document's start."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.gate = Linear(min(SMEAR_INPUTS, config.model_dim), 1)
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Return the mixed (B, T, D); ``tokens`` (B, T) says where documents begin."""
        gate = self.strength * torch.sigmoid(self.gate(x[..., : self.gate.in_features]))
        if not self.config.smear_across_documents:
            gate = gate * (tokens != BOS_TOKEN).unsqueeze(-1)
        return x + gate.to(x.dtype) * previous_position(x)


class BigramHash(nn.Module):
    """A learned embedding of (previous input, current input), hashed; targets play no part."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.buckets = config.bigram_buckets
        self.table = nn.Embedding(config.bigram_buckets, config.bigram_dim)
        nn.init.zeros_(self.table.weight)
        self.project = Linear(config.bigram_dim, config.model_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed the pairs of ``tokens`` (B, T) as (B, T, D); a document's first token has no partner."""
        before = F.pad(tokens, (1, 0))[:, :-1]
        before = torch.where(tokens == BOS_TOKEN, torch.zeros_like(before), before)
        rows = (before * 36313 + tokens * 27191) % self.buckets
        embedded: Tensor = self.project(self.table(rows))
        return embedded
