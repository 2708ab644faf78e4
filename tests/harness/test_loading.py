"""Pull requests, commits and folders as submissions: what the change is, and what can be read of it."""

from __future__ import annotations

import pickle
from datetime import date
from pathlib import Path

import pygit2
import pytest

from harness.folder import load_folder
from harness.gitsource import load_commit, load_pull, pull_numbers
from harness.submission import Change, Origin, SubmissionError
from tests.harness.gitrepo import LINK, SUBMODULE, TRAINS, Repo

R = "records/track_10min_16mb/2026-04-01_Mine"
OLD = "records/track_10min_16mb/2026-03-01_Old"


DEFINES = TRAINS.partition("if __name__")[0] + "\nSTATE = main()\n"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "clone")


@pytest.fixture
def start(repo: Repo) -> pygit2.Oid:
    files = {"README.md": "the challenge", "train_gpt.py": TRAINS, f"{OLD}/train_gpt.py": TRAINS + "# old\n"}
    return repo.commit(files, ref="refs/heads/main")


def changes(submission) -> dict[str, Change]:
    return {e.path: e.change for e in submission.entries}


def test_a_pull_request_is_its_difference_to_the_merge_base(repo, start):
    repo.pull(7, {f"{R}/train_gpt.py": TRAINS, f"{R}/submission.json": "{}", "README.md": "edited"}, start)
    repo.commit({"later.txt": "main moved on"}, start, ref="refs/heads/main")
    got = load_pull(repo.path, 7)
    assert changes(got) == {
        f"{R}/train_gpt.py": Change.ADDED,
        f"{R}/submission.json": Change.ADDED,
        "README.md": Change.MODIFIED,
    }
    assert (got.origin, got.pr, got.label) == (Origin.PULL_REQUEST, 7, "PR #7")
    assert (got.folder, got.folders, got.entry_script) == (R, (R,), f"{R}/train_gpt.py")
    assert got.base == str(start)
    assert date.fromisoformat(got.submitted_on) == date(2026, 4, 2)
    assert got.text(f"{R}/train_gpt.py") == TRAINS
    assert pull_numbers(repo.path) == (7,)


@pytest.mark.parametrize("how", ["merge", "branch"])
def test_a_merged_pull_request_still_shows_what_it_changed(repo, start, how):
    first = repo.commit({f"{R}/train_gpt.py": TRAINS}, start)
    head = repo.pull(7, {f"{R}/README.md": "text"}, first)
    side = repo.commit({"unrelated": "x"}, start)
    merge = repo.commit({f"{R}/train_gpt.py": TRAINS, f"{R}/README.md": "text"}, side, head)
    tip = merge if how == "merge" else repo.commit({"after": "y"}, merge)
    repo.point("refs/heads/main", tip)
    got = load_pull(repo.path, 7)
    assert changes(got) == {f"{R}/train_gpt.py": Change.ADDED, f"{R}/README.md": Change.ADDED}
    assert got.base == str(start)
    assert changes(load_commit(repo.path, str(first))) == {f"{R}/train_gpt.py": Change.ADDED}


def test_a_head_that_is_a_merge_of_main_itself_changed_nothing(repo, start):
    head = repo.pull(7, {f"{R}/train_gpt.py": TRAINS}, start)
    merge = repo.commit({f"{R}/train_gpt.py": TRAINS}, start, head, ref="refs/heads/main")
    repo.point("refs/pull/8/head", merge)
    got = load_pull(repo.path, 8)
    assert (got.entries, got.folder, got.entry_script) == ((), None, None)
    assert changes(load_commit(repo.path, str(merge))) == {f"{R}/train_gpt.py": Change.ADDED}


def test_a_pull_request_taken_over_by_fast_forward_is_compared_with_its_parent(repo, start):
    head = repo.pull(7, {f"{R}/train_gpt.py": TRAINS}, start)
    repo.point("refs/heads/main", head)
    assert changes(load_pull(repo.path, 7)) == {f"{R}/train_gpt.py": Change.ADDED}


def test_a_head_without_common_history_is_compared_with_main_of_its_day(repo, start):
    files = {"README.md": "the challenge", "train_gpt.py": TRAINS, f"{R}/train_gpt.py": TRAINS}
    repo.pull(7, files)
    repo.commit({"later.txt": "x"}, start, ref="refs/heads/main")
    assert changes(load_pull(repo.path, 7)) == {
        f"{R}/train_gpt.py": Change.ADDED,
        f"{OLD}/train_gpt.py": Change.DELETED,
    }


def test_a_branch_that_took_main_in_is_compared_with_what_it_took(repo, start):
    mine = repo.commit({f"{R}/train_gpt.py": TRAINS}, start)
    newer = repo.commit({"newer.txt": "of main"}, start, ref="refs/heads/main")
    repo.pull(7, {"newer.txt": "of main"}, mine, newer)
    assert changes(load_pull(repo.path, 7)) == {f"{R}/train_gpt.py": Change.ADDED}


