"""The GPT: tied embeddings, U-Net skips, value embeddings, optional parallel residuals and recurrence.

Position t of the output is a distribution over token t + 1 that depends on inputs up to t alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.config import Config
from reference_model.layers import Attention, BigramHash, FeedForward, Linear, SmearGate, rms_norm

EMBEDDING_STD = 0.02


class Block(nn.Module):
    """One layer: attention and feed-forward, one after the other or side by side."""

    def __init__(self, config: Config, exclusive: bool) -> None:
        super().__init__()
        self.config = config
        self.attention = Attention(config, exclusive)
        self.feed_forward = FeedForward(config)
        self.attention_scale = nn.Parameter(torch.ones(config.model_dim))
        self.feed_forward_scale = nn.Parameter(torch.ones(config.model_dim))
        self.residual_mix = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, x: Tensor, embedded: Tensor, values: Tensor | None) -> Tensor:
        """Map (B, T, D) to (B, T, D); ``embedded`` is the network's own input, mixed back in."""
        x = self.residual_mix[0] * x + self.residual_mix[1] * embedded
        normed = rms_norm(x)
        attended = self.attention_scale * self.attention(normed, values)
        if self.config.parallel_residual:
            side_by_side: Tensor = x + attended + self.feed_forward_scale * self.feed_forward(normed)
            return side_by_side
        x = x + attended
        one_after_the_other: Tensor = x + self.feed_forward_scale * self.feed_forward(rms_norm(x))
        return one_after_the_other


def layer_order(config: Config) -> list[int]:
    """Return the layers in the order they run; ``recur_first``..``recur_last`` run ``recur_times``."""
    if config.recur_times <= 1:
        return list(range(config.num_layers))
    loop = list(range(config.recur_first, config.recur_last + 1))
    before, after = range(config.recur_first), range(config.recur_last + 1, config.num_layers)
    return [*before, *(loop * config.recur_times), *after]


class GPT(nn.Module):
    """The whole network. ``forward`` maps tokens (B, T) to soft-capped logits (B, T, V) in fp32."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.model_dim)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_STD)
        first_exclusive = config.num_layers - config.xsa_last_n
        self.blocks = nn.ModuleList(
            Block(config, exclusive=index >= first_exclusive) for index in range(config.num_layers)
        )
        self.order = layer_order(config)
        if config.smear_gate:
            self.smear = SmearGate(config)
        if config.bigram_hash:
            self.bigram = BigramHash(config)
        if config.value_embeddings:
            self.add_value_embeddings(config)
        if config.unet_skips:
            self.skip_weights = nn.Parameter(torch.ones(len(self.order) // 2, config.model_dim))
        if config.mtp_weight > 0:
            self.second_token = Linear(config.model_dim, config.model_dim)

    def add_value_embeddings(self, config: Config) -> None:
        """Create one token table whose rows join the values of the first and the last layer."""
        width = config.num_kv_heads * (config.model_dim // config.num_heads)
        self.value_table = nn.Embedding(config.vocab_size, width)
        nn.init.zeros_(self.value_table.weight)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the input (B, T, D): token, hashed pair, and a smear of the position before."""
        x: Tensor = self.embedding(tokens)
        if self.config.bigram_hash:
            x = x + self.bigram(tokens)
        x = rms_norm(x)
        if self.config.smear_gate:
            x = self.smear(x, tokens)
        return x

    def values_for(self, layer: int, tokens: Tensor) -> Tensor | None:
        """Return the value embedding of the first and the last layer, None elsewhere."""
        if self.config.value_embeddings and layer in (0, self.config.num_layers - 1):
            looked_up: Tensor = self.value_table(tokens)
            return looked_up
        return None

    def hidden(self, tokens: Tensor) -> Tensor:
        """Run all layers; return the normalized last state (B, T, D)."""
        embedded = x = self.embed(tokens)
        half = len(self.order) // 2
        kept: list[Tensor] = []
        for step, layer in enumerate(self.order):
            if self.config.unet_skips and step >= len(self.order) - half:
                x = x + self.skip_weights[len(self.order) - 1 - step] * kept.pop()
            x = self.blocks[layer](x, embedded, self.values_for(layer, tokens))
            if self.config.unet_skips and step < half:
                kept.append(x)
        return rms_norm(x)

    def to_logits(self, hidden: Tensor) -> Tensor:
        """Turn (B, T, D) into logits (B, T, V), kept within +-``logit_softcap`` by a tanh."""
        raw = F.linear(hidden, self.embedding.weight.to(hidden.dtype)).float()
        cap = self.config.logit_softcap
        return cap * torch.tanh(raw / cap)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of the token after each position."""
        return self.to_logits(self.hidden(tokens))


def training_loss(model: GPT, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return mean cross entropy in nats, plus z-loss and a second-token loss where configured."""
    hidden = model.hidden(inputs)
    logits = model.to_logits(hidden)
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    if model.config.z_loss > 0:
        loss = loss + model.config.z_loss * logits.logsumexp(dim=-1).square().mean()
    if model.config.mtp_weight > 0:
        ahead = model.to_logits(rms_norm(hidden + model.second_token(hidden)))[:, :-1]
        loss = loss + model.config.mtp_weight * F.cross_entropy(ahead.flatten(0, 1), targets[:, 1:].flatten())
    return loss
