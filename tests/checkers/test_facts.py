"""The facts engine: totality, folding, reach, sources, flow, and that equal content gives equal facts."""

import ast
import gc
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkers.facts import UNKNOWN, Did, collect
from checkers.facts.facts import _collect
from checkers.facts.machine import simulate
from checkers.facts.settings import Known, Settings
from checkers.facts.source import parse
from harness.folder import load_folder
from harness.logs import read
from harness.lowering import tree
from harness.unpack import Layer, layers


def facts_of(tmp_path, script, **files):
    folder = tmp_path / "record"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(script)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    submission = load_folder(folder)
    peeled = layers(submission)
    return collect(submission, peeled, read(submission, peeled))


def call(facts, name):
    """The first call of a name in the script."""
    return next(c for m in facts.modules for c in m.calls if ast.unparse(c.func) == name)


SWITCH = """
import os
def offence():
    return 1
def legal():
    return 2
class Args:
    on = bool(int(os.environ.get("SWITCH", "0")))
args = Args()
if args.on:
    offence()
else:
    legal()
"""


def test_code_that_a_default_switches_off_is_dead(tmp_path):
    facts = facts_of(tmp_path, SWITCH)
    assert facts.reaches(call(facts, "legal"))
    reach = facts.reaches(call(facts, "offence"))
    assert not reach
    assert "SWITCH (default in the code)" in reach.why


def test_the_command_of_the_readme_switches_it_on(tmp_path):
    readme = "```bash\nSWITCH=1 torchrun --nproc_per_node=8 train_gpt.py\n```\n"
    facts = facts_of(tmp_path, SWITCH, README__md=readme)
    assert facts.reaches(call(facts, "offence"))
    assert not facts.reaches(call(facts, "legal"))


@pytest.mark.parametrize(
    "way",
    [
        "table = {'a': work}\ntable['a']()",
        "from functools import partial\npartial(work)()",
        "class Box:\n    run = staticmethod(work)\ngetattr(Box, 'run')()",
        "alias = work\n(lambda f: f())(alias)",
        "import torch\ntorch.compile(work)()",
        "globals()['work']()",
        "import threading\nthreading.Thread(target=work).start()",
    ],
)
def test_indirection_is_followed(tmp_path, way):
    facts = facts_of(tmp_path, f"def work():\n    print('here')\n{way}\n")
    assert facts.reaches(call(facts, "print"))


def test_a_function_nobody_calls_does_not_run(tmp_path):
    facts = facts_of(tmp_path, "def work():\n    print('here')\n")
    assert "never called" in facts.reaches(call(facts, "print")).why


def test_a_decorator_with_a_stand_in_does_not_run_what_it_decorates(tmp_path):
    """The program ran twice, and the second training came after the first load of the artifact."""
    script = """
try:
    from torch.distributed.elastic.multiprocessing.errors import record
except ImportError:
    def record(function):
        return function
@record
def main():
    print("val_bpb:", 1.0)
main()
"""
    facts = facts_of(tmp_path, script)
    main = next(iter(facts.machine.callees[call(facts, "main")]))
    assert facts.machine.entered[main] == 1


def test_sources_follow_values_and_not_names(tmp_path):
    script = """
import glob
import numpy as np
def shard(pattern):
    return np.concatenate([np.fromfile(f, dtype=np.uint16) for f in sorted(glob.glob(pattern))])
train_tokens = shard("data/fineweb_" + "val_*.bin")
val_tokens = shard("data/fineweb_train_*.bin")
show(train_tokens, val_tokens)
"""
    facts = facts_of(tmp_path, script)
    first, second = call(facts, "show").args
    assert "val" in facts.sources(first)
    assert "train" not in facts.sources(first)
    assert "train" in facts.sources(second)


def test_a_slice_goes_back_through_calls_and_parameters(tmp_path):
    facts = facts_of(tmp_path, "def twice(v):\n    return v * 2\nbase = 21\nshow(twice(base))\n")
    found = {ast.unparse(n) for n in facts.flow.sources(call(facts, "show").args[0])}
    assert {"v * 2", "21"} <= found


def test_constants_are_folded_and_unknown_stays_unknown(tmp_path):
    facts = facts_of(tmp_path, "import time\nn = 3\nshow(n * 4 + 1, time.time())\n")
    first, second = call(facts, "show").args
    assert facts.constant(first) == 13
    assert facts.constant(second) is UNKNOWN


def test_places_carry_line_column_and_excerpt(tmp_path):
    facts = facts_of(tmp_path, "x = 1\nshow( x )\n")
    where = facts.place(call(facts, "show"))
    assert (where.line, where.column, where.excerpt) == (2, 1, "show(x)")


