"""Scripts that print or compute on other threads: a fork begins them again."""

import re

import pytest

from harness.record import Holds
from tests.harness.test_experiments_on_scripts import BASE, SETTLED
from tests.harness.toy_run import run

LOGGER = """
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

LINES, POOL = queue.KIND(), ThreadPoolExecutor(1)
POOL.submit(len, "").result()


def write():
    while True:
        line = LINES.get()
        if line is None:
            return
        print(line, flush=True)


WRITER = threading.Thread(target=write)
WRITER.start()


def main():"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SimpleQueue", "Queue"])
@pytest.mark.parametrize("joined", [True, False])
def test_a_script_that_prints_and_computes_on_other_threads_is_followed_into_its_forks(
    kind, joined, tmp_path
):
    text = BASE.read_text().replace("def main():", LOGGER.replace("KIND", kind))
    text = text.replace(
        "total, count = evaluate(model, val)",
        "total, count = evaluate(model, POOL.submit(load, 'val').result())",
    )
    text = re.sub(r"print\(f\"final", 'LINES.put("scored")\n    LINES.put(f"final', text)
    if joined:
        text = text.replace("\n\nif __name__", "\n    LINES.put(None)\n    WRITER.join()\n\n\nif __name__")
    else:
        text = text.replace("threading.Thread(target=write)", "threading.Thread(target=write, daemon=True)")
    (tmp_path / "script.py").write_text(text)
    done = run(tmp_path, tmp_path / "script.py")
    assert done.problem == ""
    assert {done.experiments[name].result for name in SETTLED} == {Holds.HOLDS}, done.experiments
