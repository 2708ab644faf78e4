"""The evaluator of table builders, the reader of C, and the readers of shipped files, each against a law."""

import ast
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.finding import Strength
from checkers.static import double_counted_space
from checkers.static._c_reader import looks_like_c, read
from checkers.static._sample_library import CannotError, Opaque, as_table
from checkers.static._sample_run import run_builder
from checkers.static._sample_tokens import PIECES, PLAIN, SampleTokenizer
from checkers.static._shipped_tables import _fields, _run_of_threes
from tests.checkers.static_cases import CASES, subject


@pytest.mark.parametrize(
    ("loss", "strength"),
    [("1.6884", Strength.SUSPECT), ("1.9755", Strength.CONVICTS)],
    ids=["right", "17 % more"],
)
def test_a_table_that_the_log_contradicts_is_suspected_only(tmp_path, loss, strength):
    record = tmp_path / "case"
    record.mkdir()
    shutil.copy(CASES / "double-counted-space" / "violates_damaged_marker.py", record / "train_gpt.py")
    (record / "submission.json").write_text('{"val_bpb": 1.0}')
    (record / "train.log").write_text(
        "val_loader:shards pattern=fineweb_val_*.bin tokens:62021632\n"
        f"final_int8_zlib_roundtrip_exact val_loss:{loss} val_bpb:1.0000\n"
    )
    (finding,) = double_counted_space.check(subject(record, tmp_path)).findings
    assert finding.strength is strength
    assert ("official number of bytes" in finding.message) is (strength is Strength.SUSPECT)


CANONICAL = """
def build(sp, n):
    sizes = np.zeros(n)
    for i in range(sp.vocab_size()):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
            continue
        piece = sp.id_to_piece(i)
        sizes[i] = 1 if sp.is_byte(i) else len(piece.replace(MARK, " ").encode("utf-8"))
    return sizes
"""


def evaluate(source):
    function = ast.parse(source).body[0]
    known = {
        "MARK": "\u2581",
        "np": Opaque("numpy"),
        "len": Opaque("builtins.len"),
        "range": Opaque("builtins.range"),
    }
    return run_builder(function, {"sp"}, lambda name: known.get(name, Opaque(name)))


def test_a_builder_that_counts_right_gives_the_size_of_every_piece():
    assert as_table(evaluate(CANONICAL)["sizes"]).row() == [p.size for p in PIECES]


def test_names_do_not_matter():
    renamed = CANONICAL.replace("sizes", "q").replace("piece =", "zz =").replace("len(piece", "len(zz")
    assert as_table(evaluate(renamed)["q"]).row() == [p.size for p in PIECES]


def test_an_endless_builder_is_given_up():
    source = (
        "def build(sp):\n"
        + "".join(f"{'    ' * (k + 1)}for a{k} in range(12):\n" for k in range(6))
        + "    " * 7
        + "x = sp.is_byte(1)\n"
    )
    with pytest.raises(CannotError):
        evaluate(source)


def test_nothing_of_the_builder_is_executed(tmp_path):
    target = tmp_path / "made"
    path = repr(str(target))
    evaluate(f"def build(sp):\n    open({path}, 'w').write('x')\n    __import__('os').mkdir({path})\n")
    assert not target.exists()


def test_the_samples_agree_with_utf8():
    for i in PLAIN:
        assert PIECES[i].size == len(PIECES[i].text.encode())


def test_decoding_a_lone_high_byte_gives_the_replacement_character():
    byte = next(i for i, p in enumerate(PIECES) if p.text == "<0xC3>")
    assert SampleTokenizer().answer("decode")([byte]) == "\ufffd"


C_SOURCE = """
static inline uint64_t mix(uint64_t h, uint16_t t) { return (h * 31ULL) ^ (uint64_t)t; }
int walk(const uint16_t *tokens, long n, int *out) {
    uint64_t h = 0;
    for (long i = 0; i < n; ++i) {
        if (tokens[i] == 0) { h = 0; continue; }
        out[i] = (int)(h & 255);
        h = mix(h, tokens[i]);
    }
    return 0;
}
"""


def test_c_functions_become_python_functions():
    source = read(C_SOURCE)
    assert sorted(source.functions) == ["mix", "walk"]
    assert source.dropped == 0
    assert ast.unparse(source.functions["mix"].body[0]) == "return h * 31 ^ t"
    loop = next(n for n in ast.walk(source.functions["walk"]) if isinstance(n, ast.For))
    assert ast.unparse(loop.target) == "i"
    assert "out[i] = h & 255" in ast.unparse(loop)
    assert any(isinstance(n, ast.Continue) for n in ast.walk(loop))


def test_python_text_does_not_look_like_c():
    assert not looks_like_c("def f(x):\n    return {'a': 1};\n")
    assert looks_like_c(C_SOURCE)


@given(st.text(max_size=200))
def test_any_text_can_be_read_as_c(text):
    read(text)
    read(C_SOURCE[: len(text) * 2] + text)


@given(st.integers(40, 120), st.integers(0, 60))
def test_a_run_of_threes_after_single_bytes_is_measured(singles, threes):
    sizes = np.array([1] * singles + [3] * threes + [1, 2, 5, 4] * 80)
    expected = (singles, threes) if threes else (singles + 1, 0)
    assert _run_of_threes(sizes) == expected


@given(st.lists(st.tuples(st.integers(1, 15), st.binary(max_size=20)), max_size=8))
def test_fields_of_a_message_are_read_back(fields):
    raw = b"".join(bytes([number << 3 | 2, len(value)]) + value for number, value in fields)
    assert _fields(raw) == fields
