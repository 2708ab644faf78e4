"""A sweep depends on content: identical heads get identical verdicts, and two sweeps identical records."""

import json
from functools import partial
from pathlib import Path

import audit
from harness import sweep
from tests.harness.gitrepo import Repo

CASE = next(iter(sorted((Path(__file__).parents[1] / "cases" / "score-after-update").glob("violates_*.py"))))


def swept(repo, out):
    """The records of a sweep of every head, by number and without their times."""
    job = partial(audit.audit_head, repo.path, audit.Options(run=False))
    sweep.sweep(sweep.plan(repo.path, None, "test"), job, out, jobs=1)
    records = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    return {r["pr"]: {k: v for k, v in r.items() if k != "seconds"} for r in records}


def heads(tmp_path):
    """Two heads with one script under other names and years, and between them another script."""
    repo = Repo(tmp_path / "clone")
    start = repo.commit({"README.md": "the challenge"}, ref="refs/heads/main")
    script = CASE.read_text(encoding="utf-8")
    repo.pull(3, {"records/track_10min_16mb/2026-04-01_One/train_gpt.py": script}, start)
    repo.pull(4, {"records/track_10min_16mb/2026-04-02_Two/train_gpt.py": "print('nothing')\n"}, start)
    repo.pull(5, {"records/track_10min_16mb/2026-04-03_Three/train_gpt.py": script}, start)
    return repo


def test_byte_identical_scripts_in_two_heads_get_identical_static_verdicts(tmp_path):
    records = swept(heads(tmp_path), tmp_path / "out")
    one, two, three = ({r["rule"]: r["verdict"] for r in records[n]["rules"]} for n in (3, 4, 5))
    assert "FAIL" in one.values()
    assert one == three
    assert one != two


def test_two_sweeps_give_identical_records(tmp_path):
    repo = heads(tmp_path)
    assert swept(repo, tmp_path / "first") == swept(repo, tmp_path / "second")
