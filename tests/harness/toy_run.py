"""Run a mini training script under the probes and conduct the experiments, in a world of raw bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness import trace
from harness.experiments import Instruments
from harness.record import Experiment
from harness.world import write_shard
from harness.world.tokenizers import write_byte_tokenizer

CHILD = Path(__file__).with_name("toy_child.py")
WORDS = [b"the ", b"cat ", b"sat ", b"on ", b"a ", b"mat ", b"and ", b"then ", b"it ", b"ran\n"]


@dataclass(frozen=True)
class ToyPlace:
    root: Path
    repo: Path
    worlds: tuple[Path, ...]
    validation_files: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class ToyRun:
    experiments: dict[str, Experiment]
    trace: trace.Trace
    output: str
    problem: str


def words(count: int, seed: int) -> np.ndarray:
    """Byte ids (byte + 4) of word salad, a document boundary every 400 or so."""
    rng = np.random.default_rng(seed)
    ids: list[int] = []
    while len(ids) < count:
        text = b"".join(WORDS[i] for i in rng.integers(0, len(WORDS), 100))
        ids += [1, *(b + 4 for b in text)]
    return np.array(ids[:count], np.uint16)


def make_place(root: Path, script: Path, tokens: int = 2049) -> ToyPlace:
    world = root / "world"
    data = world / "datasets" / "toy"
    data.mkdir(parents=True)
    (world / "tokenizers").mkdir()
    write_byte_tokenizer(world / "tokenizers" / "fineweb_pure_byte_260.json")
    write_shard(data / "fineweb_val_000000.bin", words(tokens, 3))
    write_shard(data / "fineweb_train_000000.bin", words(8 * tokens, 2))
    repo = root / "repo"
    repo.mkdir()
    (repo / "train_gpt.py").write_text(script.read_text())
    return ToyPlace(root, repo, (world,), {"toy": (str(data / "fineweb_val_000000.bin"),)})


def run(
    root: Path,
    script: Path,
    tokens: int = 2049,
    seconds: float = 90.0,
    twin: bool = True,
    experiments: bool = True,
) -> ToyRun:
    """One process."""
    return run_again(root, script, [{}], tokens, seconds, twin, experiments)


def run_again(
    root: Path,
    script: Path,
    processes: list[dict[str, str]],
    tokens: int = 2049,
    seconds: float = 90.0,
    twin: bool = True,
    experiments: bool = True,
) -> ToyRun:
    """Several processes in one place, each with its environment; the last one counts."""
    place = make_place(root, script, tokens)
    instruments = Instruments(root / "traces", seconds, twin, experiments)
    for environment in processes:
        _process(place, instruments, environment, seconds)
    found = {e.name: e for e in instruments.results()[0]}
    whole = trace.read(max((root / "traces").glob("*.trace")))
    return ToyRun(found, whole, (root / "output.txt").read_text(), instruments.problem)


def _process(place: ToyPlace, instruments: Instruments, environment: dict[str, str], seconds: float) -> None:
    root, fds = place.root, instruments.begin()
    plan = {"script": str(place.repo / "train_gpt.py"), "status": str(root / "status.json")}
    plan["probes"] = instruments.plan(place)
    (root / "plan.json").write_text(json.dumps(plan))
    env = {**os.environ, "DATA_PATH": str(place.worlds[0] / "datasets" / "toy"), "OMP_NUM_THREADS": "1"}
    env |= environment
    command = [sys.executable, "-W", "ignore", str(CHILD), str(root / "plan.json")]
    with (root / "output.txt").open("wb") as sink:
        process = subprocess.Popen(command, cwd=place.repo, env=env, pass_fds=fds, stdout=sink, stderr=sink)
        instruments.attend(process, time.monotonic() + seconds)
        process.wait(20)
