# ruff: noqa: E501
"""Runs of a small script of our own, from training to its final score, in the sandbox."""

import linecache
from types import SimpleNamespace

import pytest

from harness import alone, child, runner, sandbox
from harness.discover import discover
from harness.facade import files
from harness.folder import load_folder
from harness.outcome import Ending, judge, scores
from harness.record import Experiment, Holds, Outcome
from harness.unpack import layers

SCRIPT = """
import glob, io, math, os, sys, time
import numpy as np, sentencepiece as spm, torch, torch.distributed as dist, torch.nn.functional as F

class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp512")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_512_bpe.model")
    vocab_size = int(os.environ.get("VOCAB_SIZE", 512))
    iterations = int(os.environ.get("ITERATIONS", 20000))
    train_seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 1024))
    model_dim = 512
    budget = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))

def load(pattern):
    parts = [np.fromfile(p, "<u2", offset=1024) for p in sorted(glob.glob(pattern))]
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))

def main():
    args = Hyperparameters()
    dist.init_process_group(backend="nccl")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    train = load(args.data_path + "/fineweb_train_*.bin").to(device)
    val = load(args.data_path + "/fineweb_val_*.bin").to(device)
    sp = spm.SentencePieceProcessor(model_file=args.tokenizer_path)
    assert sp.vocab_size() == args.vocab_size
    sizes = torch.tensor([1 if sp.is_byte(i) else len(sp.id_to_piece(i).encode()) for i in range(args.vocab_size)])
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Embedding(args.vocab_size, args.model_dim), torch.nn.Linear(args.model_dim, args.vocab_size))
    model = torch.compile(model.to(device).bfloat16())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    start, step = time.perf_counter(), 0
    while step < args.iterations and time.perf_counter() - start < args.budget:
        x = train[step * args.train_seq_len : (step + 1) * args.train_seq_len + 1]
        loss = F.cross_entropy(model(x[:-1]).float(), x[1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        print(f"step:{step} train_loss:{loss.item():.4f} train_time:{time.perf_counter() - start:.0f}s", flush=True)
    FAIL
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    open("final_model.pt", "wb").write(buffer.getvalue())
    print(f"Serialized model: {len(buffer.getvalue())} bytes width {args.model_dim}")
    model.load_state_dict(torch.load("final_model.pt", map_location="cuda"))
    with torch.inference_mode():
        loss = F.cross_entropy(model(val[:-1]).float(), val[1:]).item()
    bpb = loss / math.log(2) * (len(val) - 1) / sizes[val[1:]].sum().item()
    print(f"final_roundtrip_exact val_loss:{loss:.8f} val_bpb:{bpb:.8f}")

if __name__ == "__main__":
    main()
"""


def submission(path, text):
    folder = path / "2026-01-01_Tiny"
    folder.mkdir(exist_ok=True)
    (folder / "train_gpt.py").write_text(text)
    return load_folder(folder)


def run(path, text, **options):
    try:
        sandbox.choose()
    except sandbox.SandboxRefusedError as refusal:
        pytest.skip(f"this machine allows no sandbox: {refusal}")
    entry = submission(path, text)
    return runner.run(entry, layers(entry), None, runner.RunOptions(**{"probes": False, **options}))


@pytest.mark.slow
def test_a_script_runs_to_its_score_and_repeats(tmp_path):
    first = run(tmp_path, SCRIPT.replace("FAIL", "pass"))
    assert first.outcome is Outcome.COMPLETED, first.blocker
    assert 0 < first.reported["val_bpb"] < 20
    assert first.settings["ITERATIONS"] == "4 (was 20000)"
    assert first.settings["TRAIN_SEQ_LEN"] == "128 (was 1024)"
    assert first.settings["Hyperparameters.model_dim"] == "128 (was 512)"
    assert first.sandbox in ("namespaces", "bubblewrap")
    (tmp_path / "again").mkdir()
    again = run(tmp_path / "again", SCRIPT.replace("FAIL", "pass"))
    assert again.reported == first.reported


@pytest.mark.slow
def test_the_scripts_own_error_is_named_with_its_line(tmp_path):
    record = run(tmp_path, SCRIPT.replace("FAIL", "undefined_name"))
    assert record.outcome is Outcome.CRASHED
    line = SCRIPT[: SCRIPT.index("FAIL")].count("\n") + 1
    assert f"NameError: name 'undefined_name' is not defined at train_gpt.py:{line}" == record.blocker


