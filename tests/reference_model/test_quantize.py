"""Quantization, packing and compression against slow oracles and roundtrip laws."""

from __future__ import annotations

import dataclasses
import lzma
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.artifact import decode_artifact, encode_artifact, load_artifact, save_artifact
from reference_model.compress import compress_bytes, decompress_bytes
from reference_model.config import tiny
from reference_model.fakequant import fake_quantize
from reference_model.gptq import DAMPING, gptq_round, hessians_from, sample_sequences
from reference_model.model import GPT
from reference_model.prune import prune_to_fit
from reference_model.quantize import pack_model, pack_tensor, row_scales, unpack_model, unpack_tensor
from reference_model.stages import weights_in_artifact
from reference_model.ternary import pack_digits, pack_ternary, unpack_digits, unpack_ternary


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=400))
def test_base_three_is_exact(digits):
    array = np.array(digits, dtype=np.int8)
    packed = pack_digits(array)
    assert len(packed) == -(-len(digits) // 5)
    assert unpack_digits(packed, len(digits)).tolist() == digits


@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
@settings(deadline=None)
def test_ternary_roundtrip_error_is_exactly_zero(seed, size):
    weight = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    once = unpack_ternary(*pack_ternary(weight), weight.shape)
    twice = unpack_ternary(*pack_ternary(once), weight.shape)
    assert np.abs(once - twice).max() == 0.0


def test_rows_keep_within_half_a_step():
    weight = torch.randn(12, 40, generator=torch.Generator().manual_seed(0))
    scale = row_scales(weight, 127)
    error = (unpack_tensor(pack_tensor(weight, "int8")) - weight).abs()
    assert (error <= 0.51 * scale[:, None] + 127 * scale[:, None] * 2**-11).all()


def test_clip_search_never_hurts():
    weight = torch.randn(20, 64, generator=torch.Generator().manual_seed(0)) ** 3
    searched = (unpack_tensor(pack_tensor(weight, "int6")) - weight).square().sum()
    scale = row_scales(weight, 31)[:, None]
    plain = ((weight / scale).round().clamp(-31, 31) * scale - weight).square().sum()
    assert searched < plain


def textbook_gptq(weight, hessian, scale, levels):
    """Optimal brain quantization in a fixed order, inverting the remaining Hessian at every step."""
    damped = hessian + DAMPING * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)
    work, indices = weight.double().clone(), torch.zeros_like(weight)
    for column in range(weight.size(1)):
        inverse = torch.linalg.inv(damped[column:, column:])
        index = (work[:, column] / scale).round().clamp(-levels, levels)
        indices[:, column] = index
        error = (work[:, column] - index * scale) / inverse[0, 0]
        work[:, column:] -= error[:, None] * inverse[0]
    return indices


def test_gptq_equals_the_textbook_and_beats_rounding():
    generator = torch.Generator().manual_seed(3)
    mixing = torch.randn(16, 16, generator=generator, dtype=torch.float64)
    inputs = torch.randn(200, 16, generator=generator, dtype=torch.float64) @ mixing
    hessian, weight = inputs.T @ inputs, torch.randn(8, 16, generator=generator)
    scale = row_scales(weight, 7)
    ours = gptq_round(hessian, weight, scale, 7)
    assert torch.equal(ours, textbook_gptq(weight, hessian, scale, 7))
    plain = (weight / scale[:, None]).round().clamp(-7, 7)

    def output_error(indices: torch.Tensor) -> float:
        return float(((indices * scale[:, None] - weight).double() @ inputs.T).square().sum())

    assert output_error(ours) < 0.8 * output_error(plain)


def test_calibration_uses_the_models_own_samples():
    torch.manual_seed(0)
    model = GPT(tiny(vocab_size=32))
    samples = sample_sequences(model, 3, 10, seed=4)
    assert samples.shape == (3, 10)
    assert torch.equal(samples, sample_sequences(model, 3, 10, seed=4))
    hessians = hessians_from(model, samples)
    assert set(hessians) == {
        n for n, p in model.named_parameters() if n.startswith("blocks.") and p.ndim == 2
    }
    assert all(torch.linalg.eigvalsh(h).min() > -1e-6 for h in hessians.values())


