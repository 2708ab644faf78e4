"""The bundled script: one file, only the code its configuration reaches, the same score as the package."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reference_model.bundle import bundle
from reference_model.config import Config, tiny
from reference_model.export import (
    FINAL_LINE,
    Description,
    export_record,
    export_script,
    read_log,
    require_equal_scores,
)
from reference_model.fold import fold_switches
from reference_model.offences import OFFENCES, config_of, twin_of
from reference_model.pipeline import run
from reference_model.stages import score_as_configured

DEMO = Path(__file__).parents[2] / "reference_model" / "demo_record"
CONFIGS = {name: config_of(name, tiny()) for name in OFFENCES} | {
    f"twin-{name}": twin_of(name, tiny()) for name in OFFENCES
}


def undefined_names(source: str) -> set[str]:
    """Return names that are read somewhere and bound nowhere in the whole file."""
    tree = ast.parse(source)
    bound = set(dir(builtins)) | {"__file__", "__name__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update((a.asname or a.name).split(".")[0] for a in node.names)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return read - bound


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_every_script_is_complete_and_self_contained(name):
    source = bundle(CONFIGS[name], name)
    compile(source, name, "exec")
    assert undefined_names(source) == set()
    assert "reference_model" not in source


def offence_functions() -> set[str]:
    folder = Path(__file__).parents[2] / "reference_model" / "offences"
    trees = [ast.parse(p.read_text()) for p in folder.glob("*.py") if p.stem not in ("registry", "__init__")]
    names = {n.name for tree in trees for n in tree.body if isinstance(n, ast.FunctionDef)}
    return names - {
        "score_prefix_gate",
        "begins_word",
        "counted_alone",
        "original_bytes",
    }  # shared with twins


@pytest.mark.parametrize("score", ["sliding", "plain", "ttt", "ttt-lora", "ttt-phased", "ngram", "ttt-ngram"])
def test_honest_script_carries_no_offence(score):
    source = bundle(tiny(score=score), "honest")
    defined = {n.name for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)}
    assert not defined & offence_functions()


def test_offending_script_differs_from_its_twin():
    for name in OFFENCES:
        assert bundle(config_of(name, tiny()), "x") != bundle(twin_of(name, tiny()), "x"), name


def test_folding_keeps_the_branch_taken():
    lines = [
        "if config.score == 'a' and y:",
        "    return 1",
        "if not config.flag:",
        "    return 2",
        "return 3",
    ]
    source = "\n    ".join(["def f(config, y):", *lines])
    folded = ast.unparse(fold_switches(ast.parse(source), {"score": "b", "flag": False}))
    assert folded == "def f(config, y):\n    return 2"
    kept = ast.unparse(fold_switches(ast.parse(source), {"score": "a", "flag": True}))
    assert "if y:" in kept
    assert "return 3" in kept


def test_folding_takes_the_entry_that_a_table_names():
    source = "def f(x):\n    return {'a': one, 'b': two}[config.score](x)"
    folded = ast.unparse(fold_switches(ast.parse(source), {"score": "b"}))
    assert folded == "def f(x):\n    return two(x)"
    assert ast.unparse(fold_switches(ast.parse(source), {})) == source


def test_settings_read_the_environment():
    source = bundle(tiny(), "t")
    assert "iterations = int(os.environ.get('ITERATIONS', 12))" in source
    assert "SMEAR_GATE" not in source


@pytest.mark.slow
def test_script_and_package_get_the_same_score(small, tmp_path):
    expected = run(small, code="")
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(export_script(small, "t"))
    env = {"DATA_PATH": small.data_path, "TOKENIZER_PATH": small.tokenizer_path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "train_gpt.py"], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(FINAL_LINE.findall(done.stdout)[0][1]) == pytest.approx(expected.val_bpb, abs=1e-6)
    assert score_of_artifact(folder, small, tmp_path / "fresh") == FINAL_LINE.findall(done.stdout)


WITHOUT_PICKLE = """
import pickle, runpy, sys, torch
def refuse(event, arguments):
    if event == "pickle.find_class":
        raise RuntimeError("something is unpickled")
sys.addaudithook(refuse)
torch.load = pickle.load = pickle.loads = None
runpy.run_path("train_gpt.py", run_name="__main__")
"""


def score_of_artifact(written: Path, config: Config, folder: Path) -> list[tuple[str, str]]:
    """Return what a fresh process makes of script, artifact and validation shards, and of nothing else."""
    (folder / "data").mkdir(parents=True)
    for path in (written / "train_gpt.py", written / config.artifact_path):
        shutil.copy(path, folder)
    for path in Path(config.data_path).glob("fineweb_val_*.bin"):
        shutil.copy(path, folder / "data")
    env = {"DATA_PATH": "data", "TOKENIZER_PATH": config.tokenizer_path, "EVAL_ONLY": "1"}
    command = [sys.executable, "-c", WITHOUT_PICKLE]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train_shards:0" in done.stdout
    return FINAL_LINE.findall(done.stdout)


def test_a_claim_that_the_artifact_does_not_reach_is_refused():
    line = "final_int8_zlib_roundtrip_exact val_loss:1.5 val_bpb:{}"
    require_equal_scores(1, line.format(0.9), line.format(0.9))
    with pytest.raises(RuntimeError, match="another score"):
        require_equal_scores(1, line.format(0.9), line.format(1.2))


@pytest.mark.slow
def test_exported_record_claims_what_its_logs_say(small, tmp_path):
    config: Config = dataclasses.replace(small, iterations=4, eval_stride=64)
    folder = tmp_path / "record"
    told: list[str] = []
    runs = export_record(config, Description("name", "blurb"), folder, (1, 2), told.append)
    assert any(line.startswith("seed2: step:4/4 ") for line in told)
    assert any(line.startswith("seed2_artifact: final_int8_zlib_roundtrip_exact ") for line in told)
    claimed = json.loads((folder / "submission.json").read_text())
    assert claimed["val_bpb"] == pytest.approx(sum(r.val_bpb for r in runs) / 2, abs=1e-7)
    assert claimed["bytes_total"] == max(r.bytes_total for r in runs)
    assert str(small.data_path) not in (folder / "train_seed1.log").read_text()
    assert (folder / "README.md").exists()


def test_demo_record_is_of_one_piece():
    claimed = json.loads((DEMO / "submission.json").read_text())
    code = (DEMO / "train_gpt.py").read_text()
    assert undefined_names(code) == set()
    for seed in claimed["seeds"]:
        log = (DEMO / f"train_seed{seed}.log").read_text()
        assert log.startswith(code)
        assert read_log(seed, log).val_bpb == claimed["seed_results"][str(seed)]["val_bpb"]
    assert claimed["bytes_code"] == len(code.encode())


def test_the_page_of_the_stack_names_every_offence_with_its_rule_and_every_way_to_score():
    page = (DEMO.parents[1] / "docs" / "reference-model.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name, offence in OFFENCES.items():
        switches = [
            f"`{key.upper()}={int(v) if isinstance(v, bool) else v}`" for key, v in offence.switches.items()
        ]
        (row,) = (line for line in rows if line.startswith(f"| `{name}`:"))
        assert all(part in row for part in (offence.summary, f"[`{offence.rule}`]", *switches)), row
    ways = re.findall(r'^        "([a-z-]+)": score_', inspect.getsource(score_as_configured), re.M)
    assert len(ways) > 20
    assert [way for way in ways if f"`{way}`" not in page and f"`SCORE={way}`" not in page] == []