@pytest.mark.slow
def test_a_script_started_by_the_script_finds_the_same_machine(tmp_path):
    text = """
import pathlib, subprocess, sys
second = "import sys, torch; print(f'final val_bpb:{sys.argv[2]}', torch.ones(1, device='cuda').item())"
pathlib.Path("second.py").write_text(second)
launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "1"]
subprocess.run([*launcher, "second.py", "--bpb", "1.25"], check=True)
"""
    record = run(tmp_path, text)
    assert record.outcome is Outcome.COMPLETED, record.blocker
    assert record.reported == {"val_bpb": 1.25}


@pytest.mark.parametrize(
    ("command", "script"),
    [
        (["/usr/bin/python3", "-u", "a/b.py", "--n", "2"], ["a/b.py", "--n", "2"]),
        (["torchrun", "--standalone", "c.py"], ["c.py"]),
        (["python", "-c", "print('d.py')"], []),
        (["gcc", "-o", "e", "f.py"], []),
        ("python g.py", []),
        ([], []),
    ],
)
def test_scripts_are_seen_in_the_commands_that_start_them(command, script):
    assert files._script(command) == script


@pytest.mark.slow
def test_a_script_that_refuses_a_launcher_of_ranks_runs_alone(tmp_path):
    text = SCRIPT.replace(
        "def main():\n", "def main():\n    if 'RANK' in os.environ: raise RuntimeError('not under DDP')\n"
    )
    text = text.replace('    dist.init_process_group(backend="nccl")\n', "").replace(
        'int(os.environ["LOCAL_RANK"])', "0"
    )
    record = run(tmp_path, text.replace("FAIL", "pass"))
    assert record.outcome is Outcome.COMPLETED, record.blocker
    assert "RuntimeError: not under DDP at train_gpt.py:19" in record.notes[0]


@pytest.mark.slow
def test_a_script_for_a_whole_node_runs_as_its_first_rank(tmp_path):
    asks = """
    assert dist.get_world_size() == int(os.environ["WORLD_SIZE"]) == 8
    total, shares = torch.ones(1, device=device), [torch.zeros(2) for _ in range(8)]
    dist.all_reduce(total)
    dist.all_gather(shares, torch.arange(2.0))
    assert (total.item(), torch.stack(shares).sum().item()) == (8, 8)
    """
    record = run(tmp_path, SCRIPT.replace("    FAIL", asks))
    assert record.outcome is Outcome.COMPLETED, record.blocker
    assert "AssertionError: assert dist.get_world_size() ==" in record.notes[0]


@pytest.mark.slow
def test_a_module_put_away_in_the_folder_is_found_when_it_is_asked_for(tmp_path):
    (tmp_path / "2026-01-01_Tiny" / "more").mkdir(parents=True)
    (tmp_path / "2026-01-01_Tiny" / "more" / "extras.py").write_text("def bpb(): return 1.25\n")
    record = run(tmp_path, "import extras\nprint(f'final val_bpb:{extras.bpb()}')\n")
    assert record.reported == {"val_bpb": 1.25}, record.blocker


@pytest.mark.slow
def test_a_missing_kernel_package_blocks_by_name(tmp_path):
    record = run(tmp_path, "import xformers\n" + SCRIPT)
    assert record.outcome is Outcome.BLOCKED
    assert record.blocker == "missing kernel package: xformers"


def raised(statement):
    with pytest.raises(ImportError) as error:
        exec(statement, {})
    return error.value


def test_a_name_that_a_module_lacks_is_no_missing_package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_parts.py").write_text("x = 1\n")
    machine = child._absent(raised("from json import unheard_of"), str(tmp_path))
    assert machine == {"missing": None, "lacking": "json has no unheard_of here"}
    theirs = child._absent(raised("from own_parts import unheard_of"), str(tmp_path))
    assert theirs == {"missing": None, "lacking": None}
    assert child._absent(raised("import unheard_of.parts"), str(tmp_path)) == {"missing": "unheard_of"}


def test_an_assertion_without_words_is_told_by_its_line(tmp_path):
    text = "ranks = 1\nassert ranks == 8\n"
    linecache.cache["asks.py"] = (len(text), None, text.splitlines(keepends=True), "asks.py")
    with pytest.raises(AssertionError) as error:
        exec(compile(text, "asks.py", "exec", dont_inherit=True), {})
    told = child._describe(error.value, str(tmp_path))
    assert (told["error"], told["where"]) == ("AssertionError: assert ranks == 8", "asks.py:2")


def test_a_failure_inside_a_package_is_told_by_the_line_that_called_it(tmp_path):
    text = "import torch\ntorch.optim.SGD([], lr=0.1)\n"
    with pytest.raises(ValueError, match="empty parameter list") as error:
        exec(compile(text, "calls.py", "exec", dont_inherit=True), {})
    assert child._describe(error.value, str(tmp_path))["where"] == "calls.py:2"


