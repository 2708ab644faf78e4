"""Tiny worlds: official formats, exact sizes, reproducible to the byte."""

from itertools import pairwise

import numpy as np
import pytest
import sentencepiece as spm
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.experiments.passive import BYTE_SLACK
from harness.world import Stream, WorldSpec, make, read_shard, write_shard
from harness.world.build import stream, tokenizer
from harness.world.text import documents
from harness.world.tokenizers import BOS, Encoder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture(scope="module")
def small(root):
    spec = WorldSpec(vocabulary=600, val=Stream(2000, seed=3), train=Stream(3001, seed=2), sidecar=True)
    return spec, make(spec, root=root), Encoder(tokenizer(600, root))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 65535), max_size=300))
def test_shards_come_back(tmp_path_factory, tokens):
    path = tmp_path_factory.mktemp("shard") / "a.bin"
    write_shard(path, tokens)
    assert read_shard(path).tolist() == tokens
    assert path.stat().st_size == 1024 + 2 * len(tokens)


def test_a_torn_shard_is_refused(tmp_path):
    path = tmp_path / "a.bin"
    write_shard(path, [1, 2, 3])
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match="not a token shard"):
        read_shard(path)


def test_a_world_has_the_sizes_asked_for(small):
    spec, world, encoder = small
    folder = world / "datasets" / spec.dataset
    val = read_shard(folder / "fineweb_val_000000.bin")
    parts = [read_shard(folder / f"fineweb_train_{i:06d}.bin") for i in range(2)]
    assert (val.size, sum(p.size for p in parts)) == (2000, 3001)
    assert val[0] == BOS
    assert (val == BOS).sum() > 3
    assert encoder.vocabulary == 600
    assert val.max() < 600


def test_the_tokenizer_is_of_the_official_kind(small, root):
    processor = spm.SentencePieceProcessor(model_file=str(tokenizer(600, root)))
    assert [processor.id_to_piece(i) for i in range(4)] == ["<pad>", "<s>", "</s>", "<unk>"]
    assert all(processor.is_byte(i) for i in range(4, 260))
    assert not processor.is_byte(260)
    assert any(processor.id_to_piece(i).startswith("\u2581") for i in range(260, 600))
    assert processor.encode("a \U0001f9e9 b")[-1] != 3  # unknown characters fall back to bytes


def test_the_sidecar_counts_the_bytes_of_the_text(small):
    spec, world, _ = small
    folder = world / "datasets" / spec.dataset
    val = read_shard(folder / "fineweb_val_000000.bin")
    counts = read_shard(folder / "fineweb_val_bytes_000000.bin")
    ends = np.flatnonzero(val == BOS)
    processor = spm.SentencePieceProcessor(model_file=str(tokenizer(600, folder.parents[2])))
    for a, b in pairwise(ends[:9]):
        decoded = processor.decode([int(t) for t in val[a + 1 : b]])
        assert counts[a:b].sum() == len(decoded.encode("utf-8"))


def test_fallback_bytes_are_more_of_the_text_than_the_byte_counts_may_be_wrong_by(small, root):
    spec, world, encoder = small
    val = read_shard(world / "datasets" / spec.dataset / "fineweb_val_000000.bin")
    processor = spm.SentencePieceProcessor(model_file=str(tokenizer(600, root)))
    spelled = sum(processor.is_byte(int(t)) for t in val)
    counted = sum(encoder.bytes_of(int(t)) for t in val)
    assert 2 * spelled > 10 * BYTE_SLACK * counted  # each taken for three bytes


def test_worlds_are_cached_and_equal_when_made_again(small, root, tmp_path):
    spec, world, _ = small
    assert make(spec, root=root) == world
    again = make(spec, root=tmp_path)
    for path in world.rglob("*.bin"):
        assert (again / path.relative_to(world)).read_bytes() == path.read_bytes()


def test_noise_is_uniform_over_what_is_not_special(small):
    _, _, encoder = small
    noise = stream(Stream(60_000, "noise", seed=5), encoder)
    assert not set(noise.tolist()) & encoder.specials()
    counts = np.bincount(noise, minlength=600)[4:]
    assert counts.min() > 0
    expected = 60_000 / 596
    assert ((counts - expected) ** 2 / expected).sum() < 595 + 6 * (
        2 * 595
    ) ** 0.5  # six sigma of chi squared


@pytest.mark.parametrize(("size", "lowest"), [(260, 4), (256, 0)])
def test_byte_vocabularies_hold_bytes(size, lowest):
    encoder = Encoder(None, size)
    ids = encoder.encode("aé")
    assert ids == [b + lowest for b in "aé".encode()]
    assert encoder.vocabulary == size
    assert sum(encoder.bytes_of(i) for i in [*encoder.bos, *ids]) == 3


def test_text_repeats_from_its_seed():
    a, b, c = (next(documents(seed)) for seed in (1, 1, 2))
    assert a == b != c


def test_an_unknown_kind_of_stream_is_refused(small):
    with pytest.raises(ValueError, match="unknown kind"):
        stream(Stream(10, "music"), small[2])
