"""Two runs on different validation tokens: what must be equal, and what evaluation may change."""

import numpy as np
import pytest
from sentencepiece import SentencePieceTrainer

from harness.events import (
    FileRead,
    FileWritten,
    Snapshot,
    Stamped,
    StateWritten,
    Stepped,
    Weights,
    pack_positions,
)
from harness.experiments.passive import independence
from harness.needs import _is_tokenizer, _world
from harness.record import Holds
from harness.trace import Trace
from harness.world import Stream

STEP = Stepped("AdamW", pack_positions(np.arange(5, dtype=np.int32)))
BY_HAND = StateWritten("add_", pack_positions(np.arange(5, dtype=np.int32)))


def trace(digest, artifact="a1", before=(), after=()):
    events = [
        *before,
        FileWritten("final.bin", 10, artifact),
        FileRead("final.bin", "artifact"),
        Snapshot("artifact final.bin is read back"),
        *after,
        Weights(digest, 3),
    ]
    return Trace(tuple(Stamped(i, float(i), 0, e) for i, e in enumerate(events)))


@pytest.mark.parametrize(
    ("plain", "noisy", "result"),
    [
        (trace("w1"), trace("w1"), Holds.HOLDS),
        (trace("w1"), trace("w2", "a2"), Holds.VIOLATED),
        (trace("w1"), trace("w2"), Holds.VIOLATED),
        (trace("w1", after=[STEP]), trace("w2", after=[STEP]), Holds.HOLDS),
        (trace("w1", after=[BY_HAND]), trace("w2", after=[BY_HAND]), Holds.HOLDS),
        (trace("w1", after=[STEP]), trace("w2", "a2", after=[STEP]), Holds.VIOLATED),
        (trace("w1", before=[STEP]), trace("w2", "a2", before=[STEP]), Holds.VIOLATED),
    ],
)
def test_weights_may_differ_only_by_what_evaluation_does_to_one_artifact(plain, noisy, result):
    assert independence(plain, noisy).result is result


def test_a_pointer_to_a_large_file_is_no_tokenizer(tmp_path):
    assert not _is_tokenizer(b"version https://git-lfs.github.com/spec/v1\n")
    assert not _is_tokenizer(b"")
    (tmp_path / "text").write_text("the cat sat on the mat and then it ran\n" * 50)
    prefix = str(tmp_path / "m")
    SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=prefix, vocab_size=40, model_type="bpe"
    )
    assert _is_tokenizer((tmp_path / "m.model").read_bytes())


def test_a_world_of_bytes_has_no_sentencepiece_model():
    names = ["fineweb_1024_bpe.model", "fineweb_260_bpe.model"]
    val = Stream(tokens=9, seed=1)
    assert _world("fineweb10B_byte260", 260, names, val).tokenizer == "fineweb_pure_byte_260.json"
    assert _world("fineweb10B_sp1024", 1024, names, val).tokenizer == "fineweb_1024_bpe.model"