DEFINES = '"""Parts."""\nimport torch\nSIZE: int = 3\n\ndef score(model):\n    return model(SIZE)\n'


def test_a_script_that_only_defines_is_not_run(tmp_path):
    entry = submission(tmp_path, DEFINES)
    record = runner.run(entry, layers(entry))
    assert (record.outcome, record.seconds) == (Outcome.CRASHED, 0.0)
    assert record.blocker == "the script starts nothing: it only defines functions and classes"


@pytest.mark.parametrize(
    "more",
    [
        "score(print)\n",
        "RESULT = score(print)\n",
        "if __name__ == '__main__':\n    score(print)\n",
        "import train_gpt\n",
        "def broken(:\n",
    ],
)
def test_a_script_that_may_start_something_is_run(tmp_path, more):
    assert not runner.needs.starts_nothing(submission(tmp_path, DEFINES), DEFINES + more)


@pytest.mark.slow
def test_mlx_runs_its_python_and_compiles_nothing(tmp_path):
    pytest.importorskip("mlx.core", reason="installed by the extra `run`")
    text = """
import mlx.core as mx
calls = []
def loss(x):
    calls.append(1)
    return (x * x).mean()
compiled = mx.compile(loss)
total = sum(compiled(mx.ones((2,))).item() for _ in range(3))
print(f"final quantized val_loss:{total:.1f} val_bpb:{len(calls)}.0")
"""
    assert run(tmp_path, text).reported == {"val_loss": 3.0, "val_bpb": 3.0}


def test_time_is_up(tmp_path):
    record = run(tmp_path, SCRIPT.replace("FAIL", "[None for _ in iter(int, 1)]"), seconds=25)
    assert record.outcome is Outcome.TIMEOUT


def two_ranks(text):
    """Every rank takes part in what the two compute; only the first prints."""
    return text.replace(
        "FAIL",
        """rank, world = dist.get_rank(), dist.get_world_size()
    mean, share, all_of = torch.tensor([float(rank)]), torch.zeros(1), torch.zeros(2)
    dist.all_reduce(mean, op=dist.ReduceOp.AVG)
    handle = dist.reduce_scatter_tensor(share, torch.tensor([1.0, 3.0]) * (rank + 1), op=dist.ReduceOp.AVG, async_op=True)
    handle.wait()
    dist.all_gather_into_tensor(all_of, share)
    dist.barrier(device_ids=[rank])
    from torch.nn.parallel import DistributedDataParallel as DDP
    wrapped = DDP(torch.nn.Linear(1, 1).to(device), device_ids=[rank])
    wrapped(torch.full((1, 1), float(rank))).sum().backward()
    assert [world, mean.item(), all_of.tolist(), wrapped.module.weight.grad.item()] == [2, 0.5, [1.5, 4.5], 0.5]
    assert rank == 0 or not BROKEN, "the second rank alone is wrong"
    print(f"ranks agree: {world}", flush=True)""",
    )


@pytest.mark.slow
def test_two_ranks_really_run_over_gloo(tmp_path):
    record = run(tmp_path, two_ranks(SCRIPT).replace("BROKEN", "False"), ranks=2, keep=tmp_path / "kept")
    assert record.outcome is Outcome.COMPLETED, record.blocker
    assert "ranks agree: 2" in (tmp_path / "kept" / "output.txt").read_text()


@pytest.mark.slow
def test_the_rank_that_fails_first_is_the_one_that_is_named(tmp_path):
    record = run(tmp_path, two_ranks(SCRIPT).replace("BROKEN", "True") + "\n", ranks=2)
    assert record.outcome is Outcome.CRASHED
    assert record.blocker.startswith("rank 1: AssertionError: the second rank alone is wrong at train_gpt.py")


def test_no_sandbox_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "_best", lambda: "unshare: Operation not permitted")
    entry = submission(tmp_path, SCRIPT)
    record = runner.run(entry, layers(entry))
    assert record.outcome is Outcome.REFUSED
    assert "--no-sandbox" in record.blocker


def session_of(tmp_path, claimed=None):
    entry = submission(tmp_path, SCRIPT)
    session = runner._Session(entry, layers(entry), None, runner.RunOptions(), sandbox.Sandbox(), 0.0)
    session.claimed = claimed or {}
    return session


