"""What a submission's commands and the script's own parser tell of its command line."""

from types import SimpleNamespace

import pytest

from harness.arguments import claimed_arguments
from harness.unpack import Layer

SCRIPT = """
import argparse
T = "store_true"
parser = argparse.ArgumentParser()
parser.add_argument("--train", action="store_true")
parser.add_argument("--eval", action="store_true")
parser.add_argument("--ema", "-e", type=float, default=0.0)
parser.add_argument("--swa", action=T)
parser.add_argument("--compile", action=argparse.BooleanOptionalAction)
parser.add_argument("--checkpoint", default="")
parser.add_argument("--data-dir")
parser.add_argument("--offset", type=int)
"""
COMMANDS = """
import argparse
subs = argparse.ArgumentParser().add_subparsers()
train = subs.add_parser("train")
train.add_argument("--rate", type=float)
train.add_argument("phase", choices=["long", "short"])
"""


def claimed(*lines, script=SCRIPT, named="records/a/train_gpt.py"):
    layer = Layer("records/a/train_gpt.py", "records/a/train_gpt.py", script, script)
    commands = [SimpleNamespace(script=named, arguments=tuple(line.split())) for line in lines]
    return claimed_arguments(SimpleNamespace(commands=commands), [layer])


def test_the_command_that_trains_is_the_claimed_one():
    evaluates = "--eval --checkpoint /path/to/model.bin --ema 0.5 --swa --offset 3"
    assert claimed(evaluates, "--train --ema 0.997 --swa") == {"--train": "", "--ema": "0.997", "--swa": ""}


def test_a_command_that_goes_on_from_a_file_is_not():
    assert claimed("--checkpoint a.bin --ema 0.9") == {"--train": ""}
    assert claimed("--ema 0.9") == {"--train": "", "--ema": "0.9"}


def test_a_flag_for_training_is_given_where_no_command_tells_it():
    assert claimed() == {"--train": ""}
    assert claimed(script=SCRIPT.replace('"--train", action="store_true"', '"--train"')) == {}
    assert claimed(script=COMMANDS) == {}


def test_values_are_read_in_every_form():
    assert claimed("--ema=0.9 --offset -1 --compile")["--offset"] == "-1"
    assert claimed("-e 0.9 --swa 2>&1")["-e"] == "0.9"


@pytest.mark.parametrize(
    ("told", "here"),
    [
        ("../../data/datasets/fineweb10B_sp1024/", "./data/datasets/fineweb10B_sp1024/"),
        ("/workspace/x/data/datasets/fineweb10B_sp1024", "./data/datasets/fineweb10B_sp1024"),
        ("/root/elsewhere", None),
        ("<folder>", None),
        ("$DATA", None),
    ],
)
def test_paths_are_those_of_our_data_or_left_out(told, here):
    assert claimed(f"--data-dir {told} --swa").get("--data-dir") == here


def test_what_the_parser_does_not_declare_is_left_out_with_its_value():
    assert claimed("--colour red for example --ema 0.5") == {"--train": "", "--ema": "0.5"}
    assert claimed("--ema 0.5", named="tools/prepare.py") == {"--train": ""}


def test_words_for_a_mode_are_those_that_the_parser_knows():
    assert claimed("train long --rate 0.1 please", script=COMMANDS) == {
        "train": "",
        "long": "",
        "--rate": "0.1",
    }
    assert claimed("prepare", script=COMMANDS) == {}
