"""The GitHub Action and the pre-commit hook, run as far as they run without GitHub."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from report_samples import HERE

from reports import ci

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
HOOK = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]

FAKE = """
import json, pathlib, shutil, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
out.mkdir(parents=True)
pathlib.Path({calls!r}).open("a").write(json.dumps(sys.argv[1:]) + "\\n")
name = "pass_read" if "good" in sys.argv[2] else "fail_run"
shutil.copy({samples!r} + "/" + name + ".json", out / "audit.json")
(out / "comment.md").write_text("comment on " + sys.argv[2])
sys.exit(0 if name == "pass_read" else 1)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A stand-in for golf-audit that notes how it was called."""
    calls = tmp_path / "calls"
    script = tmp_path / "fake.py"
    script.write_text(FAKE.format(calls=str(calls), samples=str(HERE / "samples")))
    monkeypatch.setenv("GOLF_AUDIT", f"{sys.executable} {script}")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.chdir(tmp_path)
    return lambda: [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


def test_record_folders_come_from_file_names():
    files = [
        "records/t/good/train_gpt.py",
        "records/t/good/a/b.log",
        "README.md",
        "records/README.md",
        "records/t/x/y",
    ]
    assert ci.record_folders(files) == ["records/t/good", "records/t/x"]


def test_each_folder_is_audited_once_and_the_worst_counts(fake, tmp_path):
    assert ci.main(["records/t/good/a.py", "records/t/good/b.py", "records/t/bad/a.py", "--no-run"]) == 1
    assert [call[1] for call in fake()] == ["records/t/good", "records/t/bad"]
    assert all("--no-run" in call for call in fake())
    assert "verdict=FAIL\nreports=audit-report\n" in (tmp_path / "output").read_text()
    assert "comment on records/t/good" in (tmp_path / "summary").read_text()


@pytest.mark.parametrize(
    ("fail_on", "folder", "code"), [("never", "bad", 0), ("review", "good", 0), ("fail", "bad", 1)]
)
def test_fail_on_decides_the_exit_code(fake, fail_on, folder, code):
    assert ci.main(["--folder", f"records/t/{folder}", "--fail-on", fail_on]) == code


def test_nothing_to_audit_is_no_failure(fake, tmp_path):
    assert ci.main(["README.md"]) == 0
    assert "verdict=NOT_APPLICABLE" in (tmp_path / "output").read_text()


def test_a_folder_that_cannot_be_audited_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("GOLF_AUDIT", f"{sys.executable} -c raise(SystemExit(2))")
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
    assert ci.main(["--folder", "records/t/gone", "--out", str(tmp_path)]) == 1


def git(*arguments, at):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=at, check=True, capture_output=True)


def repository(at):
    git("init", "-q", "-b", "main", at=at)
    (at / "README.md").write_text("x")
    git("add", "README.md", at=at)
    git("commit", "-qm", "base", at=at)
    folder = at / "records" / "track" / "good one"
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_text("x = 1\n")
    git("add", "records", at=at)
    git("commit", "-qm", "record", at=at)


def test_changed_files_are_those_against_the_merge_base(tmp_path, monkeypatch):
    repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert ci.changed_files("HEAD~1") == ["records/track/good one/train_gpt.py"]


def action_step(name):
    return next(step for step in ACTION["runs"]["steps"] if step["name"] == name)


def run_step(step, inputs, at):
    """Run a step's script as the runner would: inputs become the environment the step declares."""
    defaults = {name: spec["default"] for name, spec in ACTION["inputs"].items()} | inputs

    def fill(text):
        return re.sub(r"\$\{\{ inputs\.([\w-]+).*?\}\}", lambda m: defaults[m[1]], text)

    env = {name: fill(value) for name, value in step["env"].items()}
    bin_ = at / "bin"
    bin_.mkdir(exist_ok=True)
    (bin_ / "python").unlink(missing_ok=True)
    (bin_ / "python").symlink_to(sys.executable)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    full = {**os.environ, **env, "PATH": path, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]], cwd=at, env=full, check=False
    ).returncode


def test_the_action_audits_what_a_pull_request_touches(fake, tmp_path):
    repository(tmp_path)
    assert run_step(action_step("Audit"), {"base": "HEAD~1", "run": "false"}, tmp_path) == 0
    (call,) = fake()
    assert call[1] == "records/track/good one"
    assert "--no-run" in call


def test_the_action_takes_folders_with_spaces_and_passes_its_verdict_on(fake, tmp_path):
    inputs = {"folder": "records/t/good one\nrecords/t/bad", "strict": "true"}
    assert run_step(action_step("Audit"), inputs, tmp_path) == 1
    assert [call[1] for call in fake()] == ["records/t/good one", "records/t/bad"]
    assert all("--strict" in call for call in fake())


def test_inputs_never_become_shell_code(fake, tmp_path):
    inputs = {"folder": "records/t/good$(touch pwned)`touch pwned`", "out": "$(touch pwned)"}
    run_step(action_step("Audit"), inputs, tmp_path)
    assert not (tmp_path / "pwned").exists()
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_the_action_declares_what_it_uses():
    assert ACTION["runs"]["using"] == "composite"
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])
    assert all(step.get("shell") == "bash" for step in ACTION["runs"]["steps"] if "run" in step)


def test_documented_inputs_are_those_of_the_action():
    text = (ROOT / "docs" / "automation.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)) == set(ACTION["inputs"])


def test_the_hook_selects_record_files_and_runs(fake, tmp_path):
    assert re.search(HOOK["files"], "records/track/folder/train_gpt.py")
    assert not re.search(HOOK["files"], "train_gpt.py")
    command = [sys.executable, *HOOK["entry"].split()[1:], "records/t/bad/train_gpt.py"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 1
    assert fake()[0][1] == "records/t/bad"
