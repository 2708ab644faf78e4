"""The instruments, one by one, in this process or on plain values."""

from __future__ import annotations

import ast
import io
import itertools
import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.probes import arrays, changes, reports, rooms, tables, tags, watch
from harness.probes.coverage import ranges
from harness.probes.mode import WatchMode
from harness.probes.positions import Stream

VOCAB = 300


@pytest.fixture
def tokens():
    return np.random.default_rng(0).integers(4, VOCAB, 2000)


@pytest.fixture
def seen(tokens):
    """A watch that listens in a mode of its own; the events it emits."""
    events = []
    observer = watch.Watch(Stream(tokens), events.append, watch.is_theirs(("/nowhere",)))
    arrays.listen(observer.numpy_sum)
    with WatchMode(observer.observe):
        yield events


def charged(events, via):
    return [(e.where().tolist(), e.losses()) for e in events if getattr(e, "via", "") == via]


# --- positions ----------------------------------------------------------------------------------


@given(st.integers(0, 1800), st.integers(6, 150))
@settings(deadline=None)
def test_any_piece_of_the_stream_is_found_where_it_lies(start, size):
    tokens = np.random.default_rng(1).integers(4, 1024, 2000)
    assert Stream(tokens).locate(tokens[start : start + size]).tolist() == list(range(start, start + size))


def test_rows_of_a_batch_are_found_each_for_itself(tokens):
    rows = np.stack([tokens[i : i + 40] for i in (5, 900, 333)])
    assert Stream(tokens).locate(rows).reshape(rows.shape)[:, 0].tolist() == [5, 900, 333]


def test_other_text_is_not_found(tokens):
    other = np.random.default_rng(9).integers(4, VOCAB, 500)
    assert (Stream(tokens).locate(other) < 0).all()


def test_repeated_text_is_found_through_its_neighbours():
    tokens = np.concatenate([np.arange(100, 140), np.arange(10, 30), np.arange(200, 240), np.arange(10, 30)])
    assert Stream(tokens).locate(tokens[30:70]).tolist() == list(range(30, 70))


def test_a_run_across_two_rows_does_not_beat_the_rows():
    """The end of one row and the start of the next spell something that lies elsewhere."""
    rng = np.random.default_rng(2)
    tokens = rng.integers(4, 1024, 1000)
    tokens[900:906] = np.concatenate([tokens[97:100], tokens[300:303]])
    rows = np.concatenate([tokens[60:100], tokens[300:340]])
    want = [*range(60, 100), *range(300, 340)]
    assert Stream(tokens).locate(rows).tolist() == want


def test_a_gap_that_two_rows_could_fill_stays_unknown():
    tokens = np.random.default_rng(3).integers(4, 1024, 1000)
    tokens[100:108] = tokens[292:300] = tokens[500:508] = 9  # eight alike: no 6-gram there is unique
    rows = np.concatenate([tokens[60:104], tokens[296:340]])
    places = Stream(tokens).locate(rows)
    want = np.array([*range(60, 104), *range(296, 340)])
    known = places >= 0
    assert (places[known] == want[known]).all()
    assert known.sum() >= len(want) - 8


@pytest.mark.parametrize(("size", "place"), [(1, -1), (4, 700)])
def test_short_runs_are_found_only_if_they_occur_once(tokens, size, place):
    tokens = tokens % 40 + 4
    assert Stream(tokens).locate(tokens[700 : 700 + size])[0] == place


# --- charges ------------------------------------------------------------------------------------


def test_the_charged_part_of_a_window_is_what_is_summed(tokens, seen):
    ids = torch.from_numpy(tokens)
    logits = torch.randn(2, 64, VOCAB)
    targets = torch.stack([ids[1:65], ids[33:97]])
    loss = F.cross_entropy(logits.reshape(-1, VOCAB), targets.reshape(-1), reduction="none").reshape(2, 64)
    total = loss[1, 32:].double().sum()
    ((places, nats),) = charged(seen, "sum")
    assert places == list(range(65, 97))
    assert nats.sum() == pytest.approx(total.item())


def test_masked_losses_do_not_count(tokens, seen):
    ids = torch.from_numpy(tokens)
    loss = F.cross_entropy(torch.randn(40, VOCAB), ids[1:41], reduction="none")
    (loss * (torch.arange(40) < 7)).sum()
    torch.where(torch.arange(40) >= 35, loss, torch.zeros(())).sum()
    first, second = charged(seen, "sum")
    assert [p for p in first[0] if p >= 0] == list(range(1, 8))
    assert [p for p in second[0] if p >= 0] == list(range(36, 41))