@pytest.mark.slow
def test_what_a_dying_run_has_written_is_evaluated_by_a_second_process(tmp_path):
    """Some records were evaluated so: training in one process, the last evaluation in another."""
    text = SCRIPT.replace("FAIL", "pass").replace(
        "def main():\n", "def main():\n    only = os.environ.get('TTT_EVAL_ONLY', '0') == '1'\n"
    )
    text = text.replace("while step < args", "while not only and step < args")
    text = text.replace('    open("final', '    only or open("final').replace(
        "    with torch.inference_mode",
        "    if not only: raise OSError('after training')\n    with torch.inference_mode",
    )
    record = run(tmp_path, text, probes=True)
    assert record.outcome is Outcome.COMPLETED, record.blocker
    found = {e.name: str(e.result) for e in record.experiments}
    assert {found[name] for name in ("noise", "roundtrip", "independence")} == {"holds"}
    assert record.settings["TTT_EVAL_ONLY"] == "1 (was 0)"
    assert "training ended in: OSError: after training" in record.notes[0]


@pytest.mark.parametrize(
    ("text", "switch"),
    [
        ('a = os.environ.get("EVAL_ONLY", "0"); b = os.environ.get("TTT_EVAL_ONLY", "0")', "TTT_EVAL_ONLY=1"),
        ('m = os.environ.get("JOB_MODE", "train_and_eval")\nif m == "eval_only": pass', "JOB_MODE=eval_only"),
        ('m = os.environ.get("TIER_MODE", "soft")\nif x == "eval_only": pass', None),
        ('m = os.environ.get("JOB_MODE", "train")', None),
    ],
)
def test_a_script_that_evaluates_alone_is_told_to_by_a_switch_or_by_a_mode(tmp_path, text, switch):
    entry = submission(tmp_path, "import os\n" + text)
    found = alone.switch(discover(layers(entry)), layers(entry))
    assert (f"{found[0].name}={found[1]}" if found else None) == switch


@pytest.mark.parametrize(("outcome", "kept"), [(Outcome.COMPLETED, 1), (Outcome.CRASHED, 0)])
def test_experiments_of_another_attempt_do_not_come_with_a_failure(tmp_path, outcome, kept):
    """A second process may have been experimented on, although the first one's failure stands."""
    session = session_of(tmp_path)
    held = Experiment("noise", Holds.HOLDS, "noise is charged its floor")
    companion = SimpleNamespace(results=lambda: ((held,), {}))
    session.options = runner.RunOptions(companion=companion)
    shrunk = runner.shrink.shrink(session.knobs, {})
    record = session._record(runner.Attempt("default"), shrunk, Ending(outcome, None, {}, ()))
    assert len(record.experiments) == kept


def test_the_last_score_counts():
    text = "step:4 val_loss:3.0 val_bpb:2.0\nfinal val_loss:2.5 val_bpb:1.5\nTotal submission size: 5 bytes\n"
    assert scores(text)[0] == {"val_loss": 2.5, "val_bpb": 1.5}


@pytest.mark.parametrize(
    ("told", "outcome", "blocker"),
    [
        ('{"kind": "end"}', Outcome.COMPLETED, None),
        (
            '{"kind": "exit", "error": "3"}',
            Outcome.CRASHED,
            "the script left with 3; last line: final val_bpb:1.5",
        ),
        ('{"kind": "exit", "error": "no data"}', Outcome.CRASHED, "the script left with no data"),
        ("not json", Outcome.CRASHED, "the process died; last line: final val_bpb:1.5"),
        (
            '{"kind": "FileNotFoundError", "error": "FileNotFoundError: [Errno 2] No such file or directory: \'kanzi\'"}',
            Outcome.BLOCKED,
            "missing program: kanzi",
        ),
        (
            '{"kind": "SyntaxError", "where": "a.py:1", "error": "File \\"a.py\\", line 1\\n %%x\\nSyntaxError: invalid syntax"}',
            Outcome.CRASHED,
            "SyntaxError: invalid syntax at a.py:1",
        ),
        (
            '{"kind": "ImportError", "where": "a.py:1", "missing": null, "lacking": "torch.nn has no Head here"}',
            Outcome.BLOCKED,
            "torch.nn has no Head here",
        ),
    ],
)
def test_endings(tmp_path, told, outcome, blocker):
    (tmp_path / "status.json").write_text(told)
    ending = judge("final val_bpb:1.5", tmp_path / "status.json", False, 1.0)
    assert (ending.outcome, ending.blocker) == (outcome, blocker)


@pytest.mark.slow
def test_a_module_for_pictures_that_is_not_shipped_does_not_end_a_scored_run(tmp_path):
    text = SCRIPT.replace("FAIL", "pass").replace(
        'if __name__ == "__main__":',
        '    from own_plots import draw\n    draw(bpb)\n\nif __name__ == "__main__":',
    )
    record = run(tmp_path, text)
    assert record.outcome is Outcome.COMPLETED, record.notes
    assert "module own_plots, which is nowhere to be had, did nothing" in record.notes
