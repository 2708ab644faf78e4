"""The façade, looked at from a script that believes it runs on a GPU node."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def seen():
    done = subprocess.run(
        [sys.executable, str(HERE / "facade_script.py")],
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_request_for_a_gpu_is_answered_with_a_cpu_tensor(seen):
    assert seen["devices"] == ["cpu"]
    assert seen["thread_device"] == ["cpu"]
    assert seen["cuda"] == [True, 1, 9]
    assert seen["is_cuda"] is True
    assert seen["recorded"] is None


def test_what_is_brought_from_the_gpu_has_memory_of_its_own(seen):
    assert seen["kept"] == [[1.0, 1.0]] * 3
    assert seen["host"] == [False, True, True]


def test_what_scripts_ask_of_a_node_is_answered(seen):
    assert seen["answers"] == {
        "memory_stats": 0,
        "nccl": True,
        "generator": True,
        "sensors": [0, 0, 0],
        "device": [1024, "GPU"],
        "type": 3.0,
        "graphs": False,
        "supported": True,
        "limit": 8,
    }


def test_what_only_a_gpu_can_do_leaves_the_result(seen):
    assert seen["singular"] == [3.0, 2.0]
    assert seen["saved_gradient"] == [2.0, 2.0]
    assert seen["parallel"] == [True, [3, 1]]
    assert seen["joined"] == [1, 1, 0]


def test_what_a_plain_call_loads_is_not_weights_alone(seen):
    assert (seen["loaded"], seen["refused"]) == ([1.0, 1.0], True)


def test_attention_returns_as_much_as_its_caller_takes(seen):
    assert seen["flash_pair"] is True
    assert seen["flash_triple"] is True


def test_bfloat16_is_float32_everywhere(seen):
    assert seen["alias"] is True
    assert seen["autocast_dtype"] == "torch.float32"


def test_collectives_of_one_rank_copy(seen):
    assert seen["gathered"] == [0.0, 1.0, 2.0, 3.0]
    assert seen["scattered"] == [0.0, 2.0, 4.0, 6.0]
    assert seen["lists"] == [[0.0, 1.0, 2.0, 3.0], [{"a": 1}]]
    assert seen["rank_of_world"] == [0, 1, True]
    assert seen["ddp"] == [1, 1]
    assert seen["destroyed"] is True


def test_a_budget_of_wall_clock_ends_after_the_steps_we_chose(seen):
    assert seen["steps_in_budget"] == 4


def test_a_search_that_goes_on_while_there_is_time_ends(seen):
    assert 10 < seen["tried_while_there_is_time"] < 100


def test_a_budget_of_wall_clock_ends_without_an_optimizer_too(seen):
    assert 64 < seen["updates_by_hand"] < 300


def test_sleeping_takes_virtual_time_alone(seen):
    assert seen["slept_ms"] == 5000


def test_threads_beside_the_main_one_move_no_time(seen):
    """How often a loader in the background had looked at the clock changed a learning rate, so weights."""
    assert seen["beside_ms"] == 0.1  # the one look of the main thread


def test_compiling_is_the_identity(seen):
    assert seen["compiled"] == 2.0
    assert seen["unwrapped"] == [True, True]  # and a loop that unwraps came to its end
    assert seen["checkpoint"] == 3.0
    assert seen["inference_cache_in_training"] is True
    assert seen["compiled_before"] == 0  # as dynamo's counters tell


@pytest.mark.parametrize("law", ["flash_is_sdpa", "varlen_is_batch", "window_is_masked"])
def test_flash_attention_agrees_with_its_definition(seen, law):
    assert seen[law] is True


def test_constants_are_set_where_they_are_configuration_and_nowhere_else(seen):
    assert seen["constants"] == [8, 2, 1.0, [3, 5], [3, 5]]
    assert seen["source_found"] is True