@pytest.mark.parametrize("pick", ["gather", "index", "nll"])
def test_other_ways_to_pick_the_target(tokens, seen, pick):
    targets = torch.from_numpy(tokens)[101:141]
    logp = F.log_softmax(torch.randn(40, VOCAB), -1)
    if pick == "gather":
        loss = -logp.gather(1, targets[:, None]).squeeze(1)
    elif pick == "index":
        loss = -logp[torch.arange(40), targets]
    else:
        loss = F.nll_loss(logp, targets, reduction="none")
    loss[10:].sum()
    ((places, nats),) = charged(seen, "sum")
    assert places == list(range(111, 141))
    assert nats == pytest.approx(loss[10:].double().numpy())


def test_a_mean_loss_is_taken_apart(tokens, seen):
    logits, targets = torch.randn(50, VOCAB), torch.from_numpy(tokens)[1:51]
    mean = F.cross_entropy(logits, targets)
    ((places, nats),) = charged(seen, "cross_entropy")
    assert places == list(range(1, 51))
    assert nats.mean() == pytest.approx(mean.item(), rel=1e-6)


def test_losses_with_a_gradient_are_no_charges(tokens, seen):
    logits = torch.randn(50, VOCAB, requires_grad=True)
    F.cross_entropy(logits, torch.from_numpy(tokens)[1:51]).backward()
    assert seen == []


def test_training_losses_of_other_text_are_ignored(seen):
    F.cross_entropy(torch.randn(50, VOCAB), torch.randint(0, VOCAB, (50,)))
    assert seen == []


# --- numpy --------------------------------------------------------------------------------------


def test_a_mixture_in_numpy_keeps_its_positions(seen):
    losses = arrays.wrap(np.linspace(1, 2, 12), np.arange(30, 42, dtype=np.int32))
    p = np.exp(-losses)
    index = np.nonzero(np.asarray(p) > 0.2)[0]
    p[index] = 0.5 * p[index] + 0.25
    mixed = -np.log(np.maximum(p, 1e-9))
    mixed[3:].sum()
    ((places, nats),) = charged(seen, "numpy_sum")
    assert places == list(range(33, 42))
    assert nats == pytest.approx(np.asarray(mixed)[3:])


def test_counts_made_of_losses_are_no_losses():
    losses = arrays.wrap(np.linspace(1, 2, 12), np.arange(12, dtype=np.int32))
    assert type(losses > 1.5) is np.ndarray
    assert isinstance(np.where(losses > 1.5, losses, 0.0), arrays.Charges)
    assert np.where(losses > 1.5, losses, 0.0).places.tolist()[:2] == [-1, -1]


@given(st.lists(st.floats(0.1, 9), min_size=2, max_size=20), st.data())
def test_the_subclass_computes_what_an_array_computes(values, data):
    plain = np.array(values)
    tagged = arrays.wrap(plain.copy(), np.arange(len(plain), dtype=np.int32))
    start = data.draw(st.integers(0, len(values) - 1))
    for f in (
        lambda x: x[start:] * 2 + 1,
        lambda x: np.log(x).sum(),
        lambda x: np.concatenate([x, x]).mean(),
    ):
        assert np.array_equal(np.asarray(f(tagged)), np.asarray(f(plain)))


def test_tags_follow_stacking_and_storing():
    one, two = torch.rand(3), torch.rand(3)
    tags.put(one, torch.tensor([1, 2, 3], dtype=torch.int32))
    stacked = torch.stack([one, two])
    tags.carry(torch.stack, ([one, two],), {}, stacked)
    assert tags.get(stacked).tolist() == [[1, 2, 3], [-1, -1, -1]]
    held = torch.zeros(5)
    tags.carry(torch.Tensor.__setitem__, (held, slice(1, 4), one), {}, None)
    assert tags.get(held).tolist() == [-1, 1, 2, 3, -1]


# --- changes ------------------------------------------------------------------------------------


def test_a_change_reaches_arrays_of_every_shape(tokens):
    flat = torch.from_numpy(tokens.astype(np.int32))
    windows = torch.from_numpy(np.stack([tokens[i : i + 64] for i in (0, 500)]))
    holder = {"list": tokens[:300].tolist(), "other": torch.arange(500)}
    new = tokens.copy()
    new[[10, 520]] = 7
    touched = changes.apply(Stream(tokens), new)
    assert touched >= 3
    assert flat[10] == flat[520] == 7
    assert (windows[0, 10], windows[1, 20]) == (7, 7)
    assert holder["list"][10] == 7
    assert (holder["other"] == torch.arange(500)).all()


def test_a_change_reaches_arrays_that_only_a_running_function_or_a_generator_holds(tokens):
    def windows(stream):
        for at in range(0, len(stream), 64):
            yield stream[at : at + 64]

    def score(stream):
        batches = windows(stream.astype(np.uint16))
        ahead = next(batches)
        changes.apply(Stream(tokens.copy()), new)
        return stream, ahead, next(batches)

    new = tokens.copy()
    new[[10, 80]] = 7
    held, ahead, later = score(tokens.astype(np.int32))
    assert held[10] == held[80] == ahead[10] == later[16] == 7
    assert new[[10, 80]].tolist() == [7, 7]


