"""Settings of the claimed run that a log or a README tells, as the script itself can read them."""

from dataclasses import dataclass, field

import pytest

from harness.discover import discover
from harness.headline import claimed_environment
from harness.unpack import Layer

SCRIPT = """
import os
cache = bool(int(os.environ.get("NGRAM_CACHE", default_of_ranks)))
rate = float(os.environ["RATE"])
steps = int(os.environ.get("STEPS", "100"))
mode = os.environ.get("MODE", "plain")
again = os.environ.get("TTT_EVAL_ONLY", "0") == "1"
dry = bool(int(os.environ.get("DRY_RUN_INIT_ONLY", "0")))
"""


@dataclass
class Setting:
    value: str


@dataclass
class Command:
    env: dict[str, str]


@dataclass
class Score:
    label: str


@dataclass
class Run:
    finals: tuple[Score, ...]


@dataclass
class Logs:
    printed: dict[str, str] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()
    headline: Run | None = None

    def hyperparameters(self):
        return {k: Setting(v) for k, v in self.printed.items()}


def claimed(printed=None, command=None, *others, labels=(), script=SCRIPT):
    knobs = discover([Layer("train_gpt.py", "train_gpt.py", script, script)])
    commands = tuple(Command(c) for c in (command, *others) if c)
    headline = Run(tuple(Score(label) for label in labels))
    return claimed_environment(Logs(printed or {}, commands, headline), knobs)


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


@pytest.mark.parametrize("switch", ["TTT_EVAL_ONLY", "DRY_RUN_INIT_ONLY"])
def test_switches_that_skip_training_or_end_before_a_score_are_not_taken_over(switch):
    assert claimed(command={switch: "1", "RATE": "0.5"}) == {"RATE": "0.5"}


def test_a_trial_that_the_log_contradicts_is_not_the_headline():
    trial = {"STEPS": "60", "RATE": "0.5", "MODE": "quick"}
    assert claimed({"steps": "600"}, trial, {"SEED": "1", "RATE": "0.25"}) == {"RATE": "0.25", "STEPS": "600"}


def test_the_log_counts_where_the_only_command_says_otherwise():
    assert claimed({"steps": "600.0", "rate": "0.5"}, {"STEPS": "60", "RATE": "0.50"}) == {"RATE": "0.50"}
    assert claimed({"ngram_cache": "True"}, {"NGRAM_CACHE": "1"}) == {"NGRAM_CACHE": "1"}


def test_an_ablation_without_the_stage_of_the_final_score_is_not_the_headline():
    ablation = {"NGRAM_ORDER": "0", "SEED": "7"}
    assert claimed({}, ablation, {"SEED": "1"}, labels=("ngram_eval done",), script=STAGES) == {
        "NGRAM_EVAL": "1"
    }
    assert claimed({}, ablation, {"SEED": "1"}, labels=("final",), script=STAGES) == {"NGRAM_ORDER": "0"}


STAGES = """
import os
ngram = bool(int(os.environ.get("NGRAM_EVAL", "0")))
order = int(os.environ.get("NGRAM_ORDER", "7"))
lora = int(os.environ.get("TTT_LORA_ENABLED", 0))
int8 = int(os.environ.get("INT8", "0"))
alone = int(os.environ.get("TTT_ONLY", "0"))
"""


def test_what_a_final_score_names_was_on():
    labels = ("final_int8_zlib_roundtrip", "ngram_eval_exact")
    assert claimed(labels=labels, script=STAGES) == {"NGRAM_EVAL": "1"}
    assert claimed(labels=("legal_ttt_lora",), script=STAGES) == {"TTT_LORA_ENABLED": "1"}


def test_what_the_log_prints_as_off_or_names_in_part_was_not():
    assert claimed({"ngram_eval": "False"}, labels=("ngram_eval_exact",), script=STAGES) == {}
    assert claimed(labels=("ttt_sliding",), script=STAGES) == {}
