"""The arithmetic behind the evidence rules: bytes a log implies, the test against a record, counted runs."""

import math
import statistics
from collections import Counter
from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from checkers.evidence._bytes import CANONICAL_BYTES, implied
from checkers.evidence._clock import grace, of_seed, training
from checkers.evidence._runs import counted
from checkers.evidence._size import sum_of
from checkers.evidence.insignificant_improvement import p_value
from checkers.evidence.log_of_another_script import similarity
from harness.logs.trainlog import parse
from rules.records import Record, incumbent, load
from tests.checkers.evidence_cases import record_of


def run(*lines):
    return parse("train.log", "\n".join(lines))[0][0]


@given(
    per_token=st.floats(1.2, 6.0),
    tokens=st.integers(1_000_000, 160_000_000),
    bpb=st.lists(st.floats(0.5, 4.0), min_size=2, max_size=6),
)
def test_the_bytes_behind_a_log_are_tokens_times_bytes_per_token(per_token, tokens, bpb):
    lines = [f"e{i} val_loss:{b * per_token * math.log(2):.8f} val_bpb:{b:.8f}" for i, b in enumerate(bpb)]
    found = implied(run(f"val_loader:shards pattern=x tokens:{tokens}", *lines))
    assert found.bytes == pytest.approx(per_token * tokens, rel=1e-5)
    assert found.pairs == len(bpb)


def test_a_mixture_over_bytes_does_not_move_the_implied_bytes():
    plain = [
        f"e{i} val_loss:{b * 2.436 * math.log(2):.8f} val_bpb:{b:.8f}" for i, b in enumerate((1.1, 1.2, 1.3))
    ]
    mixed = "mix val_loss:1.85000000 val_bpb:0.90000000"
    found = implied(run("val_loader: tokens:62021632", *plain, mixed))
    assert found.bytes == pytest.approx(CANONICAL_BYTES, rel=1e-3)
    assert found.pairs == 3


def test_no_ratio_no_bytes():
    assert implied(run("val_loader: tokens:62021632", "final val_bpb:1.1000")) is None
    assert implied(run("final val_loss:1.8 val_bpb:1.1000")) is None


SCORES = st.lists(st.floats(0.9, 1.3), min_size=2, max_size=6)


@given(SCORES, SCORES, st.floats(0.0, 0.01))
def test_the_p_value_is_that_of_welch(values, seeds, margin):
    assume(statistics.stdev(values) > 1e-4 and statistics.stdev(seeds) > 1e-4)
    ours = p_value(values, Record(date(2026, 4, 1), 1.0, tuple(seeds)), margin)
    theirs = stats.ttest_ind([v + margin for v in values], seeds, equal_var=False, alternative="less").pvalue
    assert ours == pytest.approx(theirs, abs=2e-6)


def test_the_p_value_of_seeds_without_spread():
    record = Record(date(2026, 4, 1), 1.1, (1.1, 1.1))
    assert p_value([1.0, 1.0], record, 0.01) == 0.0
    assert p_value([1.09, 1.09], record, 0.02) == 1.0


def test_one_seed_cannot_be_tested():
    assert p_value([1.0], Record(date(2026, 4, 1), 1.1, (1.1, 1.1)), 0.0) is None
    assert p_value([1.0, 1.0], Record(date(2026, 4, 1), 1.1, ()), 0.0) is None


def test_the_record_table_is_in_order_and_its_seeds_average_to_its_scores():
    records = load()
    assert len(records) > 40
    assert [r.on for r in records] == sorted(r.on for r in records)
    for record in records:
        if len(record.seeds) > 2:
            assert sum(record.seeds) / len(record.seeds) == pytest.approx(record.bpb, abs=2.5e-3)


def test_the_incumbent_is_the_best_of_the_days_before():
    assert incumbent(date(2026, 3, 18)) is None
    assert incumbent(date(2026, 3, 19)).bpb == 1.206
    assert incumbent(date(2026, 4, 9)).bpb == 1.0822
    assert incumbent(date(2026, 4, 10)).bpb == 1.0798


