"""Training: repeatable under a seed, stopped by the clock, rounded late, equal at one and two ranks."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.distributed as dist

from reference_model import pipeline, stages
from reference_model.artifact import encode_artifact
from reference_model.cli import main
from reference_model.config import config_from_env, env_of, tiny
from reference_model.data import training_stream, validation_stream
from reference_model.evaluate import charge_windows, no_losses, own_batches, sliding_windows
from reference_model.model import GPT
from reference_model.pipeline import quantize_model, run
from reference_model.ranks import Ranks, hash_of_weights, require_equal_weights
from reference_model.train import Trainer, enable_late_qat

ROOT = Path(__file__).parents[2]
ALONE = Ranks(0, 1, torch.device("cpu"))


def silent(_message: str) -> None:
    """Log nowhere."""


def train(config):
    return Trainer(config, ALONE, training_stream(config.data_path)).run(silent)


def test_one_seed_gives_one_model(small):
    again = hash_of_weights(train(small))
    assert hash_of_weights(train(small)) == again
    assert hash_of_weights(train(dataclasses.replace(small, seed=2))) != again


def test_warm_up_leaves_no_trace(small):
    cold = dataclasses.replace(small, warmup_steps=0)
    assert hash_of_weights(train(small)) == hash_of_weights(train(cold))


@pytest.mark.parametrize(
    "changes",
    [
        {"averaging": "swa"},
        {"qat": "int6", "qat_min_step": 2},
        {"mtp_weight": 0.2},
        {"muon_variant": "neomuon"},
    ],
)
def test_training_lowers_the_loss(small, changes):
    lines: list[str] = []
    config = dataclasses.replace(small, iterations=10, **changes)
    Trainer(config, ALONE, training_stream(config.data_path)).run(lines.append)
    losses = [float(line.split("train_loss:")[1].split()[0]) for line in lines]
    assert losses[-1] < losses[0] - 0.2


def test_the_clock_ends_training(small):
    lines: list[str] = []
    config = dataclasses.replace(small, iterations=10**6, max_wallclock_seconds=0.5)
    Trainer(config, ALONE, training_stream(config.data_path)).run(lines.append)
    assert lines[-1].startswith("stopping_early: wallclock_cap")


def test_rounding_starts_late(small):
    config = dataclasses.replace(small, qat="ternary", qat_lr_scale=0.15, qat_min_step=50)
    model = Trainer(config, ALONE, training_stream(config.data_path)).model
    formats = lambda: {m.fake_format for m in model.blocks.modules() if hasattr(m, "fake_format")}  # noqa: E731
    enable_late_qat(model, config, step=10, scale=0.1)
    enable_late_qat(model, config, step=60, scale=0.5)
    assert formats() == {"none"}
    enable_late_qat(model, config, step=60, scale=0.1)
    assert formats() == {"ternary"}


def test_environment_overrides_by_name_and_type():
    config = config_from_env(
        {"ITERATIONS": "7", "SMEAR_GATE": "0", "MATRIX_LR": "0.5", "SCORE": "plain"}, tiny()
    )
    assert (config.iterations, config.smear_gate, config.matrix_lr, config.score) == (7, False, 0.5, "plain")


def test_a_configuration_survives_the_environment(small):
    config = dataclasses.replace(small, smear_gate=False, score="ttt", z_loss=1e-5)
    assert config_from_env(env_of(config)) == config


def test_commands_in_turn_score_what_the_whole_run_scores(small, capsys, monkeypatch):
    for name, value in env_of(dataclasses.replace(small, iterations=3)).items():
        monkeypatch.setenv(name, value)
    for command in ("train", "quantize", "eval"):
        main([command])
    in_turn = re.findall(r"^val_loss:(\S+)", capsys.readouterr().out, re.M)
    main(["run"])
    assert in_turn == re.findall(r"_exact val_loss:(\S+)", capsys.readouterr().out)


def test_pipeline_scores_what_the_artifact_holds(small, capsys):
    score = run(small, code="x" * 100)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("final_int8_zlib_roundtrip_exact val_loss:")
    assert float(lines[-1].rsplit(":", 1)[1]) == pytest.approx(score.val_bpb, abs=1e-8)
    size = Path(small.artifact_path).stat().st_size
    assert f"Total submission size int8+zlib: {size + 100} bytes" in lines
    assert score.tokens == int(next(x for x in lines if x.startswith("val_loader")).rsplit(":", 1)[1])
    by_table, decoded = next(x for x in lines if x.startswith("bytes_by_table")).split()
    assert by_table.split(":")[1] == decoded.split(":")[1] == str(score.bytes)


def test_oversize_submission_is_refused(small):
    with pytest.raises(ValueError, match="exceeds"):
        run(dataclasses.replace(small, size_limit_bytes=1000), code="")


def test_gptq_and_pruning_fit_together(small):
    config = dataclasses.replace(small, iterations=2, gptq=True, quantization="int6", compressor="lzma")
    model = train(config)
    full = len(encode_artifact(quantize_model(model, config), "lzma"))
    pruned = quantize_model(model, dataclasses.replace(config, prune_to_bytes=full - 100))
    assert len(encode_artifact(pruned, "lzma")) <= full - 100


def test_two_ranks_charge_what_one_charges_bit_for_bit(small):
    model, stream = train(dataclasses.replace(small, iterations=1)).eval(), validation_stream(small.data_path)
    tokens = torch.from_numpy(stream[:1500])
    windows = list(sliding_windows(1499, small.train_seq_len, small.eval_stride))
    whole, shares = no_losses(tokens), no_losses(tokens)
    for rank, world, losses in ((0, 1, whole), (0, 2, shares), (1, 2, shares)):
        for batch in own_batches(windows, small, Ranks(rank, world, ALONE.device)):
            charge_windows(model, tokens, batch, len(batch), losses)
    assert torch.equal(whole, shares)


def scores_at(config, world: int, folder: Path, **changes: Any) -> list[str]:
    """Run the command at ``world`` ranks, each started as torchrun starts it; return the score printed."""
    folder.mkdir()
    config = dataclasses.replace(config, iterations=4, warmup_steps=0, max_wallclock_seconds=0.0, **changes)
    env = {**os.environ, **env_of(config), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    env |= {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    started = [start_rank(rank, env, folder) for rank in range(world)]
    outputs = [process.communicate(timeout=240) for process in started]
    assert all(process.returncode == 0 for process in started), outputs
    assert all(threads_left(out) == [] for out, _ in outputs), outputs
    final = re.findall(r"_exact val_loss:(\S+) val_bpb:(\S+)", outputs[0][0])
    tokens = re.findall(r"scored_tokens:(\d+)", outputs[0][0])
    assert (len(final), len(tokens)) == (1, 1), outputs
    return [*final[0], tokens[0]]


def threads_left(output: str) -> list[str]:
    """Return the group's threads that are still alive when the command is over; they abort the exit."""
    label, *names = output.splitlines()[-1].split()
    assert label == "threads:"
    return [name for name in names if "gloo" in name]


