"""What the simulation remembers of a call: it spares repetition, and never outlives what the call read."""

import ast

from checkers.facts.machine import simulate
from checkers.facts.memory import Remembered, holders, newer
from checkers.facts.settings import Settings
from checkers.facts.source import parse
from checkers.facts.values import (
    TRAIN,
    VAL,
    Function,
    Instance,
    Mapping,
    Method,
    Sequence,
    Value,
    flat,
)
from harness.unpack import Layer

READER = """
class Box:
    pass
box = Box()
other = Box()
table = {"k": 1}
items = [1]
box.inner = Box()
box.inner.width = 3
other.count = 0
def read(x):
    return box.inner.width + table["k"] + len(items)
"""


def run(script):
    """Simulate a script; give the machine and its function ``read``."""
    machine = simulate((parse(Layer("t.py", "t.py", script, script)),), Settings())
    assert machine.failure == ""
    return machine, next(n for n in machine.entered if getattr(n, "name", "") == "read")


def runs(change):
    """How often the body of ``read`` is run when it is called, something changes, and it is called again."""
    machine, function = run(f"{READER}\nfirst = read(5)\n{change}\nsecond = read(5)\n")
    return machine.entered[function]


def constant(machine, name):
    """The constant last assigned to a module-level name."""
    tree = machine.modules[0].tree
    values = [s.value for s in tree.body if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == name]
    return machine.values[values[-1]].const


def test_a_call_is_not_repeated_while_nothing_it_read_changes():
    assert runs("pass") == 1
    assert runs("other.count = 1") == 1
    assert runs("other.more = {}; other.more['k'] = 2") == 1


def test_a_change_below_what_a_call_read_makes_it_run_again():
    assert runs("box.inner.width = 4") == 2
    assert runs("box.inner = Box()") == 2
    assert runs("table['k'] = 2") == 2
    assert runs("items.append(2)") == 2


def test_a_repeated_call_sees_the_new_value():
    script = f"{READER}\nfirst = read(5)\nbox.inner.width = 4\nlast = read(5)\n"
    machine, _ = run(script)
    assert (constant(machine, "first"), constant(machine, "last")) == (5, 6)


def test_what_a_callee_read_counts_for_its_caller():
    script = f"{READER}\ndef outer():\n    return read(1)\na = outer()\nbox.inner.width = 9\nb = outer()\n"
    machine, _ = run(script)
    assert (constant(machine, "a"), constant(machine, "b")) == (5, 11)


def test_what_a_recalled_callee_read_counts_for_its_caller():
    script = (
        f"{READER}\ndef outer():\n    return read(1)\n"
        "first = read(1)\na = outer()\nbox.inner.width = 9\nb = outer()\n"
    )
    machine, _ = run(script)
    assert (constant(machine, "a"), constant(machine, "b")) == (5, 11)


def test_a_memory_holds_up_to_the_first_later_stamp_below_its_roots():
    leaf, other = Instance(None), Instance(None)
    root = Sequence([Value(refs=(leaf,))])
    known = Remembered(0, Value(1), frozenset({root}), stamp=5, weights=None)
    other.stamp = 6
    assert known.holds(6, weights=0)
    leaf.stamp = 7
    assert newer([root], 6)
    assert not known.holds(7, weights=0)


def test_a_memory_that_read_learned_state_ends_with_it():
    known = Remembered(0, Value(1), frozenset(), stamp=5, weights=2)
    assert known.holds(5, weights=2)
    assert not known.holds(5, weights=3)


def test_holders_look_through_what_is_bound():
    inside = Mapping()
    bound = Value(refs=(inside,))
    method = Function(ast.parse("def f(self): pass").body[0], None, {}, bound=bound)
    assert list(holders(Value(refs=(Method(bound, "get"), method)))) == [inside, inside]


FRESH = """
import glob
import numpy as np
import torch
import torch.nn.functional as F
tokens = np.fromfile("fineweb_val_000000.bin", dtype=np.uint16)
def room(n):
    return torch.zeros(n)
def read(n):
    return [torch.zeros(n)]
first = room(5)
boxes = read(5)
first[0] = tokens[1]
boxes[0][0] = tokens[1]
second = room(5)
others = read(5)
"""


