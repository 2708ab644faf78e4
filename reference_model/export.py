"""Export a complete record folder: one script, README, submission.json and three seeds' real logs."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reference_model.bundle import bundle
from reference_model.config import Config
from reference_model.offences.shipping import HELPER_FILE

FINAL_LINE = re.compile(r"^final_\w+_roundtrip_exact val_loss:(\S+) val_bpb:(\S+)$", re.M)
SIZE_LINE = re.compile(r"^Total submission size \S+: (\d+) bytes$", re.M)
MODEL_LINE = re.compile(r"^Serialized model \S+: (\d+) bytes$", re.M)
BYTES_LINE = re.compile(r"^bytes_by_table:(\d+) bytes_by_decoding:(\d+)$", re.M)
QUICK_STEPS = 200
LINES_OF_A_FAILURE = 40

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SeedRun:
    """What one seed's log says: its score, the bytes shipped and the log itself."""

    seed: int
    val_loss: float
    val_bpb: float
    bytes_total: int
    bytes_model: int
    log: str


@dataclass(frozen=True)
class Description:
    """What a record says about itself besides its numbers."""

    name: str
    blurb: str
    author: str = "parameter-golf-audit"
    date: str = "2026-05-01"
    track: str = "non-record-16mb"


def write_helper(folder: Path) -> None:
    """Write the file that the offence ``uncounted-code`` runs and does not count."""
    (folder / HELPER_FILE).write_text("print('a helper that nobody counted')\n", encoding="utf-8")


def quick(config: Config) -> Config:
    """Return a configuration that trains and scores in a fraction of the time, and a worse model.

    The script that is exported has these numbers as its defaults: what the logs show is what it does.
    """
    steps = min(config.iterations, QUICK_STEPS)
    return dataclasses.replace(config, iterations=steps, eval_stride=config.train_seq_len)


def run_seed(script: Path, config: Config, seed: int, progress: Progress) -> SeedRun:
    """Run the script in an empty folder with one seed, telling ``progress`` each line it prints.

    A second process then scores the artifact that the first left. Raises RuntimeError if either does
    not finish, or if they differ where the score is that of the loaded artifact.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for path in script.parent.glob("*.py"):
            shutil.copy(path, folder)
        env = {
            **os.environ,
            "SEED": str(seed),
            "DATA_PATH": str(Path(config.data_path).resolve()),
            "TOKENIZER_PATH": str(Path(config.tokenizer_path).resolve()),
        }
        log = run_script(folder, env, f"seed{seed}", progress)
        if config.roundtrip == "loaded":
            again = run_script(folder, {**env, "EVAL_ONLY": "1"}, f"seed{seed}_artifact", progress)
            require_equal_scores(seed, log, again)
    return read_log(seed, without_places(log, config))


def require_equal_scores(seed: int, log: str, again: str) -> None:
    """Raise RuntimeError unless a fresh process, given the artifact, printed the very same score."""
    if FINAL_LINE.findall(log) != FINAL_LINE.findall(again):
        raise RuntimeError(f"seed {seed}: the artifact alone has another score than the log claims")


def run_script(folder: Path, env: dict[str, str], run_id: str, progress: Progress) -> str:
    """Run ``train_gpt.py`` in ``folder``, return its log; raises RuntimeError with its last lines."""
    last: deque[str] = deque(maxlen=LINES_OF_A_FAILURE)
    command = [sys.executable, "train_gpt.py"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**env, "RUN_ID": run_id},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            progress(f"{run_id}: {last[-1]}")
    if process.returncode:
        raise RuntimeError("\n".join(["train_gpt.py failed:", *last]))
    return (folder / "logs" / f"{run_id}.txt").read_text(encoding="utf-8")


def without_places(log: str, config: Config) -> str:
    """Replace this machine's folders in a log by the challenge's relative ones."""
    data, tokenizer = Path(config.data_path).resolve(), Path(config.tokenizer_path).resolve()
    shown = log.replace(str(data), f"./data/datasets/{data.name}")
    return shown.replace(str(tokenizer), f"./data/tokenizers/{tokenizer.name}")


def read_log(seed: int, log: str) -> SeedRun:
    """Read the numbers of one log; raises ValueError if it is cut short."""
    final, size, model = FINAL_LINE.findall(log), SIZE_LINE.findall(log), MODEL_LINE.findall(log)
    if not (final and size and model):
        raise ValueError(f"log of seed {seed} has no final score or no size")
    return SeedRun(seed, float(final[-1][0]), float(final[-1][1]), int(size[-1]), int(model[-1]), log)


def require_equal_byte_counts(runs: list[SeedRun]) -> None:
    """Raise ValueError unless bytes by table and by decoding agree in every log."""
    for run in runs:
        counts = BYTES_LINE.findall(run.log)
        if not counts or counts[-1][0] != counts[-1][1]:
            raise ValueError(f"seed {run.seed}: bytes by table and by decoding differ: {counts}")


def submission_json(about: Description, runs: list[SeedRun]) -> str:
    """Return submission.json: the mean over seeds and each seed's own numbers."""
    losses, scores = [run.val_loss for run in runs], [run.val_bpb for run in runs]
    largest = max(runs, key=lambda run: run.bytes_total)
    content = {
        "author": about.author,
        "github_id": about.author,
        "name": about.name,
        "blurb": about.blurb,
        "date": about.date,
        "track": about.track,
        "val_loss": round(statistics.fmean(losses), 8),
        "val_bpb": round(statistics.fmean(scores), 8),
        "val_bpb_std": round(statistics.stdev(scores), 8) if len(scores) > 1 else 0.0,
        "seeds": [run.seed for run in runs],
        "seed_results": {
            str(run.seed): {
                "val_loss": run.val_loss,
                "val_bpb": run.val_bpb,
                "artifact_bytes": run.bytes_total,
            }
            for run in runs
        },
        "bytes_total": largest.bytes_total,
        "bytes_code": largest.bytes_total - largest.bytes_model,
    }
    return json.dumps(content, indent=2) + "\n"