@pytest.mark.parametrize("compressor", ["zlib", "lzma", "zstd", "brotli"])
def test_compressors_roundtrip(compressor):
    data = b"score before update " * 50
    packed = compress_bytes(data, compressor)
    assert decompress_bytes(packed, compressor) == data
    assert len(packed) < len(data) / 4
    if compressor == "zlib":
        assert zlib.decompress(packed) == data
    if compressor == "lzma":
        assert lzma.decompress(packed) == data


def test_unknown_compressor_is_refused():
    with pytest.raises(ValueError, match="unknown compressor"):
        compress_bytes(b"", "rar")


@pytest.mark.parametrize("quantization", ["int8", "int6", "ternary", "hybrid", "fp16"])
def test_artifact_holds_exactly_what_was_packed(quantization, tmp_path):
    torch.manual_seed(1)
    config = tiny(vocab_size=128, quantization=quantization)
    packed = pack_model(GPT(config).state_dict(), config)
    size = save_artifact(packed, str(tmp_path / "model.bin"), "lzma")
    assert size == (tmp_path / "model.bin").stat().st_size
    ours, theirs = unpack_model(packed), unpack_model(load_artifact(str(tmp_path / "model.bin")))
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    GPT(config).load_state_dict(theirs)


def test_artifact_refuses_damage():
    packed = {"w": pack_tensor(torch.randn(40, 40), "int8")}
    data = encode_artifact(packed, "zlib")
    with pytest.raises(ValueError, match="not an artifact"):
        decode_artifact(b"PK\x03\x04" + data)
    raw = zlib.decompress(data[4:])
    with pytest.raises(ValueError, match="no tensor"):
        decode_artifact(data[:4] + zlib.compress(raw + b"x"))
    with pytest.raises(ValueError, match="not stored"):
        decode_artifact(data[:4] + zlib.compress(raw.replace(b'"int8",[40', b'"void",[40')))


def test_pruning_fits_and_touches_only_the_smallest_steps():
    torch.manual_seed(0)
    packed = {"w": pack_tensor(torch.randn(64, 256) ** 3, "int6"), "v": pack_tensor(torch.randn(8), "fp32")}
    full = len(encode_artifact(packed, "zlib"))
    pruned = prune_to_fit(packed, full - 150, "zlib")
    assert len(encode_artifact(pruned, "zlib")) <= full - 150
    before, after = packed["w"].arrays[0], pruned["w"].arrays[0]
    changed = before != after
    assert changed.any()
    assert set(np.abs(before[changed]).tolist()) == {1}
    assert not after[changed].any()
    with pytest.raises(ValueError, match="does not fit"):
        prune_to_fit(packed, 100, "zlib")


@pytest.mark.parametrize("kind", ["int8", "int6", "ternary"])
def test_late_rounding_passes_gradients_straight(kind):
    weight = torch.randn(6, 130, requires_grad=True)
    rounded = fake_quantize(weight, kind)
    rounded.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert not torch.equal(rounded.detach(), weight.detach())


def test_a_cast_to_bfloat16_on_loading_loses_what_the_artifact_holds(tmp_path):
    config = tiny(quantization="ternary", artifact_path=str(tmp_path / "model.bin"))
    model = GPT(config)
    save_artifact(pack_model(model.state_dict(), config), config.artifact_path, config.compressor)
    held = weights_in_artifact(model, config)
    cast = weights_in_artifact(model, dataclasses.replace(config, roundtrip="bfloat16"))
    lost = {name: (held[name] - cast[name]).abs().max().item() for name in held}
    assert max(lost.values()) > 0
    assert all(lost[name] <= 2**-8 * held[name].abs().max().item() for name in held)
