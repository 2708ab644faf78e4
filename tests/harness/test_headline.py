"""Settings of the claimed run that a log or a README tells, as the script itself can read them."""

from dataclasses import dataclass, field

from harness.headline import claimed_environment
from harness.shrink import discover
from harness.unpack import Layer

SCRIPT = """
import os
cache = bool(int(os.environ.get("NGRAM_CACHE", default_of_ranks)))
rate = float(os.environ["RATE"])
steps = int(os.environ.get("STEPS", "100"))
mode = os.environ.get("MODE", "plain")
again = os.environ.get("TTT_EVAL_ONLY", "0") == "1"
"""


@dataclass
class Setting:
    value: str


@dataclass
class Command:
    env: dict[str, str]


@dataclass
class Logs:
    printed: dict[str, str] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()

    def hyperparameters(self):
        return {k: Setting(v) for k, v in self.printed.items()}


def claimed(printed=None, command=None):
    knobs = discover([Layer("train_gpt.py", "train_gpt.py", SCRIPT, SCRIPT)])
    return claimed_environment(Logs(printed or {}, (Command(command),) if command else ()), knobs)


def test_the_reader_of_a_setting_is_known():
    knobs = {k.name: k for k in discover([Layer("train_gpt.py", "train_gpt.py", SCRIPT, SCRIPT)])}
    assert [knobs[n].reader for n in ("NGRAM_CACHE", "RATE", "STEPS", "MODE")] == ["int", "float", "int", ""]


def test_words_for_a_switch_become_the_number_the_script_reads():
    assert claimed({"ngram_cache": "enabled"}) == {"NGRAM_CACHE": "1"}
    assert claimed({"ngram_cache": "off"}) == {"NGRAM_CACHE": "0"}


def test_what_the_reader_cannot_parse_is_not_set():
    assert claimed({"ngram_cache": "warm", "rate": "fast", "steps": "600.0"}) == {}
    assert claimed(command={"STEPS": "many", "MODE": "fancy"}) == {"MODE": "fancy"}


def test_a_word_stays_a_word_where_the_script_reads_words():
    assert claimed({"mode": "on", "rate": "1e-3"}) == {"MODE": "on", "RATE": "1e-3"}


def test_switches_that_skip_training_are_not_taken_over():
    assert claimed(command={"TTT_EVAL_ONLY": "1", "RATE": "0.5"}) == {"RATE": "0.5"}