def test_scrambling_reaches_state_dicts_of_the_same_names():
    model = torch.nn.Linear(4, 3)
    copy = {k: v.detach().clone() for k, v in model.state_dict().items()}
    before, kept = {k: v.clone() for k, v in copy.items()}, {"table": torch.ones(3)}
    digest = changes.weigh()
    assert changes.scramble() >= 4
    assert not torch.equal(model.weight, before["weight"])
    assert not torch.equal(copy["weight"], before["weight"])
    assert torch.equal(kept["table"], torch.ones(3))
    assert changes.weigh() != digest


def test_redirected_files_are_read_changed(tmp_path):
    """In a process of its own, because there is no way back."""
    code = f"""
import numpy as np
from harness.probes import changes, read_stream
from harness.world import write_shard
from pathlib import Path
p = Path({str(tmp_path)!r}) / "fineweb_val_000000.bin"
write_shard(p, np.arange(100))
changes.redirect_files((str(p),), np.arange(100)[::-1].astype(np.int64), p.parent)
ways = [read_stream((str(p),)), np.frombuffer(p.read_bytes()[1024:], "<u2"),
        np.memmap(p, "<u2", mode="r", offset=1024), np.frombuffer(open(p, "rb").read()[1024:], "<u2")]
assert all((np.asarray(w) == np.arange(100)[::-1]).all() for w in ways), ways
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- reports, coverage, tables ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "loss", "bpb"),
    [
        ("final_int8_zlib_roundtrip val_loss:2.0727 val_bpb:1.2276 eval_time:1ms", 2.0727, 1.2276),
        ("ttt_sliding:done val_loss=6.905798 val_bpb=3.890559 elapsed=0.0s", 6.905798, 3.890559),
        ("ttt_chunk [8/8] bpb=3.890559 time=0.0s", None, 3.890559),
        ("Quantized BPB (no cache): 3.4511", None, 3.4511),
        ("step:6/6 val_loss:nan val_bpb:nan", float("nan"), float("nan")),
        ("[VAL] val_loss=4.1 val_bpb≈5.9151", 4.1, 5.9151),
        ("ttt gain: 0.01 final val_loss:2.0 val_bpb: 1.0812", 2.0, 1.0812),
    ],
)
def test_reports_are_read_off_lines(line, loss, bpb):
    report = reports.parse(line)
    assert report is not None
    assert [report.val_loss, report.val_bpb] == pytest.approx([loss, bpb], nan_ok=True)


def test_scores_that_are_printed_and_scores_that_are_logged_are_heard(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO())
    heard = []
    reports.listen(heard.append)
    print("final val_bpb:1.25")
    log = logging.Logger("tiny")
    log.addHandler(logging.StreamHandler())
    log.info("final_ttt val_bpb:1.24")
    assert heard == ["final val_bpb:1.25", "final_ttt val_bpb:1.24"]
    assert "1.24" in sys.stderr.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "train_loss:2.5 step_avg:3ms",
        "bpb: see below",
        "the loss is small",
        "x" * 5000,
        "delta(plain - TTT) val_bpb: 0.001032",
        "final gap val_loss:+0.00783698 val_bpb:+0.00464150",
        "Quantization degradation: bpb -0.0159",
    ],
)
def test_other_lines_are_no_reports(line):
    assert reports.parse(line) is None


def test_precision_is_half_the_last_digit():
    assert reports.precision("val_loss:2.0727", "val_loss") == pytest.approx(5e-5)
    assert reports.precision("val_loss:2", "val_loss") == 0.5


@given(st.sets(st.integers(1, 60)))
def test_ranges_cover_exactly_the_lines(lines):
    spans = ranges(lines)
    assert {n for a, b in spans for n in range(a, b + 1)} == lines
    assert all(b + 1 < c for (_, b), (c, _) in itertools.pairwise(spans))


TABLES = """
BUCKETS = 1 << 22
class Cache:
    def __init__(self, n_buckets=4_194_304, bigram_vocab_size=2048, train_batch_tokens=524288):
        self.hash_bits = 22
        self.rows = 1 << 22