def test_storage_that_a_call_makes_is_made_anew_when_it_is_recalled():
    machine, _ = run(FRESH)
    values = machine.modules[0].tree.body
    last = {ast.unparse(s.targets[0]): machine.values[s.value] for s in values if isinstance(s, ast.Assign)}
    first, second = (last[name].refs for name in ("first", "second"))
    assert first[0] is not second[0]
    assert first[0].state & VAL
    assert not second[0].state & VAL
    made, other = (last[name].refs[0].items[0].refs[0] for name in ("boxes", "others"))
    assert made.state & VAL
    assert not other.state & VAL


def test_what_a_recalled_call_returns_of_its_arguments_is_still_theirs():
    machine, _ = run(
        "import torch\n"
        "def read(x):\n    return x\n"
        "a = torch.zeros(3)\nb = torch.zeros(3)\nfirst = read(a)\nsecond = read(b)\n"
    )
    calls = {ast.unparse(c): machine.values[c] for c in machine.modules[0].calls}
    assert calls["read(b)"].refs != calls["read(a)"].refs
    assert calls["read(b)"].refs == machine.values[_name(machine, "b")].refs


def _name(machine, name):
    """The last reading of a name."""
    nodes = [n for n in machine.values if isinstance(n, ast.Name) and n.id == name]
    return nodes[-1]


def test_a_call_that_made_no_score_runs_again_where_what_it_is_given_makes_one():
    script = (
        "import glob\nimport numpy as np\nimport torch\nimport torch.nn.functional as F\n"
        "table = torch.nn.Embedding(8, 8)\n"
        "def read(p):\n    return -torch.log(p)\n"
        "def score(tokens):\n    return read(F.softmax(table(tokens[:-1]), -1).gather(-1, tokens[1:]))\n"
        "warm = score(torch.zeros(9))\n"
        "score(np.fromfile(sorted(glob.glob('fineweb_val_*.bin'))[0], np.uint16))\n"
    )
    machine, function = run(script)
    assert machine.entered[function] == 2


KEEPER = """
import os
import numpy as np
import torch
class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = None
    def read(self, x):
        self.last = x * 2
        return x + 1
one, other = Layer(), Layer()
val = np.fromfile("fineweb_val_000000.bin", np.uint16)
train = np.fromfile("fineweb_train_000000.bin", np.uint16)
one.read(val)
one.read(train)
"""


def last_of(machine, layer):
    """The sources of what an instance kept."""
    (instance,) = machine.values[_name(machine, layer)].refs
    return flat(instance.attrs["last"]) & (VAL | TRAIN)


def test_a_number_that_a_recalled_call_keeps_is_kept_again():
    machine, function = run(f"{KEEPER}\none.read(torch.tensor(float(os.environ['X'])))\n")
    assert machine.entered[function] == 2
    assert last_of(machine, "one") == 0


def test_a_number_is_kept_where_the_call_was_recalled_for():
    machine, function = run(f"{KEEPER}\none.read(val)\nother.read(val)\nother.read(train)\n")
    assert machine.entered[function] == 4
    assert (last_of(machine, "one"), last_of(machine, "other")) == (VAL, TRAIN)


def test_a_call_that_reads_what_it_keeps_is_not_recalled():
    script = KEEPER.replace("self.last = x * 2", "self.last = x if self.last is None else self.last + x")
    machine, function = run(f"{script}\none.read(torch.tensor(float(os.environ['X'])))\n")
    assert machine.entered[function] == 3
    assert last_of(machine, "one") == VAL | TRAIN


def test_a_number_kept_deep_below_an_argument_is_found_again():
    script = KEEPER.replace("one.read(val)\none.read(train)\n", "") + (
        "class Block(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.parts = [Layer()]\n"
        "    def run(self, x):\n        return self.parts[0].read(x)\n"
        "blocks = [Block(), Block()]\n"
        "for block in blocks:\n    block.run(val)\n    block.run(train)\n"
        "first, second = blocks[0].parts[0], blocks[1].parts[0]\n"
        "first.read, second.read\n"
    )
    machine, function = run(script)
    assert machine.entered[function] == 3
    assert (last_of(machine, "first"), last_of(machine, "second")) == (TRAIN, TRAIN)