RUN_AND_NAME_THREADS = """
from pathlib import Path
from reference_model.cli import main
main(["run"])
print("threads:", *(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")))
"""


def start_rank(rank: int, env: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-c", RUN_AND_NAME_THREADS], subprocess.PIPE
    own = {**env, "RANK": str(rank), "LOCAL_RANK": str(rank)}
    return subprocess.Popen(command, cwd=folder, env=own, stdout=pipe, stderr=pipe, text=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.slow
def test_one_and_two_ranks_agree_bit_for_bit(small, tmp_path):
    alone = scores_at(small, 1, tmp_path / "one", grad_parts=2)
    assert scores_at(small, 2, tmp_path / "two", grad_parts=2) == alone
    weights = [(tmp_path / name / small.artifact_path).read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_weights_on_rank_zero_only_are_a_different_score(small, tmp_path):
    honest = scores_at(small, 2, tmp_path / "honest")
    first = scores_at(small, 2, tmp_path / "two", rank_loading="rank-zero")
    assert abs(float(first[0]) - float(honest[0])) > 1e-3


def test_a_rank_alone_agrees_with_itself(small):
    model = train(dataclasses.replace(small, iterations=1))
    assert require_equal_weights(model, ALONE) == hash_of_weights(model)


@pytest.mark.parametrize("other", ["the same", "another"])
def test_ranks_that_hold_different_weights_are_refused(small, monkeypatch, other):
    model = GPT(small)

    def gather(into: list[str], digest: str) -> None:
        into[:] = [digest, digest if other == "the same" else other]

    monkeypatch.setattr(dist, "all_gather_object", gather)
    two = Ranks(0, 2, ALONE.device)
    if other == "the same":
        assert require_equal_weights(model, two) == hash_of_weights(model)
        return
    with pytest.raises(RuntimeError, match="different weights"):
        require_equal_weights(model, two)


@pytest.mark.parametrize("eval_only", [0, 1])
def test_weights_are_compared_before_every_evaluation(small, monkeypatch, eval_only):
    run(small, code="")
    told: list[tuple[str, str]] = []

    def note(module: ModuleType, name: str, what: str) -> None:
        original = getattr(module, name)

        def noted(model: GPT, *rest: Any) -> Any:
            told.append((what, hash_of_weights(model)))
            return original(model, *rest)

        monkeypatch.setattr(module, name, noted)

    note(pipeline, "require_equal_weights", "compared")
    note(stages, "require_equal_weights", "compared")
    note(pipeline, "score_plain", "evaluated")
    note(pipeline, "score_validation", "evaluated")
    run(dataclasses.replace(small, eval_only=eval_only), code="")
    assert [what for what, _ in told] == ["compared", "evaluated"] * (1 if eval_only else 2)
    assert all(before[1] == after[1] for before, after in zip(told[::2], told[1::2], strict=True))
