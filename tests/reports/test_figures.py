"""The figures that come from logs and simulation: seeds, record, curves, bytes, pipeline."""

from dataclasses import replace
from datetime import date

from test_json_v1 import FOLDER, SCRIPT, an_audit, decoded

from harness import logs, unpack
from harness.submission import Change, FileEntry
from rules.records import load

FILES = {
    SCRIPT: "import torch\nprint('x')\n",
    f"{FOLDER}/submission.json": '{"val_bpb": 1.2, "bytes_total": 15900000, "bytes_code": 50000}',
    f"{FOLDER}/train_seed42.log": "".join(
        f"step:{n}/100 val_loss:{5 - n / 50:.4f} val_bpb:{2 - n / 100:.4f} train_time:{n}ms\n"
        for n in range(0, 101, 10)
    )
    + "seed:42\nfinal_int8_zlib_roundtrip_exact val_loss:2.02 val_bpb:1.2010\n",
    f"{FOLDER}/train_seed7.log": "seed:7\nfinal_int8_zlib_roundtrip_exact val_loss:2.02 val_bpb:1.1990\n",
    f"{FOLDER}/older_seed7.log": "seed:7\nfinal_int8_zlib_roundtrip_exact val_loss:2.5 val_bpb:1.5\n",
}


def figures(**changes):
    submission = replace(
        an_audit().submission,
        entries=tuple(FileEntry(p, len(t), "a" * 40, Change.ADDED) for p, t in FILES.items()),
        reader=lambda path: FILES[path].encode(),
    )
    layers = unpack.layers(submission)
    book = logs.read(submission, layers)
    return decoded(submission=submission, layers=layers, logs=book, **changes)["figures"]


def test_each_seed_is_shown_once_with_the_score_of_the_claim():
    seeds = {s["seed"]: s["val_bpb"] for s in figures()["seeds"]}
    assert seeds == {"42": 1.2010, "7": 1.1990}


def test_the_record_is_that_of_the_day():
    latest = load()[-1]
    day = date.fromordinal(latest.on.toordinal() + 1)
    assert figures(as_of=day)["record_bpb"] == min(r.bpb for r in load())
    assert "record_bpb" not in figures(as_of=date(2020, 1, 1))


def test_curves_come_from_progress_lines():
    (curve,) = figures()["curves"]
    assert curve["x"][:3] == [0, 10, 20]
    assert curve["y"][0] == 5


def test_bytes_add_up_to_the_total():
    parts = {p["name"]: p["bytes"] for p in figures()["artifact"]}
    assert parts == {"compressed model": 15_850_000, "code": 50_000}


def test_without_logs_there_is_nothing_to_draw():
    assert decoded()["figures"] == {}
