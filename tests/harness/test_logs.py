"""Reading logs: every dialect gives its records, each with its line, and no text breaks the reader."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.logs import SizeKind, Stage, TimingKind
from harness.logs.trainlog import parse


def runs(*lines):
    return parse("train.log", "\n".join(lines))[0]


def one(*lines):
    (log,) = runs(*lines)
    return log


@pytest.mark.parametrize(
    ("line", "label", "loss", "bpb", "seconds"),
    [
        (
            "final_int8_zlib_roundtrip_exact val_loss:2.07269931 val_bpb:1.22436570",
            "final_int8_zlib_roundtrip_exact",
            2.07269931,
            1.2243657,
            None,
        ),
        (
            "quantized_ttt_phased val_loss:2.31693417 val_bpb:1.07838361 eval_time:359749ms",
            "quantized_ttt_phased",
            2.31693417,
            1.07838361,
            359.749,
        ),
        (
            "ttt_sliding:done val_loss=1.891102 val_bpb=1.120020 elapsed=407.5s",
            "ttt_sliding:done",
            1.891102,
            1.12002,
            407.5,
        ),
        (
            "legal_ttt val_loss=1.994966 val_bpb=1.003814 time=2107.3s",
            "legal_ttt",
            1.994966,
            1.003814,
            2107.3,
        ),
        (
            "final_slot val_loss:1.5852 val_bpb:0.9388 steps:16 lr:0.008 time:311848ms",
            "final_slot",
            1.5852,
            0.9388,
            311.848,
        ),
        (
            "ppm_mixer val_bpb:0.99646089 eval_time:353917ms order=4 H=0.9",
            "ppm_mixer",
            None,
            0.99646089,
            353.917,
        ),
        ("  Quantized BPB:      1.039674", "quantized", None, 1.039674, None),
        ("val_bpb: 2.0916", "", None, 2.0916, None),
        (
            "[default0]:quantized val_loss:2.81828849 val_bpb:1.09104730",
            "quantized",
            2.81828849,
            1.0910473,
            None,
        ),
        (
            "1776144163.319 quantized_ttt val_loss:2.77 val_bpb:1.07325147",
            "quantized_ttt",
            2.77,
            1.07325147,
            None,
        ),
        (
            "2026-04-30T20:16:31Z quantized_ttt val_loss:2.31 val_bpb:1.05849788",
            "quantized_ttt",
            2.31,
            1.05849788,
            None,
        ),
    ],
)
def test_a_final_score_in_its_dialect(line, label, loss, bpb, seconds):
    (score,) = one("step:0/20000 val_loss:6.93 val_bpb:4.10", line).finals
    assert (score.label, score.loss, score.bpb, score.eval_seconds) == (label, loss, bpb, seconds)
    assert score.place.line == 2
    assert score.place.excerpt in line


@pytest.mark.parametrize(
    "line",
    [
        "ttt_chunk [1/1893] bpb=1.161909 time=0.5s",
        "sliding_eval [ 10.6%] 12832/121136 windows running_bpb=1.140463",
        "prequant_ttt:epoch 1/21 val_bpb=1.087252 lr=0.000500 time=60.8s",
        "ngram_pass2:done bpb=0.131069 (p1=0.279215, improvement=+0.1481) elapsed=437.0s",
        "final_int6_lzma_gap_from_ema val_loss:+0.00783698 val_bpb:+0.00464150",
        "val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path=./fineweb_1024_bpe.model",
        "ttt_improvement: 0.033393 bpb",
        "Baseline BPB:  1.008719",
    ],
)
def test_a_score_under_way_or_of_something_else_is_no_final(line):
    assert one("step:0/20000 val_loss:6.93 val_bpb:4.10", line).finals == ()


def test_best_in_a_label_is_not_an_estimate():
    log = one(
        "step:0/2 val_loss:6.9 val_bpb:4.1", "online_best_agree_exact val_loss:1.87570205 val_bpb:1.11089935"
    )
    assert [s.bpb for s in log.finals] == [1.11089935]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("step:4000/20000 val_loss:2.1 val_bpb:1.2577 train_time:467214ms step_avg:116.80ms", 4000),
        ("4000/20000 val_loss: 3.0122 val_bpb: 1.0977", 4000),
        ("step  1000 | val_loss 2.2204 | val_bpb:1.1173", 1000),
    ],
)
def test_a_score_at_a_step_is_progress(line, step):
    (score,) = one(line).scores
    assert (score.stage, score.step) == (Stage.PROGRESS, step)


@pytest.mark.parametrize(
    ("line", "kind", "size"),
    [
        ("Total submission size int6+lzma: 15868157 bytes", SizeKind.TOTAL, 15868157),
        ("Total submission size quantized+brotli: 16,042,632 bytes", SizeKind.TOTAL, 16042632),
        ("Total Trinity submission size: 13522696 bytes", SizeKind.TOTAL, 13522696),
        ("Total submission size: 3782555 bytes (3.78 MB)", SizeKind.TOTAL, 3782555),
        ("Artifact: 15,602,610 bytes (14.88 MB)", SizeKind.ARTIFACT, 15602610),
        ("Serialized model: 106047497 bytes", SizeKind.RAW, 106047497),
        (
            "Serialized model int8+zlib: 12735468 bytes (payload:17178912 raw_torch:17224025)",
            SizeKind.MODEL,
            12735468,
        ),
        ("serialized_model_int8_zlib:12339367 bytes (payload:17551040)", SizeKind.MODEL, 12339367),
        ("Code size: 74 bytes", SizeKind.CODE, 74),
        ("Code size (compressed): 46322 bytes", SizeKind.CODE, 46322),
        ("Code size (uncompressed): 181283 bytes", SizeKind.CODE_RAW, 181283),
    ],
)
def test_a_size_in_its_dialect(line, kind, size):
    (found,) = one(line).sizes
    assert (found.kind, found.bytes) == (kind, size)


@pytest.mark.parametrize(
    ("line", "kind", "seconds"),
    [
        ("total_eval_time:359.7s", TimingKind.EVAL_TOTAL, 359.7),
        ("gptq:reserving 10s, effective=590000ms", TimingKind.RESERVE, 10.0),
        ("GPTQ:collected 66 Hessians in 8.3s", TimingKind.CALIBRATION, 8.3),
        ("gptq:calibrated 68 layers in 3.5s", TimingKind.CALIBRATION, 3.5),
        ("Training complete in 590s (1856 steps)", TimingKind.TRAIN, 590.0),
        ("prequant_ttt:done total_time=523.6s", TimingKind.ADAPTATION, 523.6),
    ],
)
def test_a_duration_in_its_dialect(line, kind, seconds):
    log = one("step:1/2 train_loss:6.9 train_time:1ms", line)
    assert (kind, seconds) in [(t.kind, t.seconds) for t in log.timings]


def test_the_clock_that_stopped_training():
    log = one("stopping_early: wallclock_cap train_time:600078ms step:6812/20000")
    assert (log.stop.seconds, log.stop.step, log.stop.iterations) == (600.078, 6812, 20000)
    log = one("stopping_early: wallclock_cap train_time: 590090ms step: 5930/20000")
    assert (log.stop.seconds, log.stop.step) == (590.09, 5930)


def test_minutes_of_a_training_step():
    log = one("4500/20000 train_loss: 2.9916 train_time: 9.7m tok/s: 6051732")
    assert log.last_step.seconds == pytest.approx(582.0)


def test_the_settings_a_run_prints():
    log = one(
        "train_loader:dataset:fineweb10B_sp1024 train_shards:80",
        "val_loader:shards pattern=./fineweb_val_*.bin tokens:62021632",
        "world_size:8 grad_accum_steps:1",
        "  matrix_lr: 0.022",
        "seed:1337",
        "step:1/20000 train_loss:6.9 train_time:144ms",
    )
    assert (log.seed_value, log.world_size, log.train_shards, log.val_tokens) == (1337, 8, 80, 62021632)
    assert (log.settings["matrix_lr"].value, log.settings["matrix_lr"].place.line) == ("0.022", 4)


def test_a_seed_that_only_the_name_of_the_file_gives():
    ((log,), _) = parse("logs/train_seed42.log", "step:1/2 train_loss:6.9 train_time:1ms")
    assert log.seed_value == 42


def test_two_runs_in_one_file_keep_their_own_settings():
    text = [
        f"seed:{seed}\nlr:{lr}\nstep:0/2 val_loss:6.9 val_bpb:4.1\nfinal_exact val_loss:1.9 val_bpb:{bpb}"
        for seed, lr, bpb in ((1, "0.1", "1.1111111"), (2, "0.2", "1.2222222"))
    ]
    first, second = parse("train.log", "\n".join(text))[0]
    assert (first.seed_value, first.settings["lr"].value, first.finals[-1].bpb) == (1, "0.1", 1.1111111)
    assert (second.seed_value, second.settings["lr"].value, second.finals[-1].bpb) == (2, "0.2", 1.2222222)


def test_a_line_said_again_counts_again_unless_it_only_warns():
    said = ("warn: slow", "seed: 1", "Total submission size: 5 bytes", "final val_bpb: 1.1")
    log = one(*said, "warn: slow", "final val_bpb: 1.1", "Total submission size: 5 bytes", "seed: 1")
    assert [s.place.line for s in log.scores] == [4, 6]
    assert [s.place.line for s in log.sizes] == [3, 7]
    assert log.settings["seed"].place.line == 2


def test_a_line_that_says_nothing_may_say_something_with_another_number():
    log = one(
        "step:10/10 val_loss:1.3 val_bpb:1.3",
        "pass 1 val_bpb:1.25",
        "pass 2 val_bpb:1.24",
        "Total submission size: 15/12",
        "Total submission size: 15/16",
        "width_1: 5",
        "width_2: 6",
        "worker 7 took 3 files",
        "worker 8 took 4 files",
    )
    assert [s.bpb for s in log.scores] == [1.3, 1.24]
    assert [s.bytes for s in log.sizes] == [15]
    assert (log.settings["width_1"].value, log.settings["width_2"].value) == ("5", "6")


def test_a_setting_is_that_of_each_run_that_prints_it_again():
    logs = runs(*("Hyperparameters:", "lr: 0.1", "final val_bpb: 1.1") * 2)
    assert [log.settings["lr"].place.line for log in logs] == [2, 5]


def test_a_launcher_that_reports_each_run_as_json():
    text = [
        f'=== Seed {seed} ===\n{{\n  "status": "OK",\n  "val_bpb": {bpb},\n  "val_loss": 1.9,\n'
        '  "tail": "step:0/9 val_loss:6.9 val_bpb:4.1\\nstep:4/9 val_loss:2 val_bpb:1.3\\n"\n}'
        for seed, bpb in ((1, "1.1111111"), (2, "1.2222222"))
    ]
    first, second = parse("train.log", "\n".join(text))[0]
    assert (first.seed_value, [s.bpb for s in first.finals]) == (1, [1.1111111])
    assert (second.seed_value, [s.bpb for s in second.finals]) == (2, [1.2222222])


SCRIPT = [
    '"""A script."""',
    "import os",
    "import math",
    "from pathlib import Path",
    "val = 'val_bpb:1.0'",
    "seed = 9",
]


def test_the_script_a_log_prints_is_source_and_not_evidence():
    log = one(
        *SCRIPT, "=" * 100, "Running Python 3.12", "seed:7", "final_exact val_loss:1.9 val_bpb:1.1234567"
    )
    assert log.source == "\n".join(SCRIPT)
    assert (log.seed_value, [s.bpb for s in log.finals]) == (7, [1.1234567])


def test_a_script_between_two_rules_below_the_hyperparameters():
    log = one(
        "Hyperparameters:", "  seed: 7", "=" * 80, *SCRIPT, "=" * 80, "Running Python 3.12", "val_bpb: 1.5"
    )
    assert (log.source_line, log.source.splitlines()[0]) == (4, SCRIPT[0])


def test_a_traceback_is_kept_even_where_no_run_is():
    logs, crashes = parse("train.log", "warming up\nTraceback (most recent call last):\n  boom")
    assert logs == ()
    assert [c.line for c in crashes] == [2]


@given(st.text(max_size=4000))
def test_any_text_is_read(text):
    logs, crashes = parse("any.log", text)
    lines = text.replace("\r", "\n").count("\n") + 1
    for log in logs:
        assert 1 <= log.first <= log.last <= lines
    assert all(1 <= c.line <= lines for c in crashes)


WORDS = st.sampled_from(
    [
        *("step:", "0/20000", "val_loss:", "val_bpb:", "1.2345", "seed:", "42", "import os", "\n", " ", "ms"),
        *("Total submission size", "Code size:", "15,999,999", "bytes", "nan", "\u221e", "=" * 80),
        "stopping_early: wallclock_cap train_time:",
    ]
)


@given(st.lists(WORDS, max_size=120).map("".join))
def test_any_mixture_of_log_words_is_read(text):
    for log in parse("any.log", text)[0]:
        assert all(s.bpb is None or s.bpb >= 0 for s in log.scores)
        assert all(s.bytes >= 0 for s in log.sizes)


@pytest.mark.parametrize(
    "piece", ["=" * 90 + "\n", "a:b " * 400 + "\n", "val_bpb:1." * 300 + "\n", "x" * 100_000, " " * 99_999]
)
def test_reading_takes_time_linear_in_the_length(piece):
    def seconds(text):
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            parse("any.log", text)
            best = min(best, time.process_time() - start)
        return best

    count = max(1, 150_000 // len(piece))
    short, long = seconds(piece * count), seconds(piece * (4 * count))
    assert long < 10 * short + 0.2