def test_an_updated_record_keeps_its_unchanged_files(repo, start):
    record = {f"{R}/train_gpt.py": TRAINS, f"{R}/train.log": "val_bpb:1.1"}
    old = repo.commit(record, start, ref="refs/heads/main")
    repo.pull(7, {f"{R}/README.md": "new words"}, old)
    got = load_pull(repo.path, 7)
    assert changes(got)[f"{R}/train.log"] is Change.PRESENT
    assert got.entry_script == f"{R}/train_gpt.py"
    assert [e.path for e in got.files(".log")] == [f"{R}/train.log"]


def test_deleted_files_are_listed_but_cannot_be_read(repo, start):
    repo.pull(7, {f"{OLD}/train_gpt.py": None, "train_gpt.py": TRAINS + "# mine\n"}, start)
    got = load_pull(repo.path, 7)
    assert changes(got) == {f"{OLD}/train_gpt.py": Change.DELETED, "train_gpt.py": Change.MODIFIED}
    assert (got.folder, got.entry_script) == (None, "train_gpt.py")
    with pytest.raises(SubmissionError, match="not a file of this submission"):
        got.read(f"{OLD}/train_gpt.py")


def test_links_submodules_and_missing_blobs_are_entries_with_a_reason(repo, start):
    gone = pygit2.Oid(hex="d" * 40)
    odd = {
        f"{R}/train_gpt.py": TRAINS,
        f"{R}/link": ("train_gpt.py", LINK),
        f"{R}/module": (start, SUBMODULE),
    }
    head = repo.commit(odd, start)
    tree = pygit2.Index()
    tree.read_tree(repo.repo[head].tree)
    builder = repo.repo.TreeBuilder(repo.repo[head].tree[R])
    oid = _insert_unchecked(repo, builder, "weights.bin", gone)
    repo.point("refs/pull/7/head", _with_folder(repo, head, oid))
    got = load_pull(repo.path, 7)
    entries = {e.path: e for e in got.entries}
    assert entries[f"{R}/link"].symlink
    assert got.read(f"{R}/link") == b"train_gpt.py"
    assert "submodule" in entries[f"{R}/module"].problem
    assert "does not hold" in entries[f"{R}/weights.bin"].problem
    with pytest.raises(SubmissionError, match="does not hold"):
        got.read(f"{R}/weights.bin")
    assert f"{R}/weights.bin" not in [e.path for e in got.files()]


def _insert_unchecked(repo: Repo, builder, name: str, oid: pygit2.Oid) -> pygit2.Oid:
    """Write a tree that names a blob nobody has, as a partial clone does."""
    raw = repo.repo[builder.write()].read_raw() + f"100644 {name}\0".encode() + bytes.fromhex(str(oid))
    return repo.repo.odb.write(pygit2.enums.ObjectType.TREE, raw)


def _with_folder(repo: Repo, head: pygit2.Oid, folder: pygit2.Oid) -> pygit2.Oid:
    tree, commit = folder, repo.repo[head].peel(pygit2.Commit)
    parts = R.split("/")
    for depth in range(len(parts) - 1, -1, -1):
        above = commit.tree["/".join(parts[:depth])] if depth else commit.tree
        builder = repo.repo.TreeBuilder(above)
        builder.insert(parts[depth], tree, pygit2.enums.FileMode.TREE)
        tree = builder.write()
    return repo.repo.create_commit(None, commit.author, commit.author, "x", tree, list(commit.parent_ids))


def test_several_records_are_all_named_and_the_complete_new_one_is_primary(repo, start):
    other = "records/track_10min_16mb/2026-05-01_Other"
    files = {f"{other}/README.md": "x", f"{R}/train_gpt.py": TRAINS, f"{R}/submission.json": "{}"}
    repo.pull(7, {**files, f"{OLD}/train_gpt.py": TRAINS}, start)
    got = load_pull(repo.path, 7)
    assert got.folders == (OLD, R, other)
    assert (got.folder, got.entry_script) == (R, f"{R}/train_gpt.py")


def test_a_copy_of_an_old_record_is_not_the_submitted_one(repo, start):
    copy = "records/track_10min_16mb/2026-02-01_Copy"
    old = repo.commit({f"{OLD}/submission.json": "{}", f"{OLD}/train.log": "x"}, start, ref="refs/heads/main")
    copied = {f"{copy}/train_gpt.py": TRAINS + "# old\n", f"{copy}/submission.json": "{}"}
    repo.pull(7, {**copied, f"{copy}/train.log": "x", f"{R}/train_gpt.py": TRAINS + "# new\n"}, old)
    assert load_pull(repo.path, 7).folder == R


