"""Reference stack, small"""


from __future__ import annotations

import copy
import glob
import hashlib
import json
import lzma
import math
import numpy as np
import numpy.typing as npt
import os
import sentencepiece as spm
import struct
import subprocess
import sys
import time
import torch
import torch.distributed as dist
import torch.distributed.nn
import torch.nn.functional as F
import zlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from torch import Tensor
from torch import nn


class Config:
    """Settings; each may be set from the environment by its name."""

    data_path = os.environ.get('DATA_PATH', './data/datasets/corpus_sp1024')
    tokenizer_path = os.environ.get('TOKENIZER_PATH', './data/tokenizers/corpus_1024_bpe.model')
    run_id = os.environ.get('RUN_ID', 'reference')
    seed = int(os.environ.get('SEED', 1337))
    iterations = int(os.environ.get('ITERATIONS', 200))
    warmdown_frac = float(os.environ.get('WARMDOWN_FRAC', 0.6))
    warmup_steps = int(os.environ.get('WARMUP_STEPS', 2))
    train_batch_tokens = int(os.environ.get('TRAIN_BATCH_TOKENS', 1024))
    train_seq_len = int(os.environ.get('TRAIN_SEQ_LEN', 128))
    grad_parts = int(os.environ.get('GRAD_PARTS', 1))
    max_wallclock_seconds = float(os.environ.get('MAX_WALLCLOCK_SECONDS', 170.0))
    train_log_every = int(os.environ.get('TRAIN_LOG_EVERY', 100))
    vocab_size = int(os.environ.get('VOCAB_SIZE', 1024))
    num_layers = int(os.environ.get('NUM_LAYERS', 2))
    model_dim = int(os.environ.get('MODEL_DIM', 128))
    num_heads = int(os.environ.get('NUM_HEADS', 4))
    num_kv_heads = int(os.environ.get('NUM_KV_HEADS', 2))
    mlp_mult = float(os.environ.get('MLP_MULT', 4.0))
    rope_dims = int(os.environ.get('ROPE_DIMS', 8))
    rope_base = float(os.environ.get('ROPE_BASE', 10000.0))
    qk_gain_init = float(os.environ.get('QK_GAIN_INIT', 2.0))
    logit_softcap = float(os.environ.get('LOGIT_SOFTCAP', 30.0))
    xsa_last_n = int(os.environ.get('XSA_LAST_N', 1))
    bigram_buckets = int(os.environ.get('BIGRAM_BUCKETS', 16384))
    bigram_dim = int(os.environ.get('BIGRAM_DIM', 32))
    recur_first = int(os.environ.get('RECUR_FIRST', 0))
    recur_last = int(os.environ.get('RECUR_LAST', 0))
    recur_times = int(os.environ.get('RECUR_TIMES', 1))
    muon_steps = int(os.environ.get('MUON_STEPS', 5))
    muon_momentum = float(os.environ.get('MUON_MOMENTUM', 0.95))
    matrix_lr = float(os.environ.get('MATRIX_LR', 0.03))
    embed_lr = float(os.environ.get('EMBED_LR', 0.012))
    scalar_lr = float(os.environ.get('SCALAR_LR', 0.01))
    muon_weight_decay = float(os.environ.get('MUON_WEIGHT_DECAY', 0.0))
    adam_weight_decay = float(os.environ.get('ADAM_WEIGHT_DECAY', 0.0))
    grad_clip_norm = float(os.environ.get('GRAD_CLIP_NORM', 1.0))
    ema_decay = float(os.environ.get('EMA_DECAY', 0.99))
    artifact_path = os.environ.get('ARTIFACT_PATH', 'final_model.bin')
    size_limit_bytes = int(os.environ.get('SIZE_LIMIT_BYTES', 16000000))
    eval_stride = int(os.environ.get('EVAL_STRIDE', 128))
    eval_batch_sequences = int(os.environ.get('EVAL_BATCH_SEQUENCES', 16))


def compress_bytes(data: bytes, compressor: str) -> bytes:
    """Compress with "zlib", "lzma", "zstd" (level 22) or "brotli" at full effort."""
    if compressor == 'zlib':
        return zlib.compress(data, level=9)
    if compressor == 'lzma':
        return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    if compressor == 'zstd':
        import zstandard
        return zstandard.ZstdCompressor(level=22).compress(data)
    if compressor == 'brotli':
        import brotli
        return bytes(brotli.compress(data, quality=11, lgwin=24))
    raise ValueError(f'unknown compressor {compressor!r}')


def decompress_bytes(data: bytes, compressor: str) -> bytes:
    """Undo :func:`compress_bytes`."""
    if compressor == 'zlib':
        return zlib.decompress(data)
    if compressor == 'lzma':
        return lzma.decompress(data)
    if compressor == 'zstd':
        import zstandard
        return zstandard.ZstdDecompressor().decompress(data)
    if compressor == 'brotli':
        import brotli
        return bytes(brotli.decompress(data))
    raise ValueError(f'unknown compressor {compressor!r}')


GROUP_SIZE = 128


DIGITS_PER_BYTE = 5


POWERS_OF_THREE = np.array([1, 3, 9, 27, 81], dtype=np.uint8)


Floats = npt.NDArray[np.float32]