def test_the_clock_may_overshoot_by_two_steps_and_at_least_a_second():
    fast = run("stopping_early: wallclock_cap train_time:600000ms step:6000/20000")
    slow = run("stopping_early: wallclock_cap train_time:600000ms step:100/20000")
    assert (training(fast).seconds, grace(fast), grace(slow)) == (600.0, 1.0, 12.0)


def test_a_total_without_its_model_is_lowered_by_the_printed_code():
    log = run("Code size: 60000 bytes", "Total submission size int6: 16050000 bytes")
    assert (sum_of(log, 20_000).printed, sum_of(log, 20_000).least) == (16_050_000, 16_010_000)
    assert sum_of(log, None).least == 16_050_000


@given(st.text(max_size=60), st.text(max_size=60))
def test_likeness_is_symmetric_and_whole_for_equals(a, b):
    one, two = Counter(a.split()), Counter(b.split())
    assert 0.0 <= similarity(one, two) <= 1.0
    assert similarity(one, two) == similarity(two, one)
    assert similarity(one, one) == 1.0


def scored(seed, **labelled):
    return "\n".join([f"seed:{seed}", *(f"{k} val_loss:1.9 val_bpb:{v:.8f}" for k, v in labelled.items())])


def test_an_ablation_beside_the_claimed_seeds_is_not_counted():
    found = counted(
        record_of(
            **{
                "seed1.log": scored(1, sliding=1.101),
                "seed2.log": scored(2, sliding=1.103),
                "ablation_seed1.log": scored(1, sliding=1.2),
                "submission.json": '{"val_bpb": 1.102, "per_seed_val_bpb": {"1": 1.101, "2": 1.103}}',
            }
        )
    )
    assert [(r.log.seed_value, r.score.bpb, r.certain) for r in found] == [(1, 1.101, True), (2, 1.103, True)]


def test_the_score_that_averages_to_the_claim_is_the_claimed_one():
    files = {f"s{s}.log": scored(s, sliding=1.1 + s / 1000, ttt=1.05 + s / 1000) for s in (1, 2, 3)}
    found = counted(record_of(**files, **{"submission.json": '{"val_bpb": 1.052}'}))
    assert [r.score.label for r in found] == ["ttt"] * 3


@pytest.mark.parametrize(
    ("claimed", "logged", "certain"),
    [("1.1249", 1.12499461, True), ("1.1249", 1.12501, False), ("1.12", 1.1275, False)],
)
def test_a_claim_may_be_cut_off_by_a_unit_of_its_last_digit(claimed, logged, certain):
    log = f"seed:1\nfinal_exact val_loss:1.9 val_bpb:{logged:.8f}"
    (found,) = counted(record_of(**{"s1.log": log, "submission.json": f'{{"val_bpb": {claimed}}}'}))
    assert found.certain is certain


def test_two_logs_of_one_seed_are_no_mean():
    files = {"train.log": scored(1, sliding=1.1), "export.log": scored(1, sliding=1.1001)}
    found = counted(record_of(**files, **{"submission.json": '{"val_bpb": 1.1001}'}))
    assert [r.log.path.rpartition("/")[2] for r in found] == ["export.log"]


def test_a_copy_of_a_log_is_counted_once():
    text = scored(1, sliding=1.1)
    found = counted(
        record_of(**{"train.log": text, "train_seed1.log": text, "submission.json": '{"val_bpb": 1.1}'})
    )
    assert len(found) == 1


def test_runs_that_no_claim_meets_are_uncertain():
    files = {
        "a.log": scored(1, sliding=1.3),
        "b.log": scored(2, sliding=1.4),
        "submission.json": '{"val_bpb": 1.1}',
    }
    assert [r.certain for r in counted(record_of(**files))] == [False, False]


def test_a_draft_counts_nothing():
    assert (
        counted(record_of(**{"a.log": scored(1, sliding=1.3), "submission.json": '{"val_bpb": null}'})) == ()
    )


def test_a_log_without_a_seed_names_none():
    stopped = "stopping_early: wallclock_cap train_time:600000ms step:6000/20000"
    assert of_seed(run(stopped)) == ""
    assert of_seed(run("seed:42", stopped)) == " (seed 42)"
