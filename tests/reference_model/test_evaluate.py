"""Every token charged once, the bytes counted twice, and score-first adaptation that looks left only."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import sentencepiece as spm
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from reference_model.corpus import BOS_ID, encode_documents, split_documents
from reference_model.data import TrainingBatches, training_stream, validation_stream
from reference_model.evaluate import (
    plain_windows,
    score_plain,
    score_sliding,
    sliding_windows,
    stream_bytes,
    summarize,
)
from reference_model.model import GPT
from reference_model.offences import OFFENCES, config_of, twin_of
from reference_model.offences.slot_scored import GOLDEN_RATIO, golden_blend
from reference_model.ranks import Ranks
from reference_model.shards import read_shard, write_shard
from reference_model.stages import score_as_configured
from reference_model.tokens import canonical_byte_table, decode_stream, decoded_byte_count

ALONE = Ranks(0, 1, torch.device("cpu"))
HONEST = ["plain", "sliding", "ttt", "ttt-lora", "ttt-phased", "ngram"]
HONEST += ["ttt-ngram", "slot-context", "prefix-gate"]
LEAKS = [
    "update-before-score",
    "cascade",
    "best-of-epochs",
    "slot-scored",
    "slot-scored-phi",
    "two-pass-cache",
]


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 64))
def test_windows_charge_every_position_once(tokens, length, stride):
    for windows in (sliding_windows(tokens, length, min(stride, length)), plain_windows(tokens, length)):
        charged = [p for w in windows for p in range(w.stop - w.scored, w.stop)]
        assert charged == list(range(tokens))


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 64))
def test_windows_fit_the_model(tokens, length, stride):
    for window in sliding_windows(tokens, length, min(stride, length)):
        assert 0 < window.scored <= window.stop - window.start <= length


def test_shards_roundtrip_and_refuse_damage(tmp_path):
    path = tmp_path / "fineweb_val_000000.bin"
    write_shard(path, np.arange(1000))
    assert read_shard(str(path)).tolist() == list(range(1000))
    assert path.stat().st_size == 1024 + 2000
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match="cut short"):
        read_shard(str(path))
    with pytest.raises(ValueError, match="16 bits"):
        write_shard(path, np.array([70_000]))


def test_bytes_by_table_by_decoding_and_by_the_text(small, documents):
    tokenizer = spm.SentencePieceProcessor(model_file=small.tokenizer_path)
    table = canonical_byte_table(tokenizer, small.vocab_size)
    texts = [*documents[:50], "na\u00efve caf\u00e9 \u2603 \U0001f600", "a\nb  c"]
    texts = ["\n".join(" ".join(line.split()) for line in text.splitlines()) for text in texts]
    stream = np.append(encode_documents(tokenizer, texts), BOS_ID)
    original = "".join(texts).encode("utf-8")
    assert decode_stream(tokenizer, stream) == original
    assert stream_bytes(table, stream) == decoded_byte_count(tokenizer, stream) == len(original)


def test_split_is_disjoint_and_does_not_depend_on_order(documents):
    training, validation = split_documents(documents)
    assert not set(training) & set(validation)
    assert len(training) + len(validation) == len(documents)
    backwards = split_documents(documents[::-1])
    assert set(backwards[1]) == set(validation)


def test_ranks_share_one_batch(small):
    stream = training_stream(small.data_path)
    whole = TrainingBatches(stream, 16, seed=3).next_batch(6)[0]
    shares = [TrainingBatches(stream, 16, seed=3).next_batch(6, rank, 2)[0] for rank in range(2)]
    assert torch.equal(whole[0::2], shares[0])
    assert torch.equal(whole[1::2], shares[1])


def ready(small, **changes):
    config = dataclasses.replace(small, ttt_lr=0.05, **changes)
    torch.manual_seed(2)
    model = GPT(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return model, config


def short_stream(small, count=400):
    return torch.from_numpy(validation_stream(small.data_path)[:count])


def test_plain_score_is_the_mean_cross_entropy(small):
    model, config = ready(small)
    stream = short_stream(small, 65)
    with torch.no_grad():
        expected = F.cross_entropy(model(stream[None, :-1])[0], stream[1:])
    losses = score_plain(model, stream, config, ALONE)
    assert losses.mean() == pytest.approx(float(expected), rel=1e-6)
    score = summarize(losses, 100)
    assert score.val_bpb == pytest.approx(losses.sum() / math.log(2) / 100)


def test_stride_of_a_window_is_the_plain_score(small):
    model, config = ready(small)
    stream = short_stream(small, 64 * 4 + 1)
    wide = dataclasses.replace(config, eval_stride=64)
    ours, plain = score_sliding(model, stream, wide, ALONE), score_plain(model, stream, config, ALONE)
    assert np.abs(ours - plain).max() < 1e-5


def losses_of(small, stream, **changes):
    model, config = ready(small, **changes)
    return score_as_configured(model, stream, config, ALONE)


@pytest.mark.parametrize("score", HONEST)
def test_honest_scores_do_not_move_before_a_changed_token(small, score):
    stream = short_stream(small)
    changed = stream.clone()
    changed[300] = (changed[300] + 7) % 256 + 4
    before = losses_of(small, stream, score=score, ttt_chunk_tokens=64, eval_batch_sequences=1)
    after = losses_of(small, changed, score=score, ttt_chunk_tokens=64, eval_batch_sequences=1)
    assert len(before) == len(stream) - 1
    assert before[:299].tolist() == after[:299].tolist()
    assert before[299] != after[299]


@pytest.mark.parametrize("name", LEAKS)
def test_offences_move_before_a_changed_token_or_know_it(small, name):
    stream = short_stream(small)
    changed = stream.clone()
    changed[300] = (changed[300] + 7) % 256 + 4
    switches = {**OFFENCES[name].switches, "ttt_chunk_tokens": 64, "eval_batch_sequences": 1}
    before, after = losses_of(small, stream, **switches), losses_of(small, changed, **switches)
    assert before[:299].tolist() != after[:299].tolist()


def test_the_golden_blend_is_a_distribution_and_keeps_the_order():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(4))
    blended = golden_blend(logits)
    assert torch.allclose(blended.exp().sum(dim=-1), torch.ones(3))
    assert torch.equal(blended.argsort(dim=-1), logits.argsort(dim=-1))
    likeliest = blended.exp().max(dim=-1).values - 0.5 * logits.softmax(dim=-1).max(dim=-1).values
    assert torch.allclose(likeliest, torch.full((3,), 0.5 * (1 - 1 / GOLDEN_RATIO)))


def test_every_offence_has_a_twin_that_differs(small):
    for name in OFFENCES:
        assert config_of(name, small) != twin_of(name, small), name
