"""A last line that repeats a score is told from the scores that are nearly equal to it."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness.events import Charged, Reported, Scrambled, Stamped, pack_nats, pack_positions
from harness.experiments.bench import Ground
from harness.experiments.stages import final
from harness.experiments.trials import roundtrip
from harness.outcome import scores
from harness.probes import reports
from harness.record import Holds
from harness.trace import Trace

PLACES = np.arange(1, 101, dtype=np.int32)
RUNNING = Reported("ttt_progress: batch 2/2 val_loss: 9.0062", 9.0062, None)
LAST = "quantized_ttt val_loss:9.00621001 val_bpb:3.02645474"


def charge(mean, line):
    nats = np.full(len(PLACES), mean)
    return Charged("sum", f"train_gpt.py:{line}", pack_positions(PLACES), pack_nats(nats), float(nats.sum()))


def stage(*events):
    found = final(Trace(tuple(Stamped(n, float(n), 0, e) for n, e in enumerate(events))))
    assert found.explained
    return found


@pytest.mark.parametrize("diagnostic", [9.00620917, 9.00621270])
def test_a_score_is_the_running_mean_it_rounds_to_and_no_neighbour_with_more_digits(diagnostic):
    line = f"diagnostic val_loss:{diagnostic:.8f} val_bpb:3.02645446"
    ahead = charge(diagnostic, 5), Reported(line, diagnostic, 3.02645446)
    found = stage(*ahead, charge(9.00621001, 9), RUNNING, Reported(LAST, 9.00621001, 3.02645474))
    assert found.how == "sum at train_gpt.py:9"


def test_a_score_that_is_repeated_to_the_digit_is_that_one():
    told = Reported(LAST, 9.00621001, 3.02645474)
    found = stage(charge(9.00621001, 5), told, charge(9.00619, 9), RUNNING, told)
    assert found.how == "sum at train_gpt.py:5"


def test_charges_that_progress_lines_took_explain_a_score_that_is_near_one_before_them():
    """The lines state each batch, and the last line of all has no charges of its own."""
    ahead = (
        charge(9.00620917, 5),
        Reported("diagnostic val_loss:9.00620917 val_bpb:3.02645446", 9.00620917, 3.02645446),
    )
    batches = []
    for part in np.array_split(np.linspace(9.0055, 9.00692002, len(PLACES)), 4):
        places = PLACES[len(batches) // 2 * 25 :][:25]
        loss = Charged("sum", "train_gpt.py:9", pack_positions(places), pack_nats(part), float(part.sum()))
        batches += [loss, Reported("progress: batch_bpb:2.99", None, 2.99)]
    found = stage(*ahead, *batches, Reported(LAST, 9.00621001, 3.02645474))
    assert found.how == "sum at train_gpt.py:9"
    assert len(found.places) == 100


@pytest.mark.parametrize(
    "summary",
    ["pre_bpb=3.0264 post_bpb=3.0265 sliding_bpb=3.0262", "exact base_bpb:3.02641234 mixed_bpb:3.02622345"],
)
def test_a_line_that_names_several_scores_repeats_the_one_made_last(summary):
    first = charge(9.0062, 5), Reported("pre_quant val_loss:9.0062 val_bpb:3.0264", 9.0062, 3.0264)
    last = charge(9.0056, 9), Reported("sliding val_loss:9.0056 val_bpb:3.0262", 9.0056, 3.0262)
    found = stage(*first, *last, reports.parse(summary))
    assert found.how == "sum at train_gpt.py:9"


def test_charges_near_the_bits_per_byte_that_lack_the_loss_stated_afterwards_explain_nothing():
    """Half of the places were seen; their mean makes up the bits per byte to a hundredth, by chance."""
    nats, bpb = np.full(50, 3.46), round(3.45 / math.log(2) / 2, 4)
    seen = Charged("sum", "train_gpt.py:9", pack_positions(PLACES[:50]), pack_nats(nats), float(nats.sum()))
    events = [
        seen,
        Reported(f"chunk 2/2 bpb={bpb}", None, bpb),
        Reported(f"done val_loss=3.4500 val_bpb={bpb}", 3.45, bpb),
    ]
    ground = Ground(np.arange(101), np.arange(101), np.full(101, 2))
    found = final(Trace(tuple(Stamped(n, float(n), 0, e) for n, e in enumerate(events))), ground)
    assert not found.explained


def test_a_line_that_states_a_loss_states_one_score():
    assert reports.several("final val_loss:9.0062 val_bpb:3.0264 (was bpb 3.1)") == []
    assert reports.several("post_bpb=3.0265 delta_bpb=0.0001") == []


def test_a_round_trip_compares_losses_with_losses():
    first = stage(charge(9.0062, 5), Reported("pre val_loss:9.0062 val_bpb:3.0264", 9.0062, 3.0264))
    alone = replace(first, report=Reported("sliding_bpb=3.0264", None, 3.0264))
    wiped = SimpleNamespace(of=lambda kind: [(1, Scrambled(2))])
    trials = SimpleNamespace(base=first, stage=lambda stream: (wiped, alone))
    assert roundtrip(trials, 3).result is Holds.HOLDS


def test_what_a_run_reports_is_the_score_made_last_and_not_what_a_summary_names_first():
    text = "pre_quant val_loss:9.0062 val_bpb:3.0264\nsliding val_loss:9.0056 val_bpb:3.0262\n"
    for summary in ("pre_bpb=3.0264 sliding_bpb=3.0262", "exact pre_bpb:3.02641234 sliding_bpb:3.02622345"):
        assert scores(text + summary)[0] == {"val_bpb": 3.0262, "val_loss": 9.0056}
    assert scores(text + "best final bpb=3.0262")[0] == {"val_bpb": 3.0262}