Cache(n_buckets=2**20)
SIZE = int(os.environ.get("NGRAM_BUCKETS", "4194304"))
"""


def test_tables_shrink_and_nothing_else():
    found = []
    tree = tables.ScaleTables(1e-4, found.append).visit(ast.parse(TABLES))
    text = ast.unparse(tree)
    assert "BUCKETS = 512" in text
    assert "n_buckets=512, bigram_vocab_size=2048, train_batch_tokens=524288" in text
    assert "self.hash_bits = 9" in text
    assert "self.rows = 1 << 22" in text  # its name does not tell
    assert "Cache(n_buckets=128)" in text
    assert "'NGRAM_BUCKETS', '512'" in text
    assert len(found) == 5


@given(st.integers(16, 30), st.floats(1e-6, 0.5))
def test_a_power_of_two_stays_one_and_load_never_rises(bits, factor):
    size = tables.scaled(1 << bits, factor)
    assert size & (size - 1) == 0
    assert size >= (1 << bits) * factor - 1


# --- arrays that losses are stored in -----------------------------------------------------------


def summed(array):
    """What the listener hears when an array is summed: values and places, or nothing."""
    heard = []
    arrays.listen(lambda values, places, total: heard.append((values.tolist(), places.tolist())))
    array.sum()
    return heard


@pytest.fixture
def losses():
    return arrays.wrap(np.arange(1.0, 9.0), np.arange(20, 28, dtype=np.int32))


def test_losses_stored_in_a_plain_array_keep_their_places(losses):
    kept = arrays.room(np.zeros(12))
    assert summed(kept) == []
    kept[2:6] = losses[:4]
    kept[8:][:2] = losses[4:6]  # through a view
    assert summed(-np.log(kept + 1))[0][1] == [-1, -1, 20, 21, 22, 23, -1, -1, 24, 25, -1, -1]


def test_a_copy_and_its_original_take_on_losses_apart(losses):
    other = losses.astype(np.float32).copy()
    other[0:2] = losses[4:6]
    assert losses.places.tolist() == list(range(20, 28))
    assert other.places.tolist() == [24, 25, *range(22, 28)]


def test_results_written_in_place_and_added_at_indices_keep_places(losses):
    kept = arrays.room(np.zeros(8))
    np.add.at(kept, np.arange(8), losses)
    kept *= 2
    assert summed(np.log(kept, out=kept))[0][1] == list(range(20, 28))


def test_a_mixture_written_over_losses_is_still_their_loss(losses):
    losses[np.array([1, 3])] = 0.5 * losses[np.array([1, 3])] + 0.1
    assert losses.places.tolist() == list(range(20, 28))


def test_pickles_hold_plain_arrays(losses):
    assert type(pickle.loads(pickle.dumps(losses))) is np.ndarray


def test_only_the_submission_gets_arrays_that_take_notes(losses):
    make = rooms._making(np.zeros, lambda name: name == __file__)
    assert isinstance(make(64), arrays.Charges)
    assert type(make(64, np.int64)) is np.ndarray
    assert type(make(4)) is np.ndarray
    assert type(rooms._making(np.zeros, lambda name: False)(64)) is np.ndarray
    assert rooms._copying(np.asarray)(losses, np.float32).places.tolist() == list(range(20, 28))
    assert rooms._copying(np.array)([losses, losses]).places.shape == (2, 8)
    assert type(rooms._copying(np.array)([1.0, 2.0])) is np.ndarray


def test_losses_of_a_batch_that_is_mostly_padding_are_charged(seen, tokens):
    targets = torch.zeros(8, 100, dtype=torch.int64)
    targets[2, :60] = torch.from_numpy(tokens[70:130])
    with torch.no_grad():
        losses = F.cross_entropy(torch.zeros(800, VOCAB), targets.reshape(-1), reduction="none")
        losses.reshape(8, 100)[2, 10:50].double().sum()
    ((places, _),) = charged(seen, "sum")
    assert places == list(range(80, 120))


def test_losses_mixed_as_python_numbers_are_charged_where_a_tensor_adds_them_up(seen, tokens):
    total, count = torch.zeros((), dtype=torch.float64), torch.zeros(())
    with torch.no_grad():
        losses = F.cross_entropy(torch.zeros(50, VOCAB), torch.from_numpy(tokens[70:120]), reduction="none")
    for at in range(3):
        mixed = 0.5 * losses[at].item()
        total += mixed
        count += 1.0
    added = charged(seen, "added")
    assert [places for places, _ in added] == [[70], [70], [71], [71], [72], [72]]
    assert sum(nats[0] for _, nats in added[::2]) == pytest.approx(float(total))


def test_training_shards_opened_later_hold_other_tokens(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.open", open)
    monkeypatch.setattr("io.open", open)
    shards = {name: tmp_path / f"fineweb_{name}_000000.bin" for name in ("train", "val")}
    for path in shards.values():
        path.write_bytes(bytes(changes.HEADER) + np.arange(50, dtype="<u2").tobytes())
    changes.vary_training((str(shards["val"]),), tmp_path)
    read = {name: np.fromfile(path, "<u2", offset=changes.HEADER).tolist() for name, path in shards.items()}
    assert read == {"train": list(range(50))[::-1], "val": list(range(50))}
