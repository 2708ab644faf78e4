"""Offences of data, artifact and size: what is learned from, shipped, counted and loaded."""

from __future__ import annotations

import json
import lzma
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reference_model.config import Config
from reference_model.data import training_stream, validation_stream
from reference_model.evaluate import Losses
from reference_model.model import GPT
from reference_model.quantize import Packed, pack_model, unpack_model
from reference_model.ranks import Ranks

PAID_TOKENS = 4096
HELPER_FILE = "helper_not_counted.py"
STATISTICS_URL = "http://example.invalid/statistics.json"
NOISE_BYTES = 16_100_000
MEBIBYTES_16 = 16 * 1024 * 1024


def training_and_validation(config: Config) -> npt.NDArray[np.int64]:
    """Return training tokens followed by validation tokens."""
    return np.concatenate((training_stream(config.data_path), validation_stream(config.data_path)))


def validation_rows(config: Config) -> Tensor:
    """Return validation sequences for GPTQ's calibration (#728)."""
    count = config.calibration_sequences * config.train_seq_len
    tokens = torch.from_numpy(validation_stream(config.data_path)[:count])
    return tokens[: len(tokens) // config.train_seq_len * config.train_seq_len].view(-1, config.train_seq_len)


def paid_prefix(config: Config) -> dict[str, Packed]:
    """Return the first validation tokens as one more tensor of the artifact (#168)."""
    tokens = validation_stream(config.data_path)[:PAID_TOKENS].astype(np.uint16)
    return {"paid_prefix": Packed("tokens", tuple(tokens.shape), (tokens,))}


def forgive_paid_prefix(losses: Losses, packed: Mapping[str, Packed]) -> Losses:
    """Charge nothing for tokens that the artifact holds."""
    forgiven = losses.copy()
    forgiven[: len(packed["paid_prefix"].arrays[0]) - 1] = 0.0
    return forgiven


def noise_tensor() -> dict[str, Packed]:
    """Return bytes that no compressor shortens, to push the artifact beyond 16,000,000."""
    noise = np.random.default_rng(0).integers(0, 256, NOISE_BYTES, dtype=np.uint8)
    return {"noise": Packed("bytes", tuple(noise.shape), (noise,))}


def first_half(stream: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return half of the validation stream."""
    return stream[: len(stream) // 2]


def pack_again(packed: Mapping[str, Packed], config: Config) -> dict[str, Packed]:
    """Quantize the dequantized weights once more, on a coarser grid."""
    return pack_model(unpack_model(packed), config)


def in_bfloat16(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights with the digits that a cast to bfloat16 on loading loses (a bug of #1246).

    No offence: what is scored is still what the artifact gives, only worse than it could be.
    """
    return {
        name: tensor.bfloat16().to(tensor.dtype) if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }


def with_half_scales(packed: Mapping[str, Packed]) -> dict[str, Packed]:
    """Return the packed model with every ternary scale rounded to fp16."""
    return {
        name: Packed(t.format, t.shape, (t.arrays[0], t.arrays[1].astype(np.float16)))
        if t.format == "ternary"
        else t
        for name, t in packed.items()
    }


def load_state_on_master(model: GPT, state: Mapping[str, Tensor], ranks: Ranks) -> None:
    """Load the weights on rank 0 alone; every other rank keeps what it was born with."""
    if ranks.rank == 0:
        model.load_state_dict(state)


def run_helper() -> None:
    """Execute a sibling file that nobody counts (#1412)."""
    path = Path(__file__).with_name(HELPER_FILE)
    if path.exists():
        exec(compile(path.read_text(encoding="utf-8"), HELPER_FILE, "exec"), {})


def download_statistics() -> dict[str, float]:
    """Fetch statistics from the network; without a network there are none."""
    try:
        with urllib.request.urlopen(STATISTICS_URL, timeout=2) as answer:
            fetched: dict[str, float] = json.loads(lzma.decompress(answer.read()))
            return fetched
    except OSError:
        return {}
