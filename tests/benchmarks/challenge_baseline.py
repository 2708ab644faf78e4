"""The challenge's own ``train_gpt.py``, run in this project's sandbox on given shards.

The script is read from a clone of the challenge's repository and never kept here. It gets our shards
and tokenizer, as many steps of as many tokens, our sequence length, layers and heads, and a width that
brings its parameters closest to ours; everything else (learning rates, momentum, initialization) stays
at its defaults, which were tuned at another scale. It runs on one thread, as fast as its own way of
splitting a step into eight parts allows.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness import launch, workspace
from harness.facade.sources import key
from harness.sandbox import choose
from reference_model.config import Config

FINAL = re.compile(r"^final_int8_zlib_roundtrip_exact val_loss:\S+ val_bpb:(\S+)$", re.M)
TRAINED = re.compile(r"^step:\d+/\d+ val_loss:\S+ val_bpb:(\S+)", re.M)
SIZE = re.compile(r"^Serialized model int8\+zlib: (\d+) bytes", re.M)
PARAMETERS = re.compile(r"^model_params:(\d+)", re.M)
MLP_MULT = 2  # the script's own default


@dataclass(frozen=True)
class BaselineScore:
    """What the script printed: bits per byte of its int8 roundtrip and before it, parameters, bytes.

    Seconds are those of the wall and of the processor, training and scoring together.
    """

    val_bpb: float
    trained_bpb: float
    parameters: int
    model_bytes: int
    wall_seconds: float
    cpu_seconds: float


def read_script(clone: Path) -> str:
    """Return ``train_gpt.py`` at the head of a clone, bare or not."""
    command = ["git", "-C", str(clone), "show", "HEAD:train_gpt.py"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def equal_width(parameters: int, config: Config) -> int:
    """Return the width, a multiple of 16, at which the script has closest to ``parameters``.

    A layer of width d has 3 d^2 in attention (half as many key/value heads) and 2 * MLP_MULT * d^2.
    """

    def total(width: int) -> int:
        return config.vocab_size * width + config.num_layers * (3 + 2 * MLP_MULT) * width * width

    return min(range(32, 1024, 16), key=lambda width: abs(total(width) - parameters))


def settings(config: Config, parameters: int) -> dict[str, str]:
    """Return the script's environment: same data, tokens and layers, as many parameters."""
    return {
        "DATA_PATH": str(Path(config.data_path).resolve()),
        "TOKENIZER_PATH": str(Path(config.tokenizer_path).resolve()),
        "RUN_ID": "baseline",
        "ITERATIONS": str(config.iterations),
        "WARMDOWN_ITERS": str(round(config.warmdown_frac * config.iterations)),
        "WARMUP_STEPS": "1",
        "MAX_WALLCLOCK_SECONDS": "0",
        "TRAIN_BATCH_TOKENS": str(config.train_batch_tokens),
        "TRAIN_SEQ_LEN": str(config.train_seq_len),
        "VAL_BATCH_SIZE": "65536",
        "VAL_LOSS_EVERY": "0",
        "VOCAB_SIZE": str(config.vocab_size),
        "NUM_LAYERS": str(config.num_layers),
        "NUM_HEADS": str(config.num_heads),
        "NUM_KV_HEADS": str(config.num_heads // 2),
        "MODEL_DIM": str(equal_width(parameters, config)),
    }


def prepare_plan(root: Path, script: str, config: Config) -> Path:
    """Write the script and the plan of ``harness.child`` below ``root``; return the plan's path."""
    for folder in ("repo", "tmp", "bin"):
        (root / folder).mkdir()
    (root / "bin" / "nvidia-smi").write_text(workspace.PROGRAMS["nvidia-smi"], encoding="utf-8")
    path, plan = root / "repo" / "train_gpt.py", root / "plan.json"
    path.write_text(script, encoding="utf-8")
    steps = config.iterations + 1
    content = {
        "script": str(path),
        "run_dir": str(path.parent),
        "layers": {key(script): ("train_gpt.py", script)},
        "facade": {"steps": steps, "wall_seconds": float(steps)},
        "seed": config.seed,
        "status": str(root / "status.json"),
    }
    plan.write_text(json.dumps(content), encoding="utf-8")
    workspace.open_to_all(root)
    return plan


def run_baseline(clone: Path, config: Config, parameters: int, seconds: float = 3600.0) -> BaselineScore:
    """Run the script at the head of ``clone``; raises RuntimeError if it prints no final score."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plan = prepare_plan(root, read_script(clone), config)
        job = launch.Job(
            root=root,
            cwd=root / "repo",
            plan=plan,
            env={**launch.environment(root, root / "repo"), **settings(config, parameters)},
            readable=(Path(config.data_path).resolve(), Path(config.tokenizer_path).resolve().parent),
            seconds=seconds,
        )
        wall, cpu = time.perf_counter(), cpu_of_children()
        finished = launch.run(job, choose(False))
    return read_score(finished.output, time.perf_counter() - wall, cpu_of_children() - cpu)


def cpu_of_children() -> float:
    """Return the processor seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_score(output: str, wall: float, cpu: float) -> BaselineScore:
    """Read what the script printed; raises RuntimeError with its last lines if there is no final score."""
    final = FINAL.findall(output)
    if not final:
        raise RuntimeError(f"the baseline printed no score:\n{output[-2000:]}")
    trained, parameters, size = (pattern.findall(output)[-1] for pattern in (TRAINED, PARAMETERS, SIZE))
    return BaselineScore(float(final[-1]), float(trained), int(parameters), int(size), wall, cpu)
