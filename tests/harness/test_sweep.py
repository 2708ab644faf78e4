"""A sweep is complete, ordered, cached, and continues where it was killed."""

import json
import time
from functools import partial

import pytest

from harness import sweep
from harness.submission import SubmissionError


def job(task, log=None):
    if log is not None:
        with open(log, "a") as file:
            file.write(f"{task.pr}\n")
    return json.dumps({"pr": task.pr}).encode()


def tasks(*prs):
    return [sweep.Task(pr, f"sha{pr}", sweep.task_key("v1", str(pr))) for pr in prs]


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_gets_one_record_in_the_order_asked_for(tmp_path, jobs):
    peak = sweep.sweep(tasks(3, 1, 2), job, tmp_path, jobs=jobs)
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["pr"] for line in lines] == [3, 1, 2]
    assert peak > 0


def test_a_second_sweep_does_nothing_again_and_says_so(tmp_path):
    log = tmp_path / "log"
    sweep.sweep(tasks(1, 2), partial(job, log=log), tmp_path, jobs=1)
    cached = []
    sweep.sweep(
        tasks(1, 2, 3),
        partial(job, log=log),
        tmp_path,
        jobs=1,
        on_finished=lambda t, r, c: cached.append((t.pr, c)),
    )
    assert log.read_text().split() == ["1", "2", "3"]
    assert cached == [(1, True), (2, True), (3, False)]


def test_a_killed_sweep_keeps_what_it_had_finished(tmp_path):
    def dies(task):
        if task.pr == 3:
            raise KeyboardInterrupt
        return job(task)

    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(tasks(1, 2, 3), dies, tmp_path, jobs=1)
    done = []
    sweep.sweep(tasks(1, 2, 3), job, tmp_path, jobs=1, on_finished=lambda t, r, c: done.append(c))
    assert done == [True, True, False]


def test_a_pathological_head_runs_out_of_time():
    with pytest.raises(sweep.HeadTimeout), sweep.time_limit(1):
        time.sleep(5)


def test_numbers_reads_lists_and_ranges():
    assert sweep.numbers("7,1-3,2") == [1, 2, 3, 7]


@pytest.mark.parametrize("text", ["", "a", "1-", "1-b", "1,,2", "-5"])
def test_numbers_refuses_anything_else_naming_it(text):
    with pytest.raises(SubmissionError, match="--prs"):
        sweep.numbers(text)


def test_the_tool_digest_is_stable():
    assert sweep.tool_digest() == sweep.tool_digest()