def readme(about: Description, config: Config, runs: list[SeedRun]) -> str:
    """Return the README: what was done, how to run it, and the table of seeds."""
    rows = "\n".join(f"| {r.seed} | {r.val_loss:.8f} | {r.val_bpb:.8f} | {r.bytes_total:,} |" for r in runs)
    mean = statistics.fmean(run.val_bpb for run in runs)
    return f"""# {about.name}

{about.blurb}

**val_bpb: {mean:.8f}** (mean of {len(runs)} seeds; artifact and code together below 16,000,000 bytes)

| seed | val_loss (nats) | val_bpb | bytes total |
| --- | --- | --- | --- |
{rows}

Data: the default corpus of the reference stack (pydoc's topics and the standard library's
docstrings), in the challenge's shard format, not FineWeb: the numbers do not compare with the
leaderboard. {config.iterations} steps of {config.train_batch_tokens:,} tokens.
Score `{config.score}`, quantization `{config.quantization}`, compressor `{config.compressor}`.
Every validation token but the first is scored exactly once, with weights loaded from the artifact.

## Run

```bash
SEED={runs[0].seed} DATA_PATH=./data/datasets/{Path(config.data_path).name} \\
TOKENIZER_PATH=./data/tokenizers/{Path(config.tokenizer_path).name} python train_gpt.py
```
"""


def export_record(
    config: Config, about: Description, folder: Path, seeds: tuple[int, ...], progress: Progress
) -> list[SeedRun]:
    """Write a record folder whose logs come from running the very script it contains, once per seed."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "train_gpt.py"
    script.write_text(export_script(config, about.name), encoding="utf-8")
    if config.counted_code != "all":
        write_helper(folder)
    runs = [run_seed(script, config, seed, progress) for seed in seeds]
    if config.byte_table == "canonical" and config.byte_units == "canonical":
        require_equal_byte_counts(runs)
    for run in runs:
        (folder / f"train_seed{run.seed}.log").write_text(run.log, encoding="utf-8")
    (folder / "submission.json").write_text(submission_json(about, runs), encoding="utf-8")
    (folder / "README.md").write_text(readme(about, config, runs), encoding="utf-8")
    return runs


def export_script(config: Config, title: str) -> str:
    """Return the single-file script of a configuration; raises SyntaxError if it does not compile."""
    shown = relative_places(config)
    source = bundle(shown, title)
    ast.parse(source)
    return source


def relative_places(config: Config) -> Config:
    """Return the configuration with this machine's folders replaced by the challenge's layout."""
    data, tokenizer = Path(config.data_path).name, Path(config.tokenizer_path).name
    return dataclasses.replace(
        config, data_path=f"./data/datasets/{data}", tokenizer_path=f"./data/tokenizers/{tokenizer}"
    )
