"""The command line: exit codes, one-line errors, and files where they were asked for."""

import json
import sys

import pygit2
import pytest

import audit
from rules.rulebook import load

SCRIPT = "import torch\nprint('val_loss:', 1.0)\n"


@pytest.fixture
def golf(monkeypatch, capsys):
    """Run the command line; return exit code, standard output and standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["golf-audit", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            audit.main()
        printed = capsys.readouterr()
        return stop.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture
def record(tmp_path):
    folder = tmp_path / "2026-04-01_Tiny"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def clone(tmp_path):
    """A clone with a main branch and pull request 7, which adds one record folder."""
    repo = pygit2.init_repository(tmp_path / "clone", bare=True, initial_head="main")
    who = pygit2.Signature("a", "a@example.org", 1_775_000_000, 0)
    base = repo.create_commit("refs/heads/main", who, who, "base", tree(repo, {"README.md": "x"}), [])
    files = {"README.md": "x", "records/track_10min_16mb/2026-04-01_Tiny/train_gpt.py": SCRIPT}
    repo.create_commit("refs/pull/7/head", who, who, "add", tree(repo, files), [base])
    return tmp_path / "clone"


def tree(repo, files):
    index = pygit2.Index()
    for path, text in files.items():
        index.add(pygit2.IndexEntry(path, repo.create_blob(text.encode()), pygit2.enums.FileMode.BLOB))
    return index.write_tree(repo)


def test_help_names_every_command_and_exit_code(golf):
    code, out, _ = golf("--help")
    assert code == 0
    said = " ".join(out.split())
    for word in ("check", "sweep", "score", "rules", "report", "demo", "--version", "1 FAIL", "3 our error"):
        assert word in said


def test_version_names_the_rulebook_edition(golf):
    assert load().edition in golf("--version")[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check"], "--repo CLONE"),
        (["check", "nowhere"], "nowhere"),
        (["check", "x", "--repo", "y", "--pr", "1"], "exactly one"),
        (["check", "--repo", "nowhere", "--pr", "1"], "not a git clone"),
        (["check", "x", "--format", "pdf"], "choose from"),
        (["check", "x", "--as-of", "yesterday"], "not a date"),
        (["sweep", "--repo", "x", "--out", "y"], "--all"),
        (["score", "--results", "absent", "--precedents", "absent"], "absent"),
        (["rules", "no-such-rule"], "no rule is called"),
        (["report", "absent.json"], "absent.json"),
        (["frobnicate"], "No such command"),
        (["check", ".", "--out", "pyproject.toml/x"], "--out pyproject.toml/x"),
        (["check", ".", "--out", "pyproject.toml"], "give a folder"),
        (["sweep", "--repo", ".", "--prs", "9-5", "--out", "y"], "give 5-9"),
    ],
)
def test_bad_usage_is_exit_code_2_and_says_what_to_do(golf, arguments, says):
    code, out, err = golf(*arguments)
    assert code == 2
    assert says in err
    assert "Traceback" not in err + out


def test_a_report_that_is_not_an_audit_is_refused(golf, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    code, _, err = golf("report", tmp_path / "a.json")
    assert code == 2
    assert "a.json" in err


def test_check_writes_the_three_files_and_the_exit_code_follows_the_verdict(golf, record, tmp_path):
    code, _, _ = golf("check", record, "--no-run", "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert code == audit.EXIT_CODES[found["verdict"]]
    assert found["schema"] == 1
    assert (tmp_path / "out" / "comment.md").stat().st_size < 65_000
    assert b"<html" in (tmp_path / "out" / "report.html").read_bytes()


def test_json_on_standard_output_is_one_record_without_local_paths(golf, record, tmp_path):
    _, out, _ = golf("check", record, "--no-run", "--json")
    assert json.loads(out)["schema"] == 1
    assert str(tmp_path) not in out.replace(json.loads(out).get("command", ""), "")


def test_quiet_prints_the_verdict_only(golf, record):
    assert golf("check", record, "--no-run", "--quiet")[1].strip() in audit.EXIT_CODES


def test_a_stored_audit_can_be_rendered_again(golf, record, tmp_path):
    golf("check", record, "--no-run", "--out", tmp_path / "out")
    code, out, _ = golf("report", tmp_path / "out" / "audit.json", "--format", "md")
    assert code == 0
    assert out == (tmp_path / "out" / "comment.md").read_text()


def test_a_pull_request_and_a_sweep_of_it_agree(golf, clone, tmp_path):
    code, out, _ = golf("check", "--repo", clone, "--pr", 7, "--no-run", "--json")
    swept, _, _ = golf("sweep", "--repo", clone, "--all", "--no-run", "--jobs", 1, "--out", tmp_path / "out")
    (line,) = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    one, many = json.loads(out), json.loads(line)
    assert (one["verdict"], one["rules"]) == (many["verdict"], many["rules"])
    assert code == swept == audit.EXIT_CODES[one["verdict"]]
    assert many["pr"] == 7


def test_a_sweep_names_the_pull_request_that_the_clone_lacks(golf, clone, tmp_path):
    code, _, err = golf("sweep", "--repo", clone, "--prs", "7-8", "--no-run", "--out", tmp_path)
    assert code == 2
    assert "#8" in err


def test_a_crash_of_ours_is_a_record_with_the_verdict_error(clone, monkeypatch, tmp_path):
    def broken(*args):
        raise RuntimeError("boom")

    monkeypatch.setattr(audit, "audit", broken)
    task = audit.sweep.Task(7, "sha", "key")
    found = json.loads(audit.audit_head(clone, audit.Options(run=False), task))
    assert found["verdict"] == "ERROR"
    assert "boom" in json.dumps(found)
    assert found["pr"] == 7


def test_every_rule_can_be_shown(golf):
    for slug in load().rules:
        code, out, _ = golf("rules", slug)
        assert code == 0
        assert slug in out


def test_the_demo_is_looked_at_for_its_small_text_alone(golf, tmp_path):
    code, _, _ = golf("demo", "--no-run", "--quiet", "--out", tmp_path)
    assert code == 0
    told = json.loads((tmp_path / "audit.json").read_text())["rules"]
    assert [r["rule"] for r in told if r["verdict"] in ("FAIL", "REVIEW")] == ["truncated-validation"]