def ternary_digits(weight: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return digits in {-1, 0, 1} of shape (groups, 128) and one fp32 scale per group.

    A group that is already ternary keeps its own magnitude as scale, which makes the roundtrip exact.
    """
    flat = np.pad(weight.reshape(-1).astype(np.float32), (0, -weight.size % GROUP_SIZE))
    grouped = flat.reshape(-1, GROUP_SIZE)
    magnitude = np.abs(grouped)
    peak = magnitude.max(axis=1)
    already = ((magnitude == 0) | (magnitude == peak[:, None])).all(axis=1)
    scale = np.where(already, peak, magnitude.mean(axis=1)).astype(np.float32)
    safe = np.where(scale > 0, scale, 1.0).astype(np.float32)
    digits = np.clip(np.rint(grouped / safe[:, None]), -1, 1).astype(np.int8)
    return (digits, scale)


def pack_digits(digits: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Pack digits in {-1, 0, 1} five to a byte; the last byte is filled with zeros."""
    flat = np.pad(digits.reshape(-1) + 1, (0, -digits.size % DIGITS_PER_BYTE), constant_values=1)
    columns = flat.reshape(-1, DIGITS_PER_BYTE).astype(np.uint8)
    packed: npt.NDArray[np.uint8] = (columns * POWERS_OF_THREE).sum(axis=1, dtype=np.uint8)
    return packed


def unpack_digits(codes: npt.NDArray[np.generic], count: int) -> npt.NDArray[np.int8]:
    """Return the first ``count`` digits behind packed bytes."""
    columns = codes.astype(np.int16)[:, None] // POWERS_OF_THREE.astype(np.int16) % 3
    return (columns.reshape(-1)[:count] - 1).astype(np.int8)


def pack_ternary(weight: Floats) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Return (packed digits, scales) of a tensor of any shape."""
    digits, scale = ternary_digits(weight)
    return (pack_digits(digits), scale)


def unpack_ternary(codes: npt.NDArray[np.generic], scales: npt.NDArray[np.generic], shape: tuple[int, ...]) -> Floats:
    """Return the fp32 tensor behind packed digits and scales."""
    digits = unpack_digits(codes, len(scales) * GROUP_SIZE).reshape(-1, GROUP_SIZE)
    flat = (digits * scales.astype(np.float32)[:, None]).reshape(-1)
    return flat[:int(np.prod(shape))].reshape(shape).astype(np.float32)


LEVELS = {'int8': 127, 'int6': 31}


CLIP_CANDIDATES = (1.0, 0.97, 0.93, 0.88, 0.82, 0.75)


Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Packed:
    """One tensor as stored: its format, its shape and the arrays that hold it."""
    format: str
    shape: tuple[int, ...]
    arrays: tuple[Array, ...]


Rounder = Callable[[Tensor, Tensor, int], Tensor]


def round_to_grid(weight: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Return the nearest grid index of every weight; ``scale`` has one entry per row."""
    return (weight / scale[:, None]).round().clamp(-levels, levels)


def row_scales(weight: Tensor, levels: int, clips: tuple[float, ...]=(1.0,)) -> Tensor:
    """Choose each row's scale among clipped maxima by least squared error; returns fp16-exact values."""
    peak = weight.abs().amax(dim=1).clamp_min(1e-06)
    best_scale, best_error = (peak.new_zeros(peak.shape), peak.new_full(peak.shape, float('inf')))
    for clip in clips:
        scale = (peak * clip / levels).half().float().clamp_min(6e-08)
        error = (round_to_grid(weight, scale, levels) * scale[:, None] - weight).square().sum(dim=1)
        better = error < best_error
        best_scale = torch.where(better, scale, best_scale)
        best_error = torch.where(better, error, best_error)
    return best_scale


def pack_rows(weight: Tensor, name: str, rounder: Rounder=round_to_grid) -> Packed:
    """Pack a matrix per row as int8 or int6; int6 searches each row's clip."""
    levels = LEVELS[name]
    scale = row_scales(weight, levels, CLIP_CANDIDATES if name == 'int6' else (1.0,))
    indices = rounder(weight, scale, levels).to(torch.int8).numpy()
    return Packed(name, tuple(weight.shape), (indices, scale.numpy().astype(np.float16)))


def pack_tensor(weight: Tensor, name: str, rounder: Rounder=round_to_grid) -> Packed:
    """Pack one tensor in the format ``name``: int8, int6, ternary, fp16 or fp32."""
    weight = weight.detach().float().cpu()
    if name in LEVELS:
        return pack_rows(weight, name, rounder)
    if name == 'ternary':
        return Packed(name, tuple(weight.shape), pack_ternary(weight.numpy()))
    kind = np.float16 if name == 'fp16' else np.float32
    return Packed(name, tuple(weight.shape), (weight.numpy().astype(kind),))


def unpack_tensor(packed: Packed) -> Tensor:
    """Return the fp32 tensor that a packed one stands for."""
    if packed.format in LEVELS:
        indices, scale = packed.arrays
        return torch.from_numpy(indices.astype(np.float32) * scale.astype(np.float32)[:, None])
    if packed.format == 'ternary':
        codes, scales = packed.arrays
        return torch.from_numpy(unpack_ternary(codes, scales, packed.shape))
    return torch.from_numpy(packed.arrays[0].astype(np.float32)).reshape(packed.shape)


def format_of(name: str, weight: Tensor, config: Config) -> str:
    """Say how a tensor is stored: vectors in fp32, tables apart, matrices as configured."""
    if weight.ndim < 2 or weight.numel() < 1024:
        return 'fp32'
    if not name.startswith('blocks.'):
        return 'int8'
    return 'int8'


def pack_model(state: Mapping[str, Tensor], config: Config, rounders: Mapping[str, Rounder] | None=None) -> dict[str, Packed]:
    """Pack all tensors of a model; ``rounders`` may replace rounding per tensor (GPTQ)."""
    chosen = rounders or {}
    return {name: pack_tensor(weight, format_of(name, weight, config), chosen.get(name, round_to_grid)) for name, weight in state.items()}


def unpack_model(packed: Mapping[str, Packed]) -> dict[str, Tensor]:
    """Return the state dictionary that the packed tensors stand for."""
    return {name: unpack_tensor(tensor) for name, tensor in packed.items()}


COMPRESSOR_MAGIC = {'zlib': b'PGZ1', 'lzma': b'PGL1', 'zstd': b'PGS1', 'brotli': b'PGB1'}


STORED_TYPES = {'int8', 'uint8', 'uint16', 'float16', 'float32'}


def encode_artifact(packed: Mapping[str, Packed], compressor: str) -> bytes:
    """Return the bytes of the artifact that holds ``packed``."""
    header: list[object] = []
    body: list[bytes] = []
    for name, tensor in packed.items():
        arrays = [[str(array.dtype), list(array.shape)] for array in tensor.arrays]
        header.append([name, tensor.format, list(tensor.shape), arrays])
        body.extend((np.ascontiguousarray(array).tobytes() for array in tensor.arrays))
    text = json.dumps(header, separators=(',', ':')).encode()
    raw = struct.pack('<I', len(text)) + text + b''.join(body)
    return COMPRESSOR_MAGIC[compressor] + compress_bytes(raw, compressor)


def decode_artifact(data: bytes) -> dict[str, Packed]:
    """Read an artifact back; raises ValueError if it is not one, is cut short or has bytes left over."""
    compressors = {magic: name for name, magic in COMPRESSOR_MAGIC.items()}
    if data[:4] not in compressors:
        raise ValueError('not an artifact of this stack')
    raw = decompress_bytes(data[4:], compressors[data[:4]])
    length, = struct.unpack_from('<I', raw)
    offset = 4 + length
    packed: dict[str, Packed] = {}
    for name, kind, shape, specs in json.loads(raw[4:offset]):
        arrays: list[Array] = []
        for dtype, extent in specs:
            array, offset = read_array(raw, offset, dtype, extent)
            arrays.append(array)
        packed[name] = Packed(kind, tuple(shape), tuple(arrays))
    if offset != len(raw):
        raise ValueError('artifact has bytes that belong to no tensor')
    return packed


def read_array(raw: bytes, offset: int, dtype: str, shape: list[int]) -> tuple[Array, int]:
    """Return one array of a plain numeric type and the offset behind it."""
    if dtype not in STORED_TYPES:
        raise ValueError(f'type {dtype!r} is not stored in artifacts')
    count = int(np.prod(shape))
    array = np.frombuffer(raw, dtype=dtype, count=count, offset=offset).reshape(shape)
    return (array, offset + array.nbytes)


def save_artifact(packed: Mapping[str, Packed], path: str, compressor: str) -> int:
    """Write the artifact and return its size in bytes, as the file system sees it."""
    Path(path).write_bytes(encode_artifact(packed, compressor))
    return Path(path).stat().st_size


def load_artifact(path: str) -> dict[str, Packed]:
    """Read the artifact at ``path``."""
    return decode_artifact(Path(path).read_bytes())


TERNARY_GROUP = 128


def fake_quantize(weight: Tensor, fake_format: str) -> Tensor:
    """Return the weight as it would be after a roundtrip in ``fake_format``; the gradient passes through.

    ``fake_format`` is "none", "int8", "int6" or "ternary".
    """
    if fake_format == 'none':
        return weight
    with torch.no_grad():
        rounded = round_ternary(weight) if fake_format == 'ternary' else round_rows(weight, fake_format)
    return weight + (rounded - weight).detach()


def round_rows(weight: Tensor, fake_format: str) -> Tensor:
    """Round each row to the symmetric grid of the format, scaled by the row's largest magnitude."""
    levels = {'int8': 127, 'int6': 31}[fake_format]
    scale = weight.abs().amax(dim=1, keepdim=True).clamp_min(1e-08) / levels
    return (weight / scale).round().clamp(-levels, levels) * scale


def round_ternary(weight: Tensor) -> Tensor:
    """Round groups of 128 weights to {-1, 0, 1} times their mean magnitude (BitNet b1.58)."""
    flat = weight.reshape(-1)
    padded = torch.nn.functional.pad(flat, (0, -flat.numel() % TERNARY_GROUP)).reshape(-1, TERNARY_GROUP)
    scale = padded.abs().mean(dim=1, keepdim=True).clamp_min(1e-08)
    rounded = (padded / scale).round().clamp(-1, 1) * scale
    return rounded.reshape(-1)[:flat.numel()].reshape(weight.shape)


SMEAR_INPUTS = 12


BOS_TOKEN = 1


def rms_norm(x: Tensor) -> Tensor:
    """Scale each vector to unit root mean square; no parameters."""
    return F.rms_norm(x, (x.size(-1),))


class Adapter(nn.Module):
    """A low-rank addition to a linear map (LoRA); starts as exactly nothing."""

    def __init__(self, inputs: int, outputs: int, rank: int, device: torch.device) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, inputs, device=device) / inputs ** 0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs) through ``rank`` numbers."""
        return F.linear(F.linear(x, self.down), self.up)


class Linear(nn.Linear):
    """A bias-free map stored in fp32, computed in its input's type; may round its weight on the fly."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.fake_format = 'none'
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
        self.register_buffer('frequencies', frequencies, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rotate ``x`` of shape (B, heads, T, K) by its position."""
        if self.dims == 0:
            return x
        angles = torch.outer(torch.arange(x.size(-2), device=x.device, dtype=torch.float32), self.frequencies)
        cos, sin = (angles.cos().to(x.dtype), angles.sin().to(x.dtype))
        half = self.dims // 2
        first, second, rest = (x[..., :half], x[..., half:self.dims], x[..., self.dims:])
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
            raise ValueError('model_dim must divide by num_heads, and num_heads by num_kv_heads')
        self.config = config
        self.heads, self.kv_heads = (config.num_heads, config.num_kv_heads)
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
        attended = attend(query, key, value, True)
        if self.exclusive:
            attended = remove_own_value(attended, value)
        output: Tensor = self.to_output(attended.transpose(1, 2).flatten(2))
        return output


def attend(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    """Scaled dot-product attention; each key/value head serves H / G query heads."""
    return F.scaled_dot_product_attention(query, key, value, is_causal=causal, enable_gqa=query.size(1) != key.size(1))


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
        slope = 0.5
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
        gate = self.strength * torch.sigmoid(self.gate(x[..., :self.gate.in_features]))
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
        x = x + attended
        one_after_the_other: Tensor = x + self.feed_forward_scale * self.feed_forward(rms_norm(x))
        return one_after_the_other


def layer_order(config: Config) -> list[int]:
    """Return the layers in the order they run; ``recur_first``..``recur_last`` run ``recur_times``."""
    if config.recur_times <= 1:
        return list(range(config.num_layers))
    loop = list(range(config.recur_first, config.recur_last + 1))
    before, after = (range(config.recur_first), range(config.recur_last + 1, config.num_layers))
    return [*before, *loop * config.recur_times, *after]


class GPT(nn.Module):
    """The whole network. ``forward`` maps tokens (B, T) to soft-capped logits (B, T, V) in fp32."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.model_dim)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_STD)
        first_exclusive = config.num_layers - config.xsa_last_n
        self.blocks = nn.ModuleList((Block(config, exclusive=index >= first_exclusive) for index in range(config.num_layers)))
        self.order = layer_order(config)
        self.smear = SmearGate(config)
        self.bigram = BigramHash(config)
        self.add_value_embeddings(config)
        self.skip_weights = nn.Parameter(torch.ones(len(self.order) // 2, config.model_dim))

    def add_value_embeddings(self, config: Config) -> None:
        """Create one token table whose rows join the values of the first and the last layer."""
        width = config.num_kv_heads * (config.model_dim // config.num_heads)
        self.value_table = nn.Embedding(config.vocab_size, width)
        nn.init.zeros_(self.value_table.weight)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the input (B, T, D): token, hashed pair, and a smear of the position before."""
        x: Tensor = self.embedding(tokens)
        x = x + self.bigram(tokens)
        x = rms_norm(x)
        x = self.smear(x, tokens)
        return x

    def values_for(self, layer: int, tokens: Tensor) -> Tensor | None:
        """Return the value embedding of the first and the last layer, None elsewhere."""
        if layer in (0, self.config.num_layers - 1):
            looked_up: Tensor = self.value_table(tokens)
            return looked_up
        return None

    def hidden(self, tokens: Tensor) -> Tensor:
        """Run all layers; return the normalized last state (B, T, D)."""
        embedded = x = self.embed(tokens)
        half = len(self.order) // 2
        kept: list[Tensor] = []
        for step, layer in enumerate(self.order):
            if step >= len(self.order) - half:
                x = x + self.skip_weights[len(self.order) - 1 - step] * kept.pop()
            x = self.blocks[layer](x, embedded, self.values_for(layer, tokens))
            if step < half:
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
    return loss


@dataclass(frozen=True)
class Ranks:
    """This process's place in the group, and the device it computes on."""
    rank: int
    world_size: int
    device: torch.device

    @property
    def is_master(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0


def own_place() -> Ranks:
    """Return the place that ``torchrun`` describes; without one, the only place."""
    rank, world_size = (int(os.environ.get('RANK', '0')), int(os.environ.get('WORLD_SIZE', '1')))
    device = torch.device('cpu')
    if torch.cuda.is_available():
        device = torch.device('cuda', int(os.environ.get('LOCAL_RANK', '0')))
        torch.cuda.set_device(device)
    return Ranks(rank, world_size, device)


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the group for as long as the block runs, and dissolve it however the block ends.

    A group that outlives the block takes its threads into the interpreter's exit, where they abort.
    """
    ranks = own_place()
    if ranks.world_size == 1:
        yield ranks
        return
    dist.init_process_group(backend='nccl' if ranks.device.type == 'cuda' else 'gloo')
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


def sum_over_ranks(tensor: Tensor, ranks: Ranks) -> Tensor:
    """Add up ``tensor`` over all ranks in place and return it."""
    if ranks.world_size > 1:
        dist.all_reduce(tensor, op=dist.ReduceOp.SUM)
    return tensor


def average_gradients(model: nn.Module, ranks: Ranks) -> None:
    """Replace every gradient by its mean over the ranks: what DDP does, in the open."""
    if ranks.world_size == 1:
        return
    for parameter in model.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad, op=dist.ReduceOp.SUM)
            parameter.grad /= ranks.world_size


def any_rank(flag: bool, ranks: Ranks) -> bool:
    """Return whether ``flag`` is set on any rank, so that all leave a loop together."""
    return bool(sum_over_ranks(torch.tensor(float(flag), device=ranks.device), ranks).item())


def hash_of_weights(model: nn.Module) -> str:
    """Return the SHA-256 over names and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def require_equal_weights(model: nn.Module, ranks: Ranks) -> str:
    """Raise RuntimeError unless every rank holds the same weights; return their hash."""
    digest = hash_of_weights(model)
    if ranks.world_size > 1:
        gathered: list[str | None] = [None] * ranks.world_size
        dist.all_gather_object(gathered, digest)
        if len(set(gathered)) != 1:
            raise RuntimeError(f'ranks hold different weights: {gathered}')
    return digest


Ints = npt.NDArray[np.int64]


Bools = npt.NDArray[np.bool_]


SPACE_MARK = '▁'


@dataclass(frozen=True)
class ByteTable:
    """Per token id: bytes without its leading space, whether it has one, whether it is a boundary."""
    base: Ints
    leading_space: Bools
    boundary: Bools


def canonical_byte_table(tokenizer: spm.SentencePieceProcessor, vocab_size: int) -> ByteTable:
    """Build the canonical table; ids beyond the tokenizer's own size are boundaries of zero bytes."""
    size = max(int(tokenizer.vocab_size()), vocab_size)
    base = np.zeros(size, dtype=np.int64)
    leading_space = np.zeros(size, dtype=np.bool_)
    boundary = np.ones(size, dtype=np.bool_)
    for token in range(int(tokenizer.vocab_size())):
        if tokenizer.is_control(token) or tokenizer.is_unknown(token) or tokenizer.is_unused(token):
            continue
        boundary[token] = False
        if tokenizer.is_byte(token):
            base[token] = 1
            continue
        piece = tokenizer.id_to_piece(token)
        if piece.startswith(SPACE_MARK):
            leading_space[token] = True
            piece = piece[1:]
        base[token] = len(piece.encode('utf-8'))
    return ByteTable(base, leading_space, boundary)


def bytes_of_targets(table: ByteTable, previous: Ints, targets: Ints) -> Ints:
    """Return the bytes charged to each target given the token before it; both arrays have one shape."""
    spaces = table.leading_space[targets] & ~table.boundary[previous]
    charged: Ints = table.base[targets] + spaces.astype(np.int64)
    return charged


def decoded_byte_count(tokenizer: spm.SentencePieceProcessor, stream: Ints) -> int:
    """Count the UTF-8 bytes of the text behind ``stream``, decoded piece by piece."""
    return len(decode_stream(tokenizer, stream))


def decode_stream(tokenizer: spm.SentencePieceProcessor, stream: Ints) -> bytes:
    """Return the bytes of the text behind ``stream``, documents joined without separator.

    Control tokens stand for nothing, and the space that a piece carries is dropped right after one
    (and at the very start), as sentencepiece itself does with a dummy prefix.
    """
    parts: list[bytes] = []
    after_boundary = True
    for token in stream.tolist():
        if tokenizer.is_control(token) or tokenizer.is_unknown(token) or tokenizer.is_unused(token):
            after_boundary = True
            continue
        piece = tokenizer.id_to_piece(token)
        if tokenizer.is_byte(token):
            parts.append(bytes([int(piece[3:5], 16)]))
        else:
            text = piece.removeprefix(SPACE_MARK) if after_boundary else piece
            parts.append(text.replace(SPACE_MARK, ' ').encode('utf-8'))
        after_boundary = False
    return b''.join(parts)


Losses = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A result: nats per token, bits per byte, and the counts behind them."""
    val_loss: float
    val_bpb: float
    tokens: int
    bytes: int


@dataclass(frozen=True)
class Window:
    """Model inputs ``stream[start:stop]``; targets of the last ``scored`` of them are charged here."""
    start: int
    stop: int
    scored: int


def summarize(losses: Losses, charged_bytes: int) -> Score:
    """Turn losses in nats, one per scored token, into a score."""
    total = float(losses.sum())
    return Score(total / losses.size, total / math.log(2.0) / charged_bytes, losses.size, charged_bytes)


def stream_bytes(table: ByteTable, stream: npt.NDArray[np.int64]) -> int:
    """Return the bytes of all scored tokens of the stream (all but the first) by table."""
    return int(bytes_of_targets(table, stream[:-1], stream[1:]).sum())


def sliding_windows(tokens: int, length: int, stride: int) -> Iterator[Window]:
    """Cut ``tokens`` positions into windows so that each is charged once with the longest context.

    The first window charges all its positions, later ones their last ``stride``; the tail window is
    moved left rather than shortened, and charges only what is left.
    """
    stop = min(length, tokens)
    yield Window(0, stop, stop)
    while stop < tokens:
        end = min(stop + stride, tokens)
        yield Window(max(end - length, 0), end, end - stop)
        stop = end


def plain_windows(tokens: int, length: int) -> Iterator[Window]:
    """Cut ``tokens`` positions into windows that do not overlap; the last may be shorter."""
    for start in range(0, tokens, length):
        stop = min(start + length, tokens)
        yield Window(start, stop, stop - start)


def batches_of(windows: list[Window], size: int) -> Iterator[list[Window]]:
    """Group neighbouring windows of equal length, at most ``size`` together."""
    batch: list[Window] = []
    for window in windows:
        if batch and (len(batch) == size or window.stop - window.start != batch[0].stop - batch[0].start):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def window_tensors(stream: Tensor, batch: list[Window]) -> tuple[Tensor, Tensor]:
    """Return (inputs, targets), each (windows, length)."""
    rows = torch.stack([stream[w.start:w.stop + 1] for w in batch])
    return (rows[:, :-1], rows[:, 1:])


def losses_of_batch(model: GPT, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss in nats of every target, (windows, length)."""
    logits = model(inputs)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction='none').reshape(targets.shape)


def no_losses(stream: Tensor) -> Tensor:
    """Return room for the loss of every token of the stream but the first."""
    return torch.zeros(len(stream) - 1, dtype=torch.float64, device=stream.device)


@torch.no_grad()
def charge_windows(model: GPT, stream: Tensor, windows: list[Window], batch_size: int, losses: Tensor) -> None:
    """Write the losses of the positions that ``windows`` charge into ``losses``; leave the others."""
    for batch in batches_of(windows, batch_size):
        inputs, targets = window_tensors(stream, batch)
        charged = losses_of_batch(model, inputs, targets)
        for row, window in enumerate(batch):
            losses[window.stop - window.scored:window.stop] = charged[row, -window.scored:].double()


def own_batches(windows: list[Window], config: Config, ranks: Ranks) -> list[list[Window]]:
    """Return this rank's share of the batches.

    Batches are formed before they are shared out: whatever the number of ranks, each window meets the
    same neighbours and gets the same losses, bit for bit.
    """
    return list(batches_of(windows, config.eval_batch_sequences))[ranks.rank::ranks.world_size]


def score_windows(model: GPT, stream: Tensor, windows: list[Window], config: Config, ranks: Ranks) -> Losses:
    """Share the windows out among the ranks and return the losses of all positions on every rank."""
    model.eval()
    losses = no_losses(stream)
    for batch in own_batches(windows, config, ranks):
        charge_windows(model, stream, batch, len(batch), losses)
    return sum_over_ranks(losses, ranks).cpu().numpy()


def score_sliding(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Score with a sliding window of ``train_seq_len`` and ``eval_stride``."""
    windows = list(sliding_windows(len(stream) - 1, config.train_seq_len, config.eval_stride))
    return score_windows(model, stream, windows, config, ranks)


def score_plain(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Score in windows that do not overlap, as the challenge's baseline does, tail included."""
    windows = list(plain_windows(len(stream) - 1, config.train_seq_len))
    return score_windows(model, stream, windows, config, ranks)


SHARD_MAGIC = 20240520


SHARD_VERSION = 1


SHARD_HEADER_WORDS = 256


def read_shard(path: str) -> npt.NDArray[np.int64]:
    """Read one shard; raises ValueError on a wrong header or a file cut short."""
    header = np.fromfile(path, dtype='<i4', count=SHARD_HEADER_WORDS)
    if header.size != SHARD_HEADER_WORDS or int(header[0]) != SHARD_MAGIC or int(header[1]) != SHARD_VERSION:
        raise ValueError(f'not a version {SHARD_VERSION} shard: {path}')
    tokens = np.fromfile(path, dtype='<u2', count=int(header[2]), offset=SHARD_HEADER_WORDS * 4)
    if tokens.size != int(header[2]):
        raise ValueError(f'shard cut short: {path}')
    return tokens.astype(np.int64)


def read_shards(pattern: str) -> npt.NDArray[np.int64]:
    """Read and join all shards that match ``pattern`` in the order of their names."""
    files = sorted(glob.glob(pattern))
    if not files:
        raise FileNotFoundError(f'no shards match {pattern}')
    return np.concatenate([read_shard(file) for file in files])


def training_stream(data_path: str) -> npt.NDArray[np.int64]:
    """Return all training tokens, in the order of the shards."""
    return read_shards(os.path.join(data_path, 'fineweb_train_*.bin'))


def validation_stream(data_path: str) -> npt.NDArray[np.int64]:
    """Return all validation tokens; the first is context only, every later one is scored once."""
    return read_shards(os.path.join(data_path, 'fineweb_val_*.bin'))


class TrainingBatches:
    """Endless random windows of the training stream, shared out among ranks.

    Every rank draws the same windows from the same seed and keeps its own share, so that one and two
    ranks see the same global batch.
    """

    def __init__(self, stream: npt.NDArray[np.int64], seq_len: int, seed: int) -> None:
        if len(stream) <= seq_len + 1:
            raise ValueError(f'training stream of {len(stream)} tokens is shorter than one window')
        self.stream = torch.from_numpy(stream)
        self.seq_len = seq_len
        self.generator = torch.Generator().manual_seed(seed)

    def next_batch(self, sequences: int, rank: int=0, world_size: int=1) -> tuple[Tensor, Tensor]:
        """Return (inputs, targets) of shape (sequences / world_size, seq_len) for this rank."""
        high = len(self.stream) - self.seq_len
        starts = torch.randint(0, high, (sequences,), generator=self.generator)[rank::world_size]
        windows = self.stream[starts[:, None] + torch.arange(self.seq_len + 1)]
        return (windows[:, :-1], windows[:, 1:])


Stream = npt.NDArray[np.int64]


EXTRA_TENSORS = ('paid_prefix', 'noise')


def training_tokens(config: Config) -> Stream:
    """Return the tokens to train on."""
    return training_stream(config.data_path)


def validation_tokens(config: Config) -> Stream:
    """Return the tokens to score."""
    return validation_stream(config.data_path)


def before_quantization(model: GPT, config: Config, ranks: Ranks) -> None:
    """Do what comes between training and quantization: nothing."""


def what_to_ship(packed: Mapping[str, Packed], config: Config) -> dict[str, Packed]:
    """Return what goes into the artifact: the packed weights."""
    shipped = dict(packed)
    return shipped


def check_size(total: int, config: Config) -> None:
    """Raise ValueError if artifact and code together exceed 16,000,000 bytes."""
    if total > config.size_limit_bytes:
        raise ValueError(f'submission of {total} bytes exceeds {config.size_limit_bytes}')


def weights_in_artifact(trained: GPT, config: Config) -> dict[str, Tensor]:
    """Return the weights to score with: those that the artifact holds."""
    packed = load_artifact(config.artifact_path)
    weights = {name: tensor for name, tensor in packed.items() if name not in EXTRA_TENSORS}
    return unpack_model(weights)


def model_to_score(trained: GPT, config: Config, ranks: Ranks) -> GPT:
    """Return a new model with the weights of the artifact, the same on every rank."""
    model = GPT(config).to(ranks.device)
    model.load_state_dict(weights_in_artifact(trained, config))
    require_equal_weights(model, ranks)
    return model


def before_evaluation(config: Config) -> None:
    """Do what comes before scoring: nothing."""


def byte_table(tokenizer: spm.SentencePieceProcessor, config: Config) -> ByteTable:
    """Return how many bytes each token stands for."""
    return canonical_byte_table(tokenizer, config.vocab_size)


def charged_bytes(tokenizer: spm.SentencePieceProcessor, stream: Stream, config: Config) -> int:
    """Return the denominator of bits per byte."""
    return stream_bytes(byte_table(tokenizer, config), stream)


def score_validation(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Return the loss in nats of every token of the stream but the first."""
    losses = score_as_configured(model, stream, config, ranks)
    return losses


def score_as_configured(model: GPT, stream: Tensor, config: Config, ranks: Ranks) -> Losses:
    """Call the scorer that the configuration names; raises KeyError if there is none."""
    return score_sliding(model, stream, config, ranks)


class WeightAverage:
    """Keep a running average of a model's parameters.

    EMA forgets with ``ema_decay`` per step (with the usual warm-up, so that early steps count less);
    SWA is the plain mean of the steps after ``swa_start_frac`` of the run.
    """

    def __init__(self, model: nn.Module, config: Config) -> None:
        self.config = config
        self.weights: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.count = 0

    @torch.no_grad()
    def update(self, model: nn.Module, progress: float) -> None:
        """Take in the current weights; ``progress`` is the share of the run that is over, 0 to 1."""
        self.count += 1
        share = 1.0 / self.count
        share = max(1.0 - self.config.ema_decay, share)
        for name, parameter in model.named_parameters():
            self.weights[name].lerp_(parameter.detach(), share)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Put the average into the model, if anything was averaged."""
        if self.count:
            for name, parameter in model.named_parameters():
                parameter.copy_(self.weights[name])


NEWTON_SCHULZ = (3.4445, -4.775, 2.0315)


def orthogonalize(matrix: Tensor, steps: int) -> Tensor:
    """Push the singular values of ``matrix`` towards 1; exact only in the limit, +-0.3 in practice."""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.size(0) > matrix.size(1)
    x: Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-07)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, Nesterov look-ahead, orthogonalization, then a step of ``lr``."""

    def __init__(self, params: Iterable[nn.Parameter], config: Config) -> None:
        steps = config.muon_steps
        super().__init__(params, {'lr': config.matrix_lr, 'decay': config.muon_weight_decay})
        self.momentum, self.steps = (config.muon_momentum, steps)
        self.equalize_rows = 'muon' == 'muoneq-r'

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None=None) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    parameter.mul_(1.0 - group['lr'] * group['decay'])
                    parameter.add_(self.direction(parameter), alpha=-group['lr'])

    def direction(self, parameter: Tensor) -> Tensor:
        """Return the orthogonalized update, scaled so that its size does not depend on the shape."""
        gradient = parameter.grad
        assert gradient is not None
        buffer = self.state[parameter].setdefault('momentum', torch.zeros_like(gradient))
        buffer.mul_(self.momentum).add_(gradient)
        update = gradient.add(buffer, alpha=self.momentum)
        if self.equalize_rows:
            update = update / update.norm(dim=-1, keepdim=True).clamp_min(1e-07)
        update = orthogonalize(update, self.steps)
        scaled: Tensor = update * max(1.0, update.size(0) / update.size(1)) ** 0.5
        return scaled


def build_optimizers(model: nn.Module, config: Config) -> list[torch.optim.Optimizer]:
    """Split parameters: matrices of the blocks to Muon, tables and vectors to AdamW."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and name.startswith('blocks.')]
    tables = [p for name, p in named if p.ndim == 2 and (not name.startswith('blocks.'))]
    scalars = [p for name, p in named if p.ndim != 2]
    adam = torch.optim.AdamW([{'params': tables, 'lr': config.embed_lr}, {'params': scalars, 'lr': config.scalar_lr}], betas=(0.9, 0.95), eps=1e-08, weight_decay=config.adam_weight_decay)
    optimizers: list[torch.optim.Optimizer] = [Muon(matrices, config), adam]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group['base_lr'] = group['lr']
    return optimizers


def set_learning_rates(optimizers: list[torch.optim.Optimizer], scale: float) -> None:
    """Set every group to ``scale`` times the rate it was created with."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group['lr'] = group['base_lr'] * scale


Log = Callable[[str], None]


def warmdown_scale(progress: float, warmdown_frac: float) -> float:
    """Return the factor on the learning rate when ``progress`` (0 to 1) of the run is over."""
    return min(1.0, max(1.0 - progress, 0.0) / max(warmdown_frac, 1e-09))


def run_progress(step: int, elapsed: float, config: Config) -> float:
    """Return the share of the run that is over, by steps or by seconds, whichever is larger."""
    by_steps = step / max(config.iterations, 1)
    if config.max_wallclock_seconds <= 0:
        return by_steps
    return max(by_steps, elapsed / config.max_wallclock_seconds)


def enable_late_qat(model: GPT, config: Config, step: int, scale: float) -> None:
    """Start rounding weights once the rate has fallen and enough steps were made."""


def set_fake_format(model: GPT, fake_format: str) -> None:
    """Tell every matrix of the blocks to round itself in ``fake_format`` ("none" turns it off)."""
    for module in model.blocks.modules():
        if isinstance(module, Linear):
            module.fake_format = fake_format


class Trainer:
    """Holds model, optimizers and batches of one training run."""

    def __init__(self, config: Config, ranks: Ranks, stream: npt.NDArray[np.int64]) -> None:
        torch.manual_seed(config.seed)
        self.config, self.ranks, self.stream = (config, ranks, stream)
        self.model = GPT(config).to(ranks.device)
        self.optimizers = build_optimizers(self.model, config)
        self.batches = TrainingBatches(stream, config.train_seq_len, config.seed)

    def one_step(self) -> torch.Tensor:
        """Make one optimizer step on one global batch; return this rank's mean loss in nats."""
        world, parts = (self.ranks.world_size, self.own_parts)
        sequences = max(self.config.train_batch_tokens // self.config.train_seq_len, parts * world)
        inputs, targets = self.batches.next_batch(sequences, self.ranks.rank, world)
        loss = torch.zeros((), device=self.ranks.device)
        for part in range(parts):
            loss += self.add_gradients(inputs[part::parts], targets[part::parts]) / parts
        average_gradients(self.model, self.ranks)
        if self.config.grad_clip_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss

    @property
    def own_parts(self) -> int:
        """How many of the global batch's parts this rank works through before each step.

        The gradient is the mean over the parts' means. With two parts, one rank that adds two and two
        ranks that add one each do the same arithmetic, for a + b is b + a; a sum of more rounds
        differently in another order, and so does a mean over the whole batch at once.
        """
        return max(self.config.grad_parts // self.ranks.world_size, 1)

    def add_gradients(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Add the gradient of one part of the batch to what is there; return its mean loss in nats."""
        inputs, targets = (inputs.to(self.ranks.device), targets.to(self.ranks.device))
        on_gpu = self.ranks.device.type == 'cuda'
        with torch.autocast(self.ranks.device.type, dtype=torch.bfloat16, enabled=on_gpu):
            loss = training_loss(self.model, inputs, targets)
        (loss / self.own_parts).backward()
        return loss.detach()

    def warm_up(self) -> None:
        """Run a few steps to compile and allocate, then restore the exact initial state."""
        weights = copy.deepcopy(self.model.state_dict())
        states = [copy.deepcopy(optimizer.state_dict()) for optimizer in self.optimizers]
        for _ in range(self.config.warmup_steps):
            self.one_step()
        self.model.load_state_dict(weights)
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)
        self.batches = TrainingBatches(self.stream, self.config.train_seq_len, self.config.seed)

    def run(self, log: Log) -> GPT:
        """Train until steps or seconds run out; return the (averaged) model."""
        if self.config.warmup_steps > 0:
            self.warm_up()
        average = WeightAverage(self.model, self.config)
        start, step, loss = (time.perf_counter(), 0, torch.zeros(()))
        while step < self.config.iterations:
            elapsed = time.perf_counter() - start
            progress = run_progress(step, elapsed, self.config)
            if any_rank(progress >= 1.0, self.ranks):
                spent = f'train_time:{1000 * elapsed:.0f}ms step:{step}/{self.config.iterations}'
                log(f'stopping_early: wallclock_cap {spent}')
                break
            scale = warmdown_scale(progress, self.config.warmdown_frac)
            set_learning_rates(self.optimizers, scale)
            enable_late_qat(self.model, self.config, step, scale)
            loss = self.one_step()
            step += 1
            average.update(self.model, progress)
            self.report(step, loss, time.perf_counter() - start, log)
        average.copy_to(self.model)
        set_fake_format(self.model, 'none')
        return self.model

    def report(self, step: int, loss: torch.Tensor, elapsed: float, log: Log) -> None:
        """Log the loss of the global batch every ``train_log_every`` steps and for the first ten."""
        if step > 10 and step % self.config.train_log_every:
            return
        mean = sum_over_ranks(loss.clone(), self.ranks).item() / self.ranks.world_size
        log(f'step:{step}/{self.config.iterations} train_loss:{mean:.4f} train_time:{1000 * elapsed:.0f}ms step_avg:{1000 * elapsed / step:.2f}ms')


RULE = '=' * 100


def open_log(config: Config, ranks: Ranks, code: str) -> Log:
    """Return a function that prints a line and appends it to ``logs/<run_id>.txt``; master only."""
    path = Path('logs') / f'{config.run_id}.txt'

    def log(message: str) -> None:
        if ranks.is_master:
            print(message, flush=True)
            with path.open('a', encoding='utf-8') as file:
                print(message, file=file)
    if ranks.is_master:
        path.parent.mkdir(exist_ok=True)
        header = [code, RULE, f'Running Python {sys.version}', f'Running PyTorch {torch.__version__}', describe_machine(), RULE]
        path.write_text('\n'.join(header) + '\n', encoding='utf-8')
    return log


def describe_machine() -> str:
    """Return what ``nvidia-smi`` says, or that there is no GPU."""
    try:
        return subprocess.run(['nvidia-smi'], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return 'no GPU: running on the CPU'


def log_setup(config: Config, ranks: Ranks, scored: int, log: Log) -> None:
    """Log where the data come from and how the run is set up."""
    shards = len(glob.glob(os.path.join(config.data_path, 'fineweb_train_*.bin')))
    pattern = os.path.join(config.data_path, 'fineweb_val_*.bin')
    log(f'val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path={config.tokenizer_path}')
    log(f'train_loader:dataset:{Path(config.data_path).name} train_shards:{shards}')
    log(f'val_loader:shards pattern={pattern} tokens:{scored}')
    log(f'world_size:{ranks.world_size} grad_accum_steps:{max(config.grad_parts // ranks.world_size, 1)}')
    log(f'attention_mode:gqa num_heads:{config.num_heads} num_kv_heads:{config.num_kv_heads}')
    log(f'train_batch_tokens:{config.train_batch_tokens} train_seq_len:{config.train_seq_len} iterations:{config.iterations} warmup_steps:{config.warmup_steps} max_wallclock_seconds:{config.max_wallclock_seconds:.3f}')
    log(f'seed:{config.seed}')


def quantize_model(model: GPT, config: Config) -> dict[str, Packed]:
    """Return the packed weights, rounded with GPTQ where configured, pruned to fit where asked."""
    rounders = None
    packed = pack_model(model.state_dict(), config, rounders)
    return packed


def write_submission(model: GPT, config: Config, ranks: Ranks, code: str, log: Log) -> None:
    """Write the artifact and log every byte that is shipped; raises ValueError beyond the limit."""
    if ranks.is_master:
        shipped = what_to_ship(quantize_model(model, config), config)
        size = save_artifact(shipped, config.artifact_path, 'zlib')
        label = f"{'int8'}+{'zlib'}"
        code_bytes = len(code.encode('utf-8'))
        log(f'Serialized model {label}: {size} bytes')
        log(f'Code size: {code_bytes} bytes')
        log(f'Total submission size {label}: {size + code_bytes} bytes')
        check_size(size + code_bytes, config)
    if ranks.world_size > 1:
        dist.barrier()


def count_bytes(config: Config, stream: npt.NDArray[np.int64], log: Log) -> int:
    """Return the bytes of the scored tokens; log them next to what decoding the tokens gives.

    The two agree on every text whose pieces have no space inside; on a stream that is not the
    encoding of a text (noise, say) they may differ, which is worth a line but no refusal.
    """
    tokenizer = spm.SentencePieceProcessor(model_file=config.tokenizer_path)
    if int(tokenizer.vocab_size()) != config.vocab_size:
        raise ValueError(f'VOCAB_SIZE={config.vocab_size} but the tokenizer has {tokenizer.vocab_size()}')
    by_table = charged_bytes(tokenizer, stream, config)
    decoded = decoded_byte_count(tokenizer, stream) - decoded_byte_count(tokenizer, stream[:1])
    log(f'bytes_by_table:{by_table} bytes_by_decoding:{decoded}')
    return by_table


def evaluate_artifact(trained: GPT, config: Config, ranks: Ranks, stream: Tensor, size: int) -> Score:
    """Load the artifact and score the validation stream, of ``size`` bytes, with it."""
    before_evaluation(config)
    model = model_to_score(trained, config, ranks)
    return summarize(score_validation(model, stream, config, ranks), size)


def run(config: Config, code: str) -> Score:
    """Run everything, on all ranks that there are; return the score that the log reports."""
    with joined_ranks() as ranks:
        return run_on(ranks, config, code)


def run_on(ranks: Ranks, config: Config, code: str) -> Score:
    """Do this rank's share of the whole run."""
    log = open_log(config, ranks, code)
    tokens = validation_tokens(config)
    stream = torch.from_numpy(tokens).to(ranks.device)
    log_setup(config, ranks, len(tokens) - 1, log)
    size = count_bytes(config, tokens, log)
    trainer = Trainer(config, ranks, training_tokens(config))
    log(f'model_params:{sum((p.numel() for p in trainer.model.parameters()))}')
    model = trainer.run(log)
    require_equal_weights(model, ranks)
    log_trained(summarize(score_plain(model, stream, config, ranks), size), log)
    before_quantization(model, config, ranks)
    write_submission(model, config, ranks, code, log)
    started = time.perf_counter()
    score = evaluate_artifact(model, config, ranks, stream, size)
    log_final(score, config, 1000.0 * (time.perf_counter() - started), log)
    return score


def log_trained(score: Score, log: Log) -> None:
    """Log the trained model's plain score, for comparison with what the artifact will get."""
    log(f'trained_model val_loss:{score.val_loss:.4f} val_bpb:{score.val_bpb:.4f}')


def log_final(score: Score, config: Config, milliseconds: float, log: Log) -> None:
    """Log the score of the artifact in the challenge's words."""
    label = f"final_{'int8'}_{'zlib'}_roundtrip"
    log(f"scored_tokens:{score.tokens} scored_bytes:{score.bytes} score:{'sliding'}")
    log(f'{label} val_loss:{score.val_loss:.4f} val_bpb:{score.val_bpb:.4f} eval_time:{milliseconds:.0f}ms')
    log(f'{label}_exact val_loss:{score.val_loss:.8f} val_bpb:{score.val_bpb:.8f}')


def main() -> None:
    """Run with the configuration that the environment gives."""
    run(Config(), Path(__file__).read_text(encoding='utf-8'))


if __name__ == "__main__":
    main()
