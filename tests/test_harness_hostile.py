"""Hostile clones and folders: names that climb, trees that nest, contents that lie."""

from __future__ import annotations

import pygit2
import pytest

from harness.folder import MAX_FILES, load_folder
from harness.gitsource import load_pull
from harness.submission import SubmissionError
from harness.unpack import layers
from tests.harness.gitrepo import LINK, TRAINS, Repo
from tests.harness.memory import submission

R = "records/track_10min_16mb/2026-04-01_Mine"


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path / "clone")


@pytest.fixture
def start(repo):
    return repo.commit({"README.md": "x"}, ref="refs/heads/main")


def point_at_tree(repo: Repo, start: pygit2.Oid, raw: bytes) -> None:
    """Make pull request 7 of a tree that git itself would refuse to write."""
    tree = repo.repo.odb.write(pygit2.enums.ObjectType.TREE, raw)
    who = repo.repo[start].author
    repo.point("refs/pull/7/head", repo.repo.create_commit(None, who, who, "x", tree, [start]))


@pytest.mark.parametrize("name", [b"..", b".git", b"..\\x", b"a\nb.py", b"\x1b[31m.py", b"x" * 4000])
def test_names_that_climb_or_paint_are_only_names(repo, start, name):
    blob = bytes.fromhex(str(repo.blob(TRAINS)))
    point_at_tree(repo, start, b"100644 " + name + b"\0" + blob)
    found = load_pull(repo.path, 7)
    assert [e.path for e in found.entries if e.path != "README.md"] == [name.decode()]
    assert all(layer.path == found.entry_script for layer in layers(found))


def test_a_link_is_its_own_text_and_leads_nowhere(repo, start):
    files = {f"{R}/train_gpt.py": "exec(open('secret').read())", f"{R}/secret": ("/etc/passwd", LINK)}
    repo.pull(7, files, start)
    found = load_pull(repo.path, 7)
    assert found.read(f"{R}/secret") == b"/etc/passwd"
    assert "root:" not in "".join(layer.text for layer in layers(found))


@pytest.mark.parametrize(
    "name", ["../../secret.py", "/secret.py", "a/../../../../secret.py", "~/secret.py", "\0"]
)
def test_scripts_read_only_files_of_their_submission(tmp_path, name):
    (tmp_path / "secret.py").write_text("print('secret')")
    folder = tmp_path / "record"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(
        f"import runpy\nexec(open({name!r}).read())\nrunpy.run_path({name!r})\n"
    )
    found = layers(load_folder(folder))
    assert "secret')" not in "".join(layer.text for layer in found[1:])
    assert all(layer.problem for layer in found[1:])


def test_modules_that_import_each_other_end():
    files = {"train_gpt.py": "import a\n", "a.py": "import b, train_gpt\n", "b.py": "import a\n"}
    assert len(layers(submission(files))) == 3


def test_a_file_that_runs_itself_ends():
    script = (
        "import subprocess, sys\nexec(open(__file__).read())\nsubprocess.run([sys.executable, __file__])\n"
    )
    assert len(layers(submission({"train_gpt.py": script}))) == 1


def test_deep_trees_are_walked(repo, start):
    path = "/".join(["d"] * 300)
    repo.pull(7, {f"{R}/train_gpt.py": TRAINS, f"{R}/{path}/x.txt": "deep"}, start)
    assert load_pull(repo.path, 7).read(f"{R}/{path}/x.txt") == b"deep"


def test_a_folder_of_too_many_files_is_refused(tmp_path):
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(SubmissionError, match="give the record folder itself"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000,
        "x = " + "(" * 90 + ")" * 90,
        "if a:\n pass\n" + "elif a:\n pass\n" * 4000 + "exec(x)\n",
        "".join(" " * i + "if a:\n" for i in range(99)) + " " * 99 + "exec(x)\n",
        "x = " + "+".join(["a"] * 20_000),
        "x = " + "lambda: " * 2000 + "1",
        "exec(" + "f'{" * 40 + "1" + "}'" * 40 + ")",
        "\ufeff\ufeffexec('1')",
        "exec('\\ud800' * 9)",
        "# -*- coding: rot13 -*-\nexec('1')",
        "exec(b'\\xff\\xfe\\x00' * 99)",
    ],
)
@pytest.mark.timeout(60)
def test_texts_that_strain_a_parser_give_layers(text):
    found = layers(submission({"train_gpt.py": text}))
    assert found[0].text in {text, text.removeprefix("\ufeff")}
    assert all(layer.text.encode("utf-8") is not None for layer in found)
