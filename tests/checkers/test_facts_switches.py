"""Which code ran: what logs print of settings, and what leaves a loop early."""

import base64
import lzma

import pytest

from checkers.facts import Did
from tests.checkers.test_facts import SWITCH, call, facts_of

FINAL = "final val_loss:1.0000 val_bpb:1.0000\n"
NAMED = """
import os
class Args:
    cache = bool(int(os.environ.get("CACHE", "0")))
def offence():
    return 1
args = Args()
if args.cache:
    offence()
"""
README = "```bash\nCACHE=1 torchrun --nproc_per_node=8 train_gpt.py\n```\n"


def test_words_after_the_name_of_a_setting_do_not_hide_its_value_in_the_command(tmp_path):
    facts = facts_of(tmp_path, NAMED, README__md=README, run__log=f"seed:1\ncache:starting\n{FINAL}")
    assert facts.reaches(call(facts, "offence"))


def test_a_setting_that_the_log_calls_enabled_is_on(tmp_path):
    facts = facts_of(tmp_path, NAMED, run__log=f"seed:1\ncache:enabled orders=2-7\n{FINAL}")
    assert facts.reaches(call(facts, "offence"))


SAID = """
import os
class Args:
    tune = bool(int(os.environ.get("TUNE", "0")))
    rate = float(os.environ.get("TUNE_RATE", 0.1))
def offence():
    return 1
args = Args()
on = args.tune
print(f"eval:start stride=64{f' tune_rate={args.rate}' if on else ''}")
if args.tune:
    offence()
print(f"final val_loss:{1.0:.4f} val_bpb:{1.0:.4f}")
"""
LOG = "seed:1\neval:start stride=64{}\nfinal val_loss:1.0000 val_bpb:1.0000\n"


def test_words_that_only_an_arm_not_taken_prints_turn_its_switch(tmp_path):
    facts = facts_of(tmp_path, SAID, run__log=LOG.format(" tune_rate=0.1"))
    assert facts.reaches(call(facts, "offence"))


def test_a_log_without_these_words_turns_nothing(tmp_path):
    facts = facts_of(tmp_path, SAID, run__log=LOG.format(""))
    assert not facts.reaches(call(facts, "offence"))


def test_the_default_holds_where_nothing_is_said(tmp_path):
    assert not (facts := facts_of(tmp_path, SWITCH)).reaches(call(facts, "offence"))


LEFT = """
import glob
import numpy as np
ids = np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16)
share = 0.0
for order in range(4, 0, -1):
    if order in unknown():
        share = ids[order]
        {}
print(share)
"""


def test_what_is_assigned_before_a_break_is_there_after_the_loop(tmp_path):
    facts = facts_of(tmp_path, LEFT.format("break"))
    assert "val" in facts.sources(call(facts, "print").args[0])


def test_what_is_assigned_before_a_continue_is_there_after_the_loop(tmp_path):
    facts = facts_of(tmp_path, LEFT.format("continue"))
    assert "val" in facts.sources(call(facts, "print").args[0])


BY_HAND = """
import glob
import numpy as np
import torch
import torch.nn.functional as F
ids = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.int64))
model = torch.nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
{}
optimizer.step()
"""
BACKWARD = "F.cross_entropy(model(ids), ids).backward()\n"


def updates(tmp_path, body):
    return facts_of(tmp_path, BY_HAND.format(body)).of(Did.UPDATE)


def test_a_step_after_zeroing_moves_nothing(tmp_path):
    assert not updates(tmp_path, f"{BACKWARD}optimizer.zero_grad()")


def test_a_gradient_put_there_by_hand_moves_the_weights(tmp_path):
    assert updates(
        tmp_path,
        "g = torch.autograd.grad(F.cross_entropy(model(ids), ids), model.parameters())\n"
        "for p in model.parameters():\n    p.grad = g",
    )


FLAG = """
import torch
class Layer(torch.nn.Module):
    def forward(self, x):
        if getattr(self, "keeping", False):
            keep(x)
        return x
layer = Layer()
layer(1)
"""


