"""The bytes that a script looks up for its targets: seen as they are added up, and judged token by token."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.events import Charged, Reported, Stamped, pack_nats, pack_positions
from harness.experiments import ground as grounds
from harness.experiments import passive
from harness.experiments.bench import Ground
from harness.experiments.stages import final, stages
from harness.probes import positions, tags, watch
from harness.probes.mode import WatchMode
from harness.record import Holds
from harness.trace import Trace
from harness.world import Stream, WorldSpec, make
from harness.world.shards import write_shard
from harness.world.tokenizers import write_byte_tokenizer

VOCAB = 300
LONG = 40  # the ids below it are taken to be longer than they are


@pytest.fixture
def tokens():
    return np.random.default_rng(0).integers(4, VOCAB, 1200)


@pytest.fixture
def truth(tokens):
    return 1 + tokens % 5


def trace_of(*events):
    return Trace(tuple(Stamped(i, float(i), 0, e) for i, e in enumerate(events)))


def charged(via, numbers, site="train_gpt.py:5"):
    places = range(1, len(numbers) + 1)
    return Charged(via, site, pack_positions(places), pack_nats(numbers), float(np.sum(numbers)))


def bpb_line(nats, counted, label="final"):
    bpb = float(np.sum(nats)) / math.log(2) / float(np.sum(counted))
    return Reported(f"{label} bpb: {bpb:.6f}", None, round(bpb, 6))


def test_bytes_looked_up_for_targets_are_followed_into_their_total(tokens):
    events = []
    observer = watch.Watch(positions.Stream(tokens), events.append, watch.is_theirs(("/nowhere",)))
    table = torch.arange(VOCAB, dtype=torch.int16) % 7
    leading = torch.arange(VOCAB) % 3 == 0
    ids = torch.from_numpy(tokens)
    with WatchMode(observer.observe):
        before, targets = ids[:400].view(4, 100), ids[1:401].view(4, 100)
        counted = table[targets[:, 50:]].to(torch.float64)
        counted += (leading[targets[:, 50:]] & ~leading[before[:, 50:]]).to(torch.float64)
        total = counted.sum()
        F.cross_entropy(torch.zeros(400, VOCAB), targets.reshape(-1), reduction="none").sum()
    (seen,) = [e for e in events if e.via == "bytes"]
    expected = [k for row in range(4) for k in range(100 * row + 51, 100 * row + 101)]
    assert seen.where().tolist() == expected
    assert seen.losses().sum() == float(total)
    assert [len(e.where()) for e in events if e.via == "sum"] == [400]


def test_what_is_looked_up_elsewhere_is_no_byte_count(tokens):
    events = []
    observer = watch.Watch(positions.Stream(tokens), events.append, watch.is_theirs(("/nowhere",)))
    with WatchMode(observer.observe):
        other = torch.arange(VOCAB)[torch.randint(0, VOCAB, (64,))]
        rows = torch.zeros(VOCAB, 8)[torch.from_numpy(tokens[:64])]
        assert tags.get(other) is None
        assert tags.get(rows) is None
        other.sum(), rows.sum()
    assert not events


def test_places_handed_out_twice_are_not_shared(tokens):
    observer = watch.Watch(positions.Stream(tokens), lambda event: None, watch.is_theirs(("/nowhere",)))
    ids = torch.from_numpy(tokens[10:40])
    observer.locate(ids)[:] = -1
    assert observer.locate(ids).tolist() == list(range(10, 40))
    observer.stream = positions.Stream(tokens[10:])
    assert observer.locate(ids).tolist() == list(range(30))


@pytest.mark.parametrize(
    ("factor", "result"), [(1, Holds.HOLDS), (2, Holds.VIOLATED)], ids=["as they are", "twice as long"]
)
def test_a_score_in_bits_alone_is_explained_by_the_scripts_own_bytes(tokens, truth, factor, result):
    nats = np.linspace(2, 4, 1199)
    counted = np.where(tokens < LONG, truth * factor, truth)[1:]
    report = bpb_line(nats, counted)
    trace = trace_of(charged("sum", nats), charged("bytes", counted, "train_gpt.py:9"), report)
    ground = Ground(tokens, np.arange(4, VOCAB), truth)
    stage = final(trace, ground)
    assert stage.explained
    assert len(stage.places) == 1199
    judged = passive.denominator(stage, ground)
    assert judged.result is result
    if result is Holds.VIOLATED:
        case = judged.data["counterexample"]
        assert case["token"] < LONG
        assert case["counted"] == 2 * case["bytes"]


def test_rare_wrong_entries_convict_and_odd_places_do_not(tokens, truth):
    """A sixth of a percent too much: from one token of the table, or from places scattered over all."""
    ground, nats = Ground(tokens, np.arange(4, VOCAB), truth), np.linspace(2, 4, 1199)
    one = np.where(tokens == tokens[600], truth + 2, truth)[1:]
    scattered = truth[1:] + np.isin(np.arange(1, 1200), [100, 200, 300, 400, 500, 600])
    results = []
    for counted in (one, scattered):
        assert 1.001 < counted.sum() / truth[1:].sum() < 1.005
        report = bpb_line(nats, counted)
        stage = final(trace_of(charged("sum", nats), charged("bytes", counted), report), ground)
        results.append(passive.denominator(stage, ground).result)
    assert results == [Holds.VIOLATED, Holds.UNDECIDED]


def test_bytes_that_do_not_make_up_the_score_say_nothing(tokens, truth):
    nats = np.linspace(2, 4, 1199)
    report = bpb_line(nats, truth[1:] * 3)
    stage = final(trace_of(charged("sum", nats), charged("bytes", truth[1:] * 2), report))
    assert not stage.explained
    assert not len(stage.counted[0])


def test_a_summary_points_to_the_stages_that_were_reported_before(tokens, truth):
    ground = Ground(tokens, np.arange(4, VOCAB), truth)
    nats = [np.linspace(2, 4, 1199), np.linspace(2, 4.001, 1199)]
    reports = [bpb_line(n, truth[1:], label) for n, label in zip(nats, ("first", "second"), strict=True)]
    evaluations = [e for n, r in zip(nats, reports, strict=True) for e in (charged("sum", n), r)]
    told = [Reported(f"summary {r.line}", None, r.val_bpb) for r in reports]
    evaluations.insert(1, charged("bytes", truth[1:]))
    evaluations.insert(4, charged("bytes", truth[1:]))
    found = stages(trace_of(*evaluations, *told), ground)
    assert [s.report.line.split()[0] for s in found] == ["first", "second"]
    assert all(s.explained for s in found)


def test_two_numbers_of_two_scorers_are_no_wrong_denominator(tokens, truth):
    """A mixture's bits are printed beside the network's loss; the line before has both of the network."""
    ground, nats = Ground(tokens, np.arange(4, VOCAB), truth), np.linspace(2, 4, 1199)
    bpb = float(nats.sum()) / math.log(2) / float(truth[1:].sum())
    honest = Reported(f"roundtrip val_loss:3.000000 val_bpb:{bpb:.6f}", 3.0, bpb)
    mixed = Reported(f"final val_loss:3.000000 val_bpb:{bpb * 0.9:.6f}", 3.0, bpb * 0.9)
    events = [charged("sum", nats), honest, charged("sum", nats), mixed]
    trace = trace_of(*events)
    stage = final(trace, ground)
    assert passive.denominator(stage, ground).result is Holds.VIOLATED
    assert passive.denominator(stage, ground, stages(trace, ground)).result is Holds.UNDECIDED


def test_the_fewest_charges_that_explain_a_score_are_its_record(truth):
    """Two evaluations with nearly one mean between two reports that state bits alone."""
    first, second = np.linspace(2, 4, 1199), np.linspace(2, 4.0002, 1199)
    counts = charged("bytes", truth[1:])
    lines = [bpb_line(first, truth[1:], "first"), bpb_line(second, truth[1:], "second")]
    found = stages(
        trace_of(charged("sum", first), counts, lines[0], charged("sum", second), counts, lines[1])
    )
    assert [len(s.places) for s in found] == [1199, 1199]
    assert found[-1].nats.sum() == pytest.approx(second.sum())


@pytest.mark.parametrize(("vocabulary", "first"), [(256, 0), (260, 4)])
def test_the_ground_of_pure_bytes_is_read_off_their_description(tmp_path, vocabulary, first):
    name = f"fineweb_{vocabulary}_bpe.model"
    spec = WorldSpec(vocabulary, "bytes", name, Stream(300, seed=3), Stream(600, seed=2), 1)
    world = make(spec, root=tmp_path)
    ground = grounds.of_world(
        (str(world / "datasets/bytes/fineweb_val_000000.bin"),), world / "tokenizers" / name
    )
    assert ground.ordinary.tolist() == list(range(first, first + 256))
    assert ground.byte_counts.tolist() == [int(t >= first) for t in ground.tokens]


def test_a_byte_tokenizer_counts_one_byte_a_token_and_none_for_its_specials(tmp_path):
    """It has no sentencepiece model, only a description beside the shards."""
    shards, described = tmp_path / "fineweb_val_000000.bin", tmp_path / "fineweb_pure_byte_260.json"
    write_shard(shards, [1, 4, 259, 100, 1])
    write_byte_tokenizer(described, 260)
    ground = grounds.of_world((str(shards),), described)
    assert (ground.ordinary.min(), ground.ordinary.max(), len(ground.ordinary)) == (4, 259, 256)
    assert ground.byte_counts.tolist() == [0, 1, 1, 1, 0]
    assert ground.word_starts is None