def test_a_record_that_trains_comes_before_a_longer_one_that_analyses(repo, start):
    analysis = "records/track_10min_16mb/2026-05-01_Analysis"
    files = {f"{analysis}/{n}": TRAINS for n in ("prove.py", "out.log", "README.md")}
    first = repo.commit({f"{R}/train_gpt.py": TRAINS}, start)
    repo.pull(7, files, first)
    assert load_pull(repo.path, 7).folder == R


def test_of_two_records_of_one_day_the_one_that_came_last_is_primary(repo, start):
    later = f"{R}_Again"
    first = {
        f"{R}/{n}": f"{n} {TRAINS}" for n in ("train_gpt.py", "submission.json", "train.log", "README.md")
    }
    earlier = repo.commit(first, start)
    second = {f"{later}/train_gpt.py": TRAINS, f"{later}/submission.json": "{}"}
    repo.pull(7, second, repo.commit({f"{R}/README.md": "edited"}, repo.commit(second, earlier)))
    assert load_pull(repo.path, 7).folder == later


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["records/mine/train_gpt.py", "records/mine/img/a.png"], "records/mine"),
        ([f"records/track_10min_16mb/{R}/train_gpt.py"], f"records/track_10min_16mb/{R}"),
        ([f"parameter-golf/{R}/train_gpt.py"], f"parameter-golf/{R}"),
        (["mine/submission.json", "mine/train.py"], "mine"),
        (["notes/submission.json"], None),
        (["records/track_10min_16mb/stray.log", f"{R}/train_gpt.py"], R),
    ],
)
def test_record_folders_in_odd_places(repo, start, paths, folder):
    repo.pull(7, dict.fromkeys(paths, TRAINS), start)
    assert load_pull(repo.path, 7).folder == folder


@pytest.mark.parametrize(
    ("files", "script"),
    [
        ({"plot.py": "import torch\n", "train_v3.py": TRAINS}, "train_v3.py"),
        ({"train_gpt.py": "exec(open('x').read())", "helper.py": TRAINS}, "train_gpt.py"),
        ({"run.py": TRAINS, "parse_logs.py": "print('val_bpb')"}, "run.py"),
        ({"train_gpt.py": "", "README.md": "nothing"}, None),
        ({"README.md": "no script"}, None),
        ({"run.py": TRAINS.replace("val_bpb", "loss")}, None),
        ({"run.py": TRAINS.replace("val_bpb", "loss"), "scores.py": "x / math.log(2)"}, "run.py"),
        ({"train.py": TRAINS.replace("val_bpb", "loss")}, "train.py"),
        ({"pack.py": "import lzma\nprint('exec(')"}, None),
        ({"train_gpt_mlx.py": "import mlx.core as mx\n" + TRAINS, "train_gpt.py": TRAINS}, "train_gpt.py"),
        ({"train_lib.py": DEFINES, "run.py": "for step in range(3):\n    step\n" + TRAINS}, "run.py"),
        ({"train_lib.py": DEFINES, "run.py": DEFINES + "main()\n"}, "run.py"),
        ({"train_lib.py": DEFINES, "run.py": DEFINES + "if __name__ == '__main__':\n    main()\n"}, "run.py"),
        ({"train_lib.py": DEFINES, "run.py": DEFINES + "raise SystemExit(main())\n"}, "run.py"),
        ({"train_lib.py": DEFINES, "run.py": DEFINES + "torch.manual_seed(0)\n"}, "train_lib.py"),
        ({"train_lib.py": DEFINES, "run.py": "print 'old'\n" + TRAINS}, "run.py"),
    ],
)
def test_the_entry_script_is_found_by_what_it_does(repo, start, files, script):
    repo.pull(7, {f"{R}/{name}": text for name, text in files.items()}, start)
    assert load_pull(repo.path, 7).entry_script == (f"{R}/{script}" if script else None)


def test_renaming_everything_changes_neither_script_nor_folder_choice(repo, start):
    for number, name in ((1, "Alpha"), (2, "Zeta")):
        folder = f"records/track_10min_16mb/{name}"
        repo.pull(
            number, {f"{folder}/train_gpt.py": TRAINS, f"{folder}/a.log": "x", "zz/b.py": TRAINS}, start
        )
        got = load_pull(repo.path, number)
        assert (got.folder, got.entry_script) == (folder, f"{folder}/train_gpt.py")


def test_texts_in_any_encoding_are_read(repo, start):
    files = {"a.txt": b"\xef\xbb\xbfmark", "b.txt": "naïve".encode("latin-1"), "c.txt": b"x\r\ny"}
    repo.pull(7, files, start)
    got = load_pull(repo.path, 7)
    assert [got.text(n) for n in files] == ["mark", "naïve", "x\r\ny"]


