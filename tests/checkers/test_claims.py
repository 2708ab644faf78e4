"""The table of claims: each source's numbers under names that stand side by side."""

from dataclasses import replace

from checkers import claims
from tests.checkers.evidence_cases import record_of


def log(seed, bpb):
    size = f"Total submission size int8+zlib: {1000 + seed} bytes"
    return f"seed:{seed}\n{size}\nfinal_exact val_loss:1.9 val_bpb:{bpb:.8f}"


def test_a_claimed_mean_stands_beside_the_mean_of_the_logs():
    files = {f"s{seed}.log": log(seed, 1.1 + seed / 1000) for seed in (1, 2, 3)}
    subject = record_of(**files, **{"submission.json": '{"val_bpb": 1.102}'})
    told = claims.table(subject.logs)["log"]
    assert abs(told["val_bpb (mean of the seeds)"] - 1.102) < 1e-9
    assert abs(told["val_loss (mean of the seeds)"] - 1.9) < 1e-9
    assert told["bytes_total (largest of the seeds)"] == 1003
    assert told["val_bpb by seed"] == {"1": 1.101, "2": 1.102, "3": 1.103}


def test_one_seed_has_no_mean():
    subject = record_of(**{"s1.log": log(1, 1.1)})
    assert "val_bpb (mean of the seeds)" not in claims.table(subject.logs)["log"]


def test_of_two_runs_of_a_seed_the_one_that_was_claimed_counts():
    files = {"s1.log": log(1, 1.2), "s1_older.log": log(1, 1.5), "s2.log": log(2, 1.22)}
    subject = record_of(**files, **{"submission.json": '{"val_bpb": 1.21}'})
    assert claims.table(subject.logs)["log"]["val_bpb by seed"] == {"1": 1.2, "2": 1.22}


def test_the_size_of_the_shipped_script_is_recomputed():
    subject = record_of(**{"train_gpt.py": "x = 1\n", "submission.json": '{"bytes_code": 99}'})
    made = replace(subject.submission, entry_script="records/track_10min_16mb/a/train_gpt.py")
    table = claims.table(subject.logs, submission=made)
    assert table["recomputed"] == {"bytes_code": 6}
    assert table["submission.json"]["bytes_code"] == 99
