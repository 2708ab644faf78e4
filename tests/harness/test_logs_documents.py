"""Reading metadata, READMEs and commands, and what the LogBook makes of them."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.folder import load_folder
from harness.logs import Measure, commands, metadata, read, readme
from harness.logs.records import Place
from harness.logs.settings import settings_of
from harness.submission import Change, FileEntry, Origin, Submission


def claims(value):
    text = json.dumps(value, indent=1)
    return {(c.measure, c.seed): c.value for c in metadata.parse("submission.json", text)[1]}


@pytest.mark.parametrize(
    "table",
    [
        {"seed_results": {"42": {"val_bpb": 1.1}}},
        {"seed_results": {"seed_42": {"val_bpb": 1.1}}},
        {"seeds": [{"seed": 42, "val_bpb": 1.1}]},
        {"seed_42": {"val_bpb_exact": 1.1}},
        {"per_seed_val_bpb": {"42": 1.1}},
        {"val_bpb_seeds": {"seed_42": 1.1}},
    ],
)
def test_the_score_of_a_seed_in_each_dialect(table):
    assert claims({"val_bpb": 1.2, **table})[Measure.BPB, 42] == 1.1


def test_the_claims_of_the_whole():
    found = claims(
        {"val_bpb": "1.1400", "val_loss": 2.9, "bytes_total": 15_900_000, "bytes_code": 47_642, "seed": 7}
    )
    assert found[Measure.BPB, None] == 1.14
    assert found[Measure.TOTAL_BYTES, None] == 15_900_000
    assert found[Measure.CODE_BYTES, None] == 47_642


def test_a_claim_knows_its_line():
    _, found = metadata.parse("submission.json", '{\n "name": "x",\n "val_bpb": 1.5\n}')
    assert [(c.place.line, c.digits) for c in found] == [(3, 1)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda s: (
            st.lists(s) | st.dictionaries(st.text() | st.sampled_from(["seed", "val_bpb", "seeds", "42"]), s)
        ),
    )
)
def test_any_json_is_read_or_refused(value):
    try:
        loaded, _ = metadata.parse("submission.json", json.dumps(value))
    except metadata.MetadataError:
        assert not isinstance(value, dict) or value != value
    else:
        assert isinstance(loaded, dict)


@given(st.text(max_size=2000))
def test_any_text_is_read_or_refused_as_json(text):
    with suppress(metadata.MetadataError):
        metadata.parse("submission.json", text)


TABLE = """
| Seed | Roundtrip BPB | **Sliding BPB** | Artifact | Eval time |
|------|-----:|:-----:|-----|-----|
| 42   | 1.1310 | **1.1110** | 15,700,400 | 374.6s |
| 1337 | 1.1320 | 1.1120 ± 0.001 | 15.7 MB | 6 min |
| **Mean** | 1.1315 | **1.1115** | | |
"""


def test_a_table_with_one_row_for_each_seed():
    found = readme.claims("README.md", TABLE)
    bpb = {(c.seed, c.key): c.value for c in found if c.measure is Measure.BPB}
    assert bpb[42, "Sliding BPB"] == 1.111
    assert bpb[1337, "Sliding BPB"] == 1.112
    assert bpb[None, "Sliding BPB"] == 1.1115
    assert [c.value for c in found if c.measure is Measure.TOTAL_BYTES] == [15_700_400, 15_700_000]
    assert [c.value for c in found if c.measure is Measure.EVAL_SECONDS] == [374.6, 360.0]


def test_a_table_with_one_column_for_each_seed():
    text = "| Metric | Seed 1 | Seed 2 | Mean |\n|---|---|---|---|\n| val_bpb | 1.1 | 1.2 | 1.15 |\n"
    found = {c.seed: c.value for c in readme.claims("README.md", text)}
    assert found == {1: 1.1, 2: 1.2, None: 1.15}


def test_a_headline_in_prose():
    (claim,) = readme.claims("README.md", "**val_bpb: 1.0810** (3-seed mean)")
    assert (claim.value, claim.digits, claim.place.line) == (1.081, 4, 1)


def test_differences_and_deviations_are_no_scores():
    text = "| Seed | Δ BPB | std BPB |\n|---|---|---|\n| 1 | 0.005 | 0.001 |\n"
    assert readme.claims("README.md", text) == ()


@given(st.text(alphabet="|-: seedbpbMean0123456789.\n*`MiB", max_size=600))
def test_any_table_is_read(text):
    for claim in readme.claims("README.md", text):
        assert claim.value >= 0


README = """Run it:
```bash
export TTT_ENABLED=1
SEED=42 DATA_PATH=./data \\
torchrun --standalone --nproc_per_node=8 train_gpt.py --fast
```
and without:
```
SEED=1 python3 train_gpt.py
```
"""


def test_commands_carry_what_their_block_exports():
    first, second = commands.commands("README.md", README, shell=False)
    assert first.env == {"TTT_ENABLED": "1", "SEED": "42", "DATA_PATH": "./data"}
    assert (first.script, first.processes, first.arguments) == ("train_gpt.py", 8, ("--fast",))
    assert (second.env, second.place.line) == ({"SEED": "1"}, 9)


LISTED = "Settings:\n```bash\nTRAIN_FILES=val_*.bin\nLR=0.02, WD=0.1\n\n# evaluation\nSTRIDE=64\n```\n"


@pytest.mark.parametrize(
    ("run", "settings"),
    [
        ("", {"LR": "0.02"}),
        ("```\nSEED=7 torchrun train_gpt.py\n```\n", {"LR": "0.02", "SEED": "7"}),
        ("```\nLR=0.02 python train_gpt.py\n```\n", {"LR": "0.02"}),
    ],
)
def test_settings_listed_in_a_block_of_their_own_are_those_of_the_run(run, settings):
    (command,) = commands.commands("README.md", LISTED + run, shell=False)
    listed = {"TRAIN_FILES": "val_*.bin", "WD": "0.1", "STRIDE": "64"}
    assert command.env == {**listed, **settings}
    assert command.script == ("train_gpt.py" if run else None)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (LISTED + "```\nLR=0.5 python train_gpt.py\n```\n", [{"LR": "0.5"}]),
        (LISTED + LISTED, []),
        ("```\nA=1\nB=2\nC=3\nor E=4\nD=5\n```\n", []),
        ("A=1\nB=2\nC=3\nD=4\n```\nE=5\n```\n", []),
        ("```\nA=1 # the first\nB=2 # another\nC=3 # a third\nD=4 # a fourth\n```\n", []),
    ],
)
def test_settings_of_other_runs_and_lists_of_options_are_not_those_of_the_run(text, settings):
    assert [c.env for c in commands.commands("README.md", text, shell=False)] == settings


def test_a_shell_script_exports_to_every_later_command():
    text = 'export LR="0.1"\nif true; then\n  EPOCHS=3 python train_gpt.py\nfi\n'
    (command,) = commands.commands("run.sh", text, shell=True)
    assert command.env == {"LR": "0.1", "EPOCHS": "3"}


@given(st.text(max_size=1500))
def test_any_script_is_read(text):
    commands.commands("run.sh", text, shell=True)
    commands.commands("README.md", text, shell=False)


def book(files):
    entries = tuple(FileEntry(p, len(t), "0" * 40, Change.ADDED) for p, t in sorted(files.items()))
    folder = "records/track_10min_16mb/a"
    return read(
        Submission(Origin.COMMIT, "x", entries, folder, (folder,), None, reader=lambda p: files[p].encode())
    )


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("widths:704,704,704,704,704 heads:4", {"widths": "704,704,704,704,704", "heads": "4"}),
        ("mults=2.0,1.5,2.0", {"mults": "2.0,1.5,2.0"}),
        ("a=1,b=2,c:3", {"a": "1", "b": "2", "c": "3"}),
        ("params:1,234,567 x:1, 2", {"params": "1", "x": "1"}),
    ],
)
def test_numbers_joined_by_commas_are_one_setting(line, settings):
    found = settings_of(line, Place("a.log", 1, line))
    assert {s.name: s.value for s in found} == settings


def log(seed, bpb, **settings):
    lines = [f"{k}: {v}" for k, v in settings.items()]
    return "\n".join([*lines, f"seed:{seed}", f"final_exact val_loss:1.9 val_bpb:{bpb:.8f}"])


def test_the_headline_is_the_run_nearest_to_the_claim():
    folder = "records/track_10min_16mb/a"
    files = {
        f"{folder}/a.log": log(1, 1.2, lr="0.1", only_here="yes"),
        f"{folder}/b.log": log(2, 1.1, lr="0.2"),
        f"{folder}/submission.json": '{"val_bpb": 1.1}',
        f"{folder}/requirements.txt": "val_bpb: 9.9",
        "records/track_10min_16mb/b/other.log": log(3, 1.0),
    }
    found = book(files)
    assert found.headline.path.endswith("b.log")
    settings = found.hyperparameters()
    assert (settings["lr"].value, settings["only_here"].value) == ("0.2", "yes")
    assert str(settings["lr"].place) == f"{folder}/b.log:1"
    assert [x.seed_value for x in found.elsewhere] == [3]


@pytest.mark.parametrize("open_value", ["null", "0.0", "-1.0"])
def test_a_score_left_open_is_not_taken_from_the_prose(open_value):
    folder = "records/track_10min_16mb/a"
    found = book(
        {
            f"{folder}/submission.json": f'{{"val_bpb": {open_value}}}',
            f"{folder}/README.md": "val_bpb: 1.2244 is the baseline",
        }
    )
    assert found.claimed_bpb() is None


def test_broken_metadata_is_a_problem_and_not_a_crash():
    found = book({"records/track_10min_16mb/a/submission.json": '{"val_bpb": '})
    assert found.metadata is None
    assert [p.path for p in found.problems] == ["records/track_10min_16mb/a/submission.json"]


SETTINGS = {"MODEL_DIM": 512, "USE_GATE": True, "LR": 0.02, "MODE": "fast", "NAMES": ["a"], "note": "x"}
MORE = {f"SETTING_{i}": i for i in range(5)}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (json.dumps({**SETTINGS, **MORE}), 9),
        (json.dumps({"seed": 1, "env": {**SETTINGS, **MORE}}), 9),
        (json.dumps(SETTINGS), None),  # an aside
        (json.dumps([{**SETTINGS, **MORE}]), None),
        ("{", None),
        ("[" * 100_000, None),
    ],
)
def test_a_file_of_settings_is_one_by_what_it_has(text, count):
    found = commands.settings_file("config.json", text)
    assert (len(found.env) if found else None) == count
    if found:
        assert {found.env[k] for k in ("MODEL_DIM", "USE_GATE", "LR", "MODE")} == {"512", "1", "0.02", "fast"}
        assert "NAMES" not in found.env


def test_settings_of_a_file_are_those_of_the_runs_that_do_not_contradict_them(tmp_path):
    folder = tmp_path / "2026-01-01_Tiny"
    folder.mkdir()
    (folder / "train_gpt.py").write_text("import os\n")
    (folder / "README.md").write_text(
        "```\nSEED=1 torchrun train_gpt.py\n```\n```\nLR=0.5 torchrun train_gpt.py\n```\n"
    )
    (folder / "config.json").write_text(json.dumps({**SETTINGS, **MORE}))
    plain, other = read(load_folder(folder)).commands
    assert (plain.env["MODEL_DIM"], plain.env["SEED"], other.env) == ("512", "1", {"LR": "0.5"})
    (folder / "second.json").write_text(json.dumps({**SETTINGS, **MORE, "LR": 0.1}))
    assert [c.env for c in read(load_folder(folder)).commands] == [{"SEED": "1"}, {"LR": "0.5"}]
