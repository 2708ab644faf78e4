"""Where a script looks for its data is read off its source, and our data is shown there."""

import zlib
from base64 import b64encode
from dataclasses import replace

import pytest

from harness import needs, workspace
from harness.discover import discover
from harness.folder import load_folder
from harness.submission import Change, FileEntry, Origin, Submission
from harness.unpack import layers
from harness.world import Stream

SCRIPT = """
import os
data_dir = os.environ.get("DATA_DIR", "{root}")
train = os.path.join(data_dir, "datasets", "fineweb10B_sp512", "fineweb_train_*.bin")
"""


def found(path, root, *more):
    folder = path / "2026-01-01_Tiny"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(SCRIPT.format(root=root) + "\n".join(more))
    entry = load_folder(folder)
    sources = layers(entry)
    return entry, needs.find(entry, sources, discover(sources), {}, Stream(tokens=300, seed=3))


@pytest.mark.parametrize("root", ["./other/clone/data", "clone/data/"])
def test_a_data_folder_of_another_name_below_the_script(tmp_path, root, monkeypatch):
    monkeypatch.setenv("GOLF_AUDIT_CACHE", str(tmp_path / "cache"))
    entry, wanted = found(tmp_path, root)
    (tmp_path / "run").mkdir()
    place = workspace.prepare(tmp_path / "run", entry, wanted)
    shards = place.cwd / root / "datasets" / "fineweb10B_sp512" / "fineweb_val_000000.bin"
    assert shards.is_file()
    assert (place.data / "fineweb_val_sp512.bin").resolve() == shards.resolve()


def test_shards_beside_one_another_named_for_their_tokenizer(tmp_path, monkeypatch):
    monkeypatch.setenv("GOLF_AUDIT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "2026-01-01_Tiny"
    folder.mkdir()
    text = (
        'import glob\nfor split in ("train", "val"):\n    glob.glob(f"data/fineweb_bpe512_{split}_*.bin")\n'
    )
    (folder / "train_gpt.py").write_text(text)
    entry = load_folder(folder)
    sources = layers(entry)
    wanted = needs.find(entry, sources, discover(sources), {}, Stream(tokens=300, seed=3))
    (tmp_path / "run").mkdir()
    place = workspace.prepare(tmp_path / "run", entry, wanted)
    assert wanted.vocabulary == 512
    for split in ("train", "val"):
        shards = sorted((place.cwd / "data").glob(f"fineweb_bpe512_{split}_*.bin"))
        assert ["fineweb10B_sp512" in str(shard.resolve()) for shard in shards[:1]] == [True]


def test_a_folder_is_never_linked_outside_the_run(tmp_path):
    _, wanted = found(tmp_path, "../../../../../../etc/data", 'x = "a/../../../../data/"')
    (tmp_path / "cwd").mkdir()
    workspace._link_folders(tmp_path / "cwd", ("a/../../data", "../data", *wanted.folders), tmp_path)
    assert list((tmp_path / "cwd").iterdir()) == []


@pytest.mark.parametrize(
    ("root", "shown"),
    [
        ("/workspace/golf/data", True),
        ("/workspace/golf", True),  # joined with "datasets" in the next lines
        ("/tmp", False),
        ("/usr/share/data", False),
        ("/a/../etc/data", False),
    ],
)
def test_absolute_folders_are_shown_unless_they_hide_the_system_or_the_run(tmp_path, root, shown):
    _, wanted = found(tmp_path, root, f'val = "{root}/datasets/fineweb10B_sp512/fineweb_val_*.bin"')
    assert (root in wanted.roots) is shown


def test_a_vocabulary_with_a_slot_that_the_tokenizer_lacks_has_a_second_choice(tmp_path):
    entry, first = found(
        tmp_path, "data", 'size = int(os.environ.get("VOCAB_SIZE", 513))  # one for the mask'
    )
    sources = layers(entry)
    knobs = discover(sources)
    second = needs.find(entry, sources, knobs, {}, Stream(tokens=300, seed=3), choice=1)
    assert (first.vocabulary, first.choices, second.vocabulary) == (513, 2, 512)


def test_bytes_are_told_by_the_name_of_the_data_set(tmp_path):
    """A script for raw bytes need not have a setting for its vocabulary."""
    folder = tmp_path / "2026-01-01_Bytes"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(
        'import os\npath = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_byte260")\n'
    )
    entry = load_folder(folder)
    sources = layers(entry)
    wanted = needs.find(entry, sources, discover(sources), {}, Stream(tokens=300, seed=3))
    assert (wanted.vocabulary, wanted.env.get("DATA_PATH")) == (260, None)


@pytest.mark.parametrize("names", [True, False])
def test_byte_counts_lie_beside_the_tokens_only_for_scripts_that_name_them(tmp_path, names):
    """Their name would match a pattern for the tokens."""
    reads = 'sidecar = "fineweb_val_bytes_*.bin"' if names else ""
    _, wanted = found(tmp_path, "data", 'data = "datasets/fineweb10B_sp512_caseops_v1"', reads)
    assert {w.dataset: w.sidecar for w in wanted.worlds}["fineweb10B_sp512_caseops_v1"] is names


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from base import train", ["WIDTH"]),
        ("import based", []),
        ("spec_from_file_location('base', 'records/a/b/old.py')", ["DEPTH"]),
        ("# begun from records/a/b/old.py", []),
        ("subprocess.run(['python3', str(root / 'base.py')])", ["DEPTH", "WIDTH"]),
        ("subprocess.run(['nvidia-smi'])  # of base.py", ["DEPTH"]),
    ],
)
def test_settings_of_an_unchanged_script_that_is_imported_or_loaded_count(tmp_path, line, names):
    entry, _ = found(tmp_path, "./data", line)
    files = {"base.py": b"os.environ.get('WIDTH')", "records/a/b/old.py": b"os.environ.get('DEPTH')"}
    entries = tuple(FileEntry(path, len(text), "", Change.PRESENT) for path, text in files.items())
    beside = Submission(Origin.COMMIT, "", entries, None, (), None, reader=files.__getitem__)
    brought = needs.loaded(replace(entry, around=lambda text: beside), layers(entry))
    assert sorted(knob.name for knob in discover(brought)) == names


