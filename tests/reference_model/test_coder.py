"""The arithmetic coder: exactly reversible, and as short as the distributions promise."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cooperate import certify
from reference_model.codec import Scorer, compress_tokens, decode_count, decompress_tokens, encode_count
from reference_model.coder import TOTAL, ArithmeticDecoder, ArithmeticEncoder, cumulative_frequencies
from reference_model.config import Config, env_of
from reference_model.data import validation_stream
from reference_model.model import GPT
from reference_model.pipeline import run

ROOT = Path(__file__).parents[2]


@given(st.lists(st.integers(0, 6), max_size=200), st.lists(st.floats(1e-9, 1), min_size=7, max_size=7))
@settings(deadline=None)
def test_roundtrip_and_length(symbols, weights):
    probabilities = np.array(weights) / np.sum(weights)
    cumulative = cumulative_frequencies(probabilities)
    assert cumulative[0] == 0
    assert cumulative[-1] == TOTAL
    encoder = ArithmeticEncoder()
    for symbol in symbols:
        encoder.encode(int(cumulative[symbol]), int(cumulative[symbol + 1]))
    data = encoder.finish()
    decoder = ArithmeticDecoder(data)
    assert [decoder.decode(cumulative) for _ in symbols] == symbols
    steps = np.diff(cumulative) / TOTAL
    assert len(encoder.bits) <= -sum(math.log2(steps[s]) for s in symbols) + 3


def test_more_than_one_is_refused():
    with pytest.raises(ValueError, match="more than 1"):
        cumulative_frequencies(np.array([1.5, 1.5]))


@given(st.integers(0, 10**9))
def test_counts_roundtrip(count):
    assert decode_count(encode_count(count) + b"rest") == (count, len(encode_count(count)))


def make_scorer(config):
    torch.manual_seed(0)
    return Scorer(GPT(config), config)


def test_scorer_earns_the_certificate_of_those_who_cooperate(small):
    config = dataclasses.replace(small, ttt_chunk_tokens=16, ngram_shortest=0)
    sample = validation_stream(small.data_path)[:48].tolist()
    certificate = certify(make_scorer(config), sample)
    assert certificate.valid, certificate.experiments
    assert certificate.tokens == 48
    assert certificate.experiments[0].data["positions"] == 48  # every position's sum, not a sample of them


def test_a_prefix_that_was_not_observed_is_refused(small):
    scorer = make_scorer(small)
    scorer.observe(5)
    assert scorer.distribution([5]).tolist() == scorer.distribution().tolist()
    with pytest.raises(ValueError, match="observed"):
        scorer.distribution([6])


def test_scorer_compresses_what_it_claims_and_decodes_it(small):
    tokens = validation_stream(small.data_path)[:300]
    data, claimed = compress_tokens(make_scorer(small), tokens)
    assert decompress_tokens(make_scorer(small), data).tolist() == tokens.tolist()
    assert 8 * len(data) <= claimed + 8 * 2 + 10
    assert claimed < len(tokens) * math.log2(small.vocab_size)


def test_scorer_predicts_from_what_it_observed_alone(small):
    first, second = make_scorer(small), make_scorer(small)
    for token in [1, 30, 31, 30]:
        first.observe(token)
    for token in [1, 30, 31, 30]:
        second.distribution()
        second.observe(token)
    assert first.distribution().tolist() == second.distribution().tolist()
    assert first.distribution().sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.slow
def test_second_process_decodes_from_artifact_and_file_alone(small, tmp_path):
    config = dataclasses.replace(small, iterations=8, ttt_chunk_tokens=128)
    run(config, code="")
    shell(config, tmp_path, "encode", "sample.bin", "sample.txt", "--tokens", "300")
    original = (tmp_path / "sample.txt").read_bytes()
    (tmp_path / "sample.txt").unlink()
    shell(dataclasses.replace(config, data_path="/nonexistent"), tmp_path, "decode", "sample.bin", "back.txt")
    assert (tmp_path / "back.txt").read_bytes() == original
    assert len(original) > (tmp_path / "sample.bin").stat().st_size


def shell(config: Config, folder: Path, *arguments: str) -> None:
    env = {**os.environ, **env_of(config), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "reference_model", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