def test_the_same_content_gives_the_same_events(tmp_path):
    def summary(folder):
        folder.mkdir()
        return [(e.kind, e.node.lineno) for e in facts_of(folder, SWITCH + "print(1)\n").events]

    assert summary(tmp_path / "a") == summary(tmp_path / "b")


def test_what_cannot_be_parsed_is_a_problem_and_not_an_error(tmp_path):
    facts = facts_of(tmp_path, "def broken(:\n")
    assert facts.machine is None
    assert facts.problems
    assert facts.of(Did.SCORE) == []


def test_endless_programs_are_cut_off():
    body = "    for a in range(9):\n        f(n)\n        g(n)\n"
    script = f"def f(n):\n{body}def g(n):\n{body}f(1)\n"
    machine = simulate((parse(Layer("x", "x", script, script)),), Settings())
    assert machine.steps <= machine.limit + 1


WORDS = [
    "x",
    "y",
    "x.grad",
    "f",
    "f(x)",
    "x[1:]",
    "[x, y]",
    "{'a': x}",
    "lambda q: q",
    "1",
    "'s'",
    "None",
    "(x, *[y])",
]
LINES = [
    "x = {}",
    "y += {}",
    "for x in {}:\n    y = x",
    "if {}:\n    x = y",
    "def f(a, *b, c=1, **d):\n    return {}",
    "class C:\n    z = {}",
    "x.w = {}",
    "y[x] = {}",
    "with {} as x:\n    pass",
    "while {}:\n    break",
    "try:\n    {}\nexcept E as x:\n    raise",
    "x = [q for q in {} if q]",
    "print(f'{{{}}}')",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(WORDS)), max_size=12))
def test_any_program_is_simulated_without_a_defect(parts):
    text = "\n".join(line.format(word) for line, word in parts)
    try:
        ast.parse(text)
    except SyntaxError:
        return
    machine = simulate((parse(Layer("x", "x", text, text)),), Settings())
    assert machine.failure == ""


def test_a_documented_rank_is_that_of_a_matrix():
    """The launcher numbers the processes; an ``echo "... RANK=80"`` left no process to print the score."""
    printed = {"rank": Known("8", "log"), "seed": Known("7", "log")}
    assert Settings(printed=printed).env("RANK") == ()
    assert Settings(printed=printed).env("SEED") == (Known("7", "log"),)
    assert Settings({"RANK": Known("80", "run.sh")}, printed).env("RANK") == ()


BYTES = """
import glob
import torch
def tokens(pattern):
    with open(glob.glob(pattern)[0], "rb") as file:
        content = bytearray(file.read())
    return torch.frombuffer(content, dtype=torch.int16)
kept = tokens("fineweb_val_*.bin")
print(kept.sum())
"""


def test_a_bytearray_is_made_of_what_was_read(tmp_path):
    facts = facts_of(tmp_path, BYTES)
    assert "val" in facts.sources(call(facts, "kept.sum"))


CACHE = """
import glob
import numpy as np
MAPPED = {}
def shard(name):
    kept = MAPPED.get(name)
    if kept is not None:
        return kept
    kept = np.memmap(name, dtype="<u2", mode="r")
    MAPPED[name] = kept
    return kept
validation = [shard(name) for name in sorted(glob.glob("fineweb_val_*.bin"))]
training = [shard(name) for name in sorted(glob.glob("fineweb_train_*.bin"))]
print(max(training), max(validation))
"""


def test_a_cache_of_files_keeps_the_splits_apart(tmp_path):
    facts = facts_of(tmp_path, CACHE)
    machine = facts.machine
    assert machine is not None
    contents = [
        facts.keys(machine.content(facts.value(c.args[0])))
        for m in facts.modules
        for c in m.calls
        if ast.unparse(c.func) == "max"
    ]
    assert [{k[1] for k in keys} & {"val", "train"} for keys in contents] == [{"train"}, {"val"}]


def test_what_one_submission_does_to_none_does_not_show_in_the_next():
    from checkers.facts.values import NULL

    NULL.state |= 1 << 40
    assert NULL.state == 0


CLOSURES = """
import base64
packed = base64.b64decode("cGFzcw==")
def outer(scale):
    def inner(x):
        return x * scale
    return lambda y: inner(y)
class Box:
    def read(self):
        return outer(2)(3)
exec(packed)
for item in [Box()]:
    print("final val_bpb", item.read())
"""


def test_facts_nobody_asks_any_more_are_freed_without_the_garbage_collector(tmp_path):
    gc.disable()
    try:
        facts = facts_of(tmp_path, CLOSURES)
        assert facts.complete
        assert facts.reaches(call(facts, "print"))
        trees = [weakref.ref(m.tree) for m in facts.modules]
        assert len(trees) == 2
        del facts
        _collect.cache_clear()
        tree.cache_clear()
        assert [ref() for ref in trees] == [None, None]
    finally:
        gc.enable()
