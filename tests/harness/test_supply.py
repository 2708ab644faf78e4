"""Data at paths that only a failure, or a search in vain, tells of."""

import glob
from pathlib import Path

import pytest

from harness import needs, supply
from harness.ladder import Attempt, Ladder
from harness.outcome import Ending
from harness.record import Outcome
from harness.sought import Sought
from harness.world import Stream, WorldSpec, make
from tests.harness.test_runner import SCRIPT, run

WORLD = WorldSpec(
    vocabulary=260, dataset="fineweb10B_byte260", val=Stream(300, seed=3), train=Stream(900, seed=2)
)


@pytest.mark.parametrize(
    ("blocker", "unfound", "path"),
    [
        (
            'RuntimeError: NOT_FOUND: "/work/own.model": No such file or directory at a.py:3',
            (),
            "/work/own.model",
        ),
        ("FileNotFoundError: No files found for pattern: ./d/x_val_*.bin at a.py:3", (), "d/x_val_*.bin"),
        ("FileNotFoundError: No such file or directory: '/mnt/shards'", (), "/mnt/shards"),
        ("ValueError: need at least one array at a/b.py:3", ("/d/x_*.bin", "/d/y_*.bin"), "/d/x_*.bin"),
        ("ValueError: need at least one array", ("/d/bytes_*.bin", "cache", "sub/x.pt"), None),
        ("FileNotFoundError: No such file or directory: '/usr/x.model'", (), None),
        ("FileNotFoundError: No such file or directory: '../../../x.bin'", (), None),
        ("FileNotFoundError: No such file or directory: 'out/final_model.pt'", (), None),
        (
            "FileNotFoundError: No such file or directory: '/work/logs/a-b.txt' at a.py:3",
            (),
            "/work/logs/",
        ),
        ("RuntimeError: shape '[4, 128]' is invalid for model /d/own.model", (), None),
    ],
)
def test_what_is_missing(blocker, unfound, path):
    assert supply.missing(blocker, unfound) == path


@pytest.fixture
def place(tmp_path):
    """A run's folder of data, with one data set, and what the script needs."""
    world = make(WORLD, root=tmp_path / "cache")
    root = tmp_path / "run"
    (root / "data" / "datasets").mkdir(parents=True)
    (root / "data" / "datasets" / WORLD.dataset).symlink_to(world / "datasets" / WORLD.dataset)
    (root / "cwd").mkdir()
    return root, needs.Needs(260, (WORLD,), roots=("/author/golf/data",))


def provide(place, path, links=None):
    root, wanted = place
    known = dict.fromkeys(wanted.roots, root / "data") if links is None else links
    return supply.provide(path, wanted, root, root / "cwd", known)


def test_shards_of_another_name_are_found_by_their_pattern(place):
    links = provide(place, "own/tokens_train_*.bin")
    assert links == {"/author/golf/data": place[0] / "data"}
    assert [Path(p).name for p in glob.glob(str(place[0] / "cwd/own/tokens_train_*.bin"))] == [
        "tokens_train_000000.bin"
    ]


def test_an_absolute_folder_is_shown_with_the_folders_already_shown_in_it(place):
    links = provide(place, "/author/golf/shards_val_*.bin")
    assert list(links) == ["/author/golf"]
    shown = links["/author/golf"]
    assert (shown / "data").resolve() == (place[0] / "data").resolve()
    assert (shown / "shards_val_000000.bin").exists()


def test_a_path_in_a_folder_already_shown_is_made_there(place):
    links = provide(place, "/author/golf/data/mine")
    assert list(links) == ["/author/golf/data"]
    assert (place[0] / "data/mine/fineweb_val_000000.bin").exists()


def test_a_log_finds_its_folder_empty(place):
    links = provide(place, "/author/golf/logs/")
    assert list(links["/author/golf/logs"].iterdir()) == []
    provide(place, "made/by/hand/")
    assert (place[0] / "cwd/made/by/hand").is_dir()


def test_nothing_is_written_into_the_cache(place, tmp_path):
    before = sorted(tmp_path.joinpath("cache").rglob("*"))
    links = provide(place, f"/author/golf/data/datasets/{WORLD.dataset}/other_val_*.bin")
    assert sorted(tmp_path.joinpath("cache").rglob("*")) == before
    assert list(links) == ["/author/golf/data"]


def test_searches_in_vain_are_told_the_last_first(tmp_path):
    sought = Sought()
    (tmp_path / "there_1.bin").touch()
    for pattern in ("a_*.bin", "there_*.bin", "b_*.bin", "a_*.bin"):
        sought.hook("glob.glob", (str(tmp_path / pattern), False))
    sought.hook("open", (str(tmp_path / "result.bin"), "wb", 0))
    sought.hook("pathlib.Path.glob", (tmp_path, "c_*.bin"))
    assert [Path(p).name for p in sought.unfound()] == ["c_*.bin", "a_*.bin", "b_*.bin"]


def test_what_was_supplied_stays_and_is_not_asked_for_again():
    ladder, first = Ladder({}), Attempt("default")
    ending = Ending(Outcome.CRASHED, "ValueError: need at least one array", {}, (), unfound=("/d/x_*.bin",))
    second = ladder.next(first, ending)
    third = ladder.next(second, ending)
    assert (second.lacking, third.lacking, third.alike) == (("/d/x_*.bin",), ("/d/x_*.bin",), 8)


@pytest.mark.slow
def test_a_script_with_its_data_at_paths_put_together_as_it_runs(tmp_path):
    text = SCRIPT.replace("FAIL", "pass")
    text = text.replace('"./data/datasets/fineweb10B_sp512"', '"/".join(["", "disk", "shards"])')
    text = text.replace('"./data/tokenizers/fineweb_512_bpe.model"', '"/disk/spm" + ".model"')
    text = text.replace("    FAIL", "    pass").replace(
        "pass\n", 'print(step, file=open("/disk/logs/run.txt", "a"))\n'
    )
    record = run(tmp_path, text)
    assert record.outcome is Outcome.COMPLETED, record.notes
    assert len(record.notes) > 2  # the first rung died without them
