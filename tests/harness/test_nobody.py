"""Which heads the benchmark of runs leaves out of its second share: those that nobody can run."""

import pytest

from tests.benchmarks import bench_run, nobody

TREE = ["records/track/mine/train_gpt.py", "records/track/mine/own_helper.py", "shared_parts/heads.py"]
ABSENT = "missing package: unheard_of_parts"


def why(blocker, script="x = 1\n"):
    return nobody.why(blocker, script, [script], TREE)


def test_a_module_that_nobody_has_is_named():
    assert why(ABSENT, "import unheard_of_parts.heads as heads\n") == "imports unheard_of_parts"
    assert why(ABSENT, "from unheard_of_parts.heads import head\n") == "imports unheard_of_parts"
    fallback = "try:\n    import other.heads\nexcept ImportError:\n    import unheard_of_parts.heads\n"
    assert why(ABSENT, fallback) == "imports unheard_of_parts"


@pytest.mark.parametrize(
    "script",
    [
        "try:\n    import unheard_of_parts\nexcept ImportError:\n    raise\n",
        "if FAST:\n    import unheard_of_parts\n",
        "def main():\n    import unheard_of_parts\n",
        "from . import unheard_of_parts\n",
        "import importlib\nimportlib.import_module(NAME)\n",
    ],
)
def test_an_import_that_the_script_may_do_without_leaves_no_head_out(script):
    assert why(ABSENT, script) is None


@pytest.mark.parametrize("name", ["own_helper", "shared_parts", "msvcrt", "torch", "mamba_ssm"])
def test_a_module_that_somebody_has_leaves_no_head_out(name):
    assert why(f"missing package: {name}", f"import {name}\n") is None
    assert why(f"missing kernel package: {name}", f"import {name}\n") is None


def test_what_stopped_the_run_must_be_that_import():
    assert why("RuntimeError: shapes do not fit at train_gpt.py:3", "import unheard_of_parts\n") is None
    assert why("missing package: another_one", "import unheard_of_parts\n") is None
    assert why(None, "import unheard_of_parts\n") is None


@pytest.mark.parametrize("script", ["def f(:\n", "    x = 1\n", "return 3\n", "if x:\ny = 2\n"])
def test_a_script_that_no_version_compiles_is_nobodys_to_run(script):
    assert why("SyntaxError: invalid syntax at train_gpt.py:1", script) == "its script is not Python"


def test_a_newer_python_may_run_what_this_one_cannot():
    newer = "type Pair[T] = tuple[T, T]\nx = f'{y['a']}'\n"
    assert why("SyntaxError: invalid syntax at train_gpt.py:1", newer) is None
    assert why("SyntaxError: invalid syntax at packed.py:1", "exec(TEXT)\n") is None


def test_code_without_a_word_for_bits_has_no_score_to_reach():
    blocker = "ended without a val_bpb; last line: done"
    assert why(blocker, "print('loss', 3.0, 'bits 8')\n") == "computes no bits per byte"
    for line in ("print(f'bpb {x}')", "x / math.log(2)", "x / np.log( 2.0 )", "math.log2(x)", "x * 1.4427"):
        assert why(blocker, line + "\n") is None
    assert why("RuntimeError: ended early", "print('loss', 3.0)\n") is None


def test_the_second_share_leaves_them_out_and_the_first_does_not():
    rows = [
        {"pr": 1, "outcome": "completed", "blocker": None, "seconds": 1.0},
        {"pr": 2, "outcome": "crashed", "blocker": "KeyError", "nobody": None, "seconds": 1.0},
        {
            "pr": 3,
            "outcome": "blocked",
            "blocker": ABSENT,
            "nobody": "imports unheard_of_parts",
            "seconds": 1.0,
        },
        {"pr": 4, "outcome": "skipped", "blocker": "there is no training script", "seconds": 0.0},
    ]
    told = bench_run.summary(rows, [], [], []).splitlines()
    assert "run_completed: 1/3" in told
    assert "run_completed_runnable: 1/2 (without #3 imports unheard_of_parts)" in told