def test_settings_of_an_unchanged_script_that_is_packed_count(tmp_path):
    """Records start the packed record that they build upon, with other settings."""
    packed = b64encode(zlib.compress(b"import os\nos.environ.get('DEPTH')\n"))
    text = f"import base64, zlib\nexec(zlib.decompress(base64.b64decode({packed!r})))\n".encode()
    entry, _ = found(tmp_path, "./data", "runpy.run_path('records/a/b/old.py')")
    entries = (FileEntry("records/a/b/old.py", len(text), "", Change.PRESENT),)
    beside = Submission(Origin.COMMIT, "", entries, None, (), None, reader=lambda path: text)
    brought = needs.loaded(replace(entry, around=lambda text: beside), layers(entry))
    assert [knob.name for knob in discover(brought)] == ["DEPTH"]


def test_unchanged_scripts_lie_beside_the_submission_and_never_over_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GOLF_AUDIT_CACHE", str(tmp_path / "cache"))
    entry, wanted = found(tmp_path, "./data")
    files = {entry.entry_script: b"other", "train_gpt.py": b"baseline", "../out.py": b"outside"}
    entries = tuple(FileEntry(path, len(text), "", Change.PRESENT) for path, text in files.items())
    beside = Submission(Origin.COMMIT, "", entries, None, (), None, reader=files.__getitem__)
    (tmp_path / "run").mkdir()
    place = workspace.prepare(tmp_path / "run", entry, replace(wanted, beside=beside))
    assert (place.repo / "train_gpt.py").read_bytes() == b"baseline"
    assert place.script.read_bytes() == entry.read(entry.entry_script)
    assert not (place.repo.parent / "out.py").exists()


def test_the_script_that_downloads_the_data_is_there_and_has_nothing_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("GOLF_AUDIT_CACHE", str(tmp_path / "cache"))
    entry, wanted = found(tmp_path, "./data")
    for own in (False, True):  # a head may bring a data folder of its own
        root = tmp_path / f"run{own}"
        (root / "repo" / "data").mkdir(parents=True) if own else root.mkdir()
        place = workspace.prepare(root, entry, wanted)
        for folder in (place.cwd, place.repo):
            assert "the data are here" in (folder / "data" / "cached_challenge_fineweb.py").read_text()


@pytest.mark.parametrize(
    ("default", "folder"),
    [("", "fineweb10B_sp1024"), ("/root/clone/data/datasets/fineweb10B_sp512", "fineweb10B_sp512")],
)
def test_shards_that_a_command_names_without_their_folder_are_those_of_the_data_set(
    tmp_path, default, folder
):
    lines = f'import os\nos.environ.get("DATA_PATH", "{default}")\nos.environ.get("TRAIN_FILES")\n'
    entry = tmp_path / "2026-01-01_Tiny"
    entry.mkdir()
    (entry / "train_gpt.py").write_text(lines)
    sources = layers(load_folder(entry))
    env = {"TRAIN_FILES": "fineweb_val_*.bin"}
    knobs, stream = discover(sources), Stream(tokens=300, seed=3)
    wanted = needs.find(load_folder(entry), sources, knobs, env, stream)
    assert wanted.env["TRAIN_FILES"] == f"./data/datasets/{folder}/fineweb_val_*.bin"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('path = os.environ["DATA_PATH"]', {"DATA_PATH": "./data/datasets/fineweb10B_sp512"}),
        ('os.environ["DATA_PATH"] = "data/own"', {}),
        ('path = os.environ.get("DATA_PATH")', {}),
    ],
)
def test_a_path_that_must_be_told_is_told(tmp_path, line, told):
    _, wanted = found(tmp_path, "./data", line)
    assert wanted.env == told


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ('"--train-pattern", required=True, action="append"', "fineweb10B_sp512/fineweb_train_*.bin"),
        ('"--eval-files", required=True', "fineweb10B_sp512/fineweb_val_*.bin"),
        ('"--data-path", required=True', "fineweb10B_sp512"),
        ('"--out-dir", required=True', "./out"),
        ('"--train-files"', None),
        ('"--colour", required=True', None),
    ],
)
def test_a_path_that_the_command_line_must_tell_is_told(tmp_path, option, told):
    _, wanted = found(tmp_path, "./data", f"parser.add_argument({option})")
    name = option.split('"')[1]
    data = "./data/datasets/" if told and told.startswith("fineweb") else ""
    assert wanted.arguments == ({name: f"{data}{told}"} if told else {})
