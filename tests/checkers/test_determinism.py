"""Static results depend on what was submitted, not on hash seeds or addresses; our defects show."""

import json
import os
import subprocess
import sys
from pathlib import Path

from checkers import registry
from checkers.facts import machine
from rules.model import Need
from tests.checkers.static_cases import CASES, subject

ROOT = Path(__file__).resolve().parents[2]
PER_RULE = 2
PROGRAM = """
import dataclasses, json, sys, tempfile
from pathlib import Path
from checkers import registry
from rules.model import Need
from tests.checkers.static_cases import subject

ballast = [object() for _ in range(int(sys.argv[1]))]  # moves every later address
for case in map(Path, sys.argv[2:]):
    with tempfile.TemporaryDirectory() as folder:
        made = subject(case, Path(folder))
        for checker in registry.discover():
            if checker.kind is Need.STATIC:
                result = dataclasses.asdict(checker.check(made))
                print(json.dumps([case.name, checker.slug, result], default=str))
"""


def results(seed, ballast, cases):
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(ballast), *map(str, cases)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_two_processes_with_different_hash_seeds_find_the_same_in_the_same_order():
    cases = [c for rule in sorted(CASES.iterdir()) for c in sorted(rule.glob("violates_*.py"))[:PER_RULE]]
    assert len(cases) > 20
    first = results(0, 1, cases)
    assert any(result["findings"] for _, _, result in first)
    assert first == results(4242, 1001, cases)


def test_a_defect_of_the_simulation_is_no_pass(monkeypatch, tmp_path):
    def broken(self, module, env):
        raise AssertionError("engine defect")

    monkeypatch.setattr(machine.Machine, "run_module", broken)
    case = next(iter(sorted((CASES / "score-after-update").glob("complies_*.py"))))
    made = subject(case, tmp_path)
    assert made.facts.failure == "AssertionError: engine defect"
    checkers = {c.slug: c for c in registry.discover() if c.kind is Need.STATIC}
    for slug in ("score-after-update", "target-in-cache-key", "hindsight-gate", "rescored-validation"):
        result = checkers[slug].check(made)
        assert result.inconclusive is not None
        assert "engine defect" in result.inconclusive