def test_a_name_that_is_not_utf8_is_listed_printably(repo, start):
    blob = repo.blob("x")
    raw = repo.repo[start].tree.read_raw() + b"100644 zz\xff.txt\0" + bytes.fromhex(str(blob))
    tree = repo.repo.odb.write(pygit2.enums.ObjectType.TREE, raw)
    who = repo.repo[start].author
    repo.point("refs/pull/7/head", repo.repo.create_commit(None, who, who, "x", tree, [start]))
    (entry,) = load_pull(repo.path, 7).entries
    entry.path.encode("utf-8")
    assert entry.path.startswith("zz")


def test_git_submissions_can_be_rebuilt_elsewhere(repo, start):
    repo.pull(7, {f"{R}/train_gpt.py": TRAINS}, start)
    got = pickle.loads(pickle.dumps(load_pull(repo.path, 7)))
    assert got.text(f"{R}/train_gpt.py") == TRAINS


def test_bad_requests_say_what_to_do(repo, start, tmp_path):
    with pytest.raises(SubmissionError, match=r"no head of pull request 9; fetch it"):
        load_pull(repo.path, 9)
    with pytest.raises(SubmissionError, match="not a git clone"):
        load_pull(tmp_path / "nowhere", 9)
    with pytest.raises(SubmissionError, match="does not hold commit abcdef12"):
        load_commit(repo.path, "abcdef12")
    with pytest.raises(SubmissionError, match="not a commit id"):
        load_commit(repo.path, "HEAD~1; rm")
    with pytest.raises(SubmissionError, match="does not hold commit"):
        load_commit(repo.path, str(repo.blob("no commit")))


def test_pull_request_refs_of_other_layouts_are_found(repo, start):
    head = repo.pull(7, {f"{R}/train_gpt.py": TRAINS}, start)
    repo.point("refs/remotes/origin/pr/8", head)
    repo.point("refs/remotes/upstream/pull/9/head", head)
    repo.point("refs/pull/10/merge", head)
    assert pull_numbers(repo.path) == (7, 8, 9)


def test_a_folder_is_read_from_disk_without_its_absolute_path(tmp_path):
    folder = tmp_path / "My_Record"
    (folder / "logs").mkdir(parents=True)
    (folder / "train_gpt.py").write_text(TRAINS)
    (folder / "logs" / "a.log").write_text("val_bpb:1.0")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"\0")
    got = load_folder(folder)
    assert changes(got) == {
        "My_Record/logs/a.log": Change.PRESENT,
        "My_Record/train_gpt.py": Change.PRESENT,
    }
    assert (got.folder, got.entry_script, got.label) == ("My_Record", "My_Record/train_gpt.py", "My_Record")
    assert str(tmp_path) not in repr(got)
    assert got.read("My_Record/logs/a.log") == b"val_bpb:1.0"
    assert got.entries[1].oid == str(pygit2.hash(TRAINS.encode()))


def test_a_folder_never_leads_outside_itself(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "record"
    folder.mkdir()
    (folder / "inside.txt").write_text("inside")
    (folder / "good").symlink_to("inside.txt")
    (folder / "bad").symlink_to("../secret.txt")
    (folder / "dangling").symlink_to("nothing")
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to("..")
    got = load_folder(folder)
    assert got.read("record/good") == b"inside"
    problems = {e.path: e.problem for e in got.entries if e.problem}
    assert set(problems) == {"record/bad", "record/dangling", "record/loop", "record/up"}
    for path in (*problems, "record/../secret.txt", "/etc/passwd"):
        with pytest.raises(SubmissionError):
            got.read(path)


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_what_is_not_a_record_folder_is_refused_in_one_line(tmp_path, kind):
    path = tmp_path / "thing"
    if kind == "file":
        path.write_text("x")
    elif kind == "empty":
        path.mkdir()
    with pytest.raises(SubmissionError) as caught:
        load_folder(path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_unchanged_scripts_are_there_for_those_that_start_or_import_them(repo, start):
    other = "records/track_10min_16mb/2026-03-02_Other/train_gpt.py"
    start = repo.commit({other: TRAINS}, start, ref="refs/heads/main")
    repo.pull(7, {f"{R}/train_gpt.py": TRAINS + "BASE = '2026-03-01_Old'\n"}, start)
    got = load_pull(repo.path, 7)
    beside = got.around(got.text(got.entry_script))
    assert {e.path: beside.read(e.path) for e in beside.entries} == {
        "train_gpt.py": TRAINS.encode(),
        f"{OLD}/train_gpt.py": (TRAINS + "# old\n").encode(),
    }
    assert set(changes(got)) == {f"{R}/train_gpt.py"}