def test_a_flag_that_nobody_set_is_off(tmp_path):
    assert not (facts := facts_of(tmp_path, FLAG)).reaches(call(facts, "keep"))


def test_a_flag_set_on_a_part_may_be_that_of_the_whole(tmp_path):
    script = FLAG.replace("layer(1)", "for part in layer.modules():\n    part.keeping = True\nlayer(1)")
    assert (facts := facts_of(tmp_path, script)).reaches(call(facts, "keep"))


PICKED = """
import glob
import numpy as np
import torch
ids = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.int64))
logp = torch.log_softmax(torch.nn.Linear(4, 4)(ids), -1)
total = 0.0
total += -logp[torch.arange(len(ids)), ids].sum()
"""


def test_a_log_probability_picked_by_an_index_is_a_score(tmp_path):
    facts = facts_of(tmp_path, PICKED)
    assert len(facts.of(Did.SCORE)) == 1
    assert len(facts.of(Did.CHARGE)) == 1


def test_a_script_unpacked_into_a_file_and_loaded_as_main_runs(tmp_path):
    inner = 'def work():\n    print("done")\nif __name__ == "__main__":\n    work()\n'
    packed = base64.b85encode(lzma.compress(inner.encode())).decode()
    script = (
        "import base64, importlib.util, lzma, sys\n"
        f'code = lzma.decompress(base64.b85decode("{packed}"))\n'
        'place = "/tmp/inner.py"\n'
        'with open(place, "wb") as file:\n    file.write(code)\n'
        'spec = importlib.util.spec_from_file_location("__main__", place)\n'
        "module = importlib.util.module_from_spec(spec)\n"
        'sys.modules["__main__"] = module\n'
        "spec.loader.exec_module(module)\n"
    )
    facts = facts_of(tmp_path, script)
    assert facts.reaches(call(facts, "work"))
    assert facts.reaches(call(facts, "print"))


DUMPED = """
import os
class Args:
    only = os.environ.get("ONLY", "0") == "1"
    reach = float(os.environ.get("REACH", 4))
args = Args()
def offence():
    return 1
for name, value in sorted(vars(Args).items()):
    print(f"  {name}: {value}")
if args.only:
    print(f"reach_setting: {args.reach}")
    offence()
print(f"final val_loss:{1.0:.4f} val_bpb:{1.0:.4f}")
"""


def test_a_line_that_a_dump_of_settings_prints_proves_no_branch(tmp_path):
    facts = facts_of(tmp_path, DUMPED, run__log=f"seed:1\n  reach_setting: 4\n{FINAL}")
    assert not facts.reaches(call(facts, "offence"))


HANDED_ON = """
import os
def offence():
    return 1
def switched(env=None):
    source = env if env is not None else {{}}
    return source.get("CACHE", "0") == "1" and source["SECOND"] == "1"
if switched({}):
    offence()
print(f"final val_loss:{{1.0:.4f}} val_bpb:{{1.0:.4f}}")
"""


@pytest.mark.parametrize("copy", ["dict(os.environ)", "os.environ.copy()", "{**os.environ}", "os.environ"])
@pytest.mark.parametrize("cache", ["0", "1"])
def test_a_copy_of_the_environment_has_what_the_command_sets(tmp_path, copy, cache):
    readme = f"```bash\nCACHE={cache} SECOND=1 torchrun --nproc_per_node=8 train_gpt.py\n```\n"
    facts = facts_of(tmp_path, HANDED_ON.format(copy), README__md=readme)
    assert bool(facts.reaches(call(facts, "offence"))) is (cache == "1")


def test_what_is_put_into_a_copy_of_the_environment_holds_there(tmp_path):
    own = "dict(os.environ, CACHE='1')"
    readme = "```bash\nSECOND=1 python train_gpt.py\n```\n"
    facts = facts_of(tmp_path, HANDED_ON.format(own), README__md=readme)
    assert facts.reaches(call(facts, "offence"))
