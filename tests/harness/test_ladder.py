"""What is tried next when a run has failed."""

import pytest

from harness import blame
from harness.ladder import STEPS, Attempt, Ladder
from harness.outcome import Ending
from harness.record import Outcome


def crashed(blocker):
    return Ending(Outcome.CRASHED, blocker, {}, ())


def next_rung(blocker, claimed=None, last=None):
    last = last or Attempt("as_claimed" if claimed else "default")
    return Ladder(claimed or {}).next(last, crashed(blocker))


@pytest.mark.parametrize(
    ("blocker", "alike"),
    [
        ("RuntimeError: Expected WORLD_SIZE=8, got WORLD_SIZE=1 at a.py:1", 8),
        ("AssertionError: assert world_size == 8 at a.py:1", 8),
        ("RuntimeError: this script requires 8 GPUs at a.py:1", 8),
        ("ValueError: WORLD_SIZE=1 does not divide the batch at a.py:1", 1),
        ("RuntimeError: a batch of 8 sequences on 1 rank at a.py:1", 1),
    ],
)
def test_a_failure_that_asks_for_the_whole_node_is_heard(blocker, alike):
    assert next_rung(blocker).alike == alike


def test_a_claimed_setting_that_the_failure_names_is_left_out_next():
    claimed = {"TRAIN_SEQ_SCHEDULE": "1024,8192", "SEED": "1"}
    rung = next_rung("ValueError: 128 must match TRAIN_SEQ_SCHEDULE (8192)", claimed)
    assert rung.without == ("TRAIN_SEQ_SCHEDULE",)


def test_claimed_settings_that_later_failures_name_are_left_out_as_well():
    claimed = {"TRAIN_SEQ_SCHEDULE": "1024,8192", "LAYER_WIDTHS": "8"}
    first = Attempt("as_claimed", without=("TRAIN_SEQ_SCHEDULE",))
    rung = next_rung("ValueError: LAYER_WIDTHS must have 3 entries", claimed, first)
    assert rung.without == ("LAYER_WIDTHS", "TRAIN_SEQ_SCHEDULE")


@pytest.mark.parametrize(
    ("blocker", "without"),
    [
        ("ValueError: Unknown packer: 'pergroup' at train_gpt.py:9", ("PACKER",)),
        ("ValueError: Unknown packer: 'zip' at train_gpt.py:9", ()),
        ("RuntimeError: no kernel for 'cuda'", ()),
    ],
)
def test_a_claimed_setting_whose_value_the_failure_quotes_is_left_out_next(blocker, without):
    claimed = {"PACKER": "pergroup", "WHERE": "cuda", "SEED": "1"}
    assert next_rung(blocker, claimed).without == without


def test_a_lowered_setting_that_the_failure_names_keeps_its_size_next():
    blocker = "ValueError: VAL_BATCH_SIZE must hold a window; got VAL_BATCH_SIZE=2048, train_seq_len=128"
    claimed = {"SEED_LIST": "1"}
    ladder = Ladder(claimed)
    ladder.lowered = ("VAL_BATCH_SIZE", "--model-dim", "TRAIN_SEQ_LEN")
    first = Attempt("as_claimed", without=("OTHER",))
    rung = ladder.next(first, crashed(blocker))
    assert (rung.own, rung.without) == (("TRAIN_SEQ_LEN", "VAL_BATCH_SIZE"), ("OTHER",))
    assert ladder.next(rung, crashed(blocker)).own == rung.own


@pytest.mark.parametrize(
    ("blocker", "multiples"),
    [
        ("AssertionError: model_dim=128 must be divisible by 3", (("MODEL_DIM", 3),)),
        ("AssertionError: assert args.model_dim % 24 == 0 at train_gpt.py:9", (("MODEL_DIM", 24),)),
        ("ValueError: MODEL_DIM must be divisible by heads", ()),
    ],
)
def test_a_lowered_setting_becomes_divisible_by_what_the_failure_states(blocker, multiples):
    ladder = Ladder({})
    ladder.lowered = ("MODEL_DIM", "TRAIN_SEQ_LEN")
    first = Attempt("default")
    rung = ladder.next(first, crashed(blocker))
    assert (rung.multiples, rung.own) == (multiples, () if multiples else ("MODEL_DIM",))
    again = ladder.next(rung, crashed(blocker))
    assert "MODEL_DIM" in again.own or not multiples


@pytest.mark.parametrize(
    ("blocker", "own"),
    [
        ("ValueError: prefix must be <= seq_len, got 192>128", ("EVAL_SEQ_LEN", "TRAIN_SEQ_LEN")),
        ("ValueError: train_seq_len is 128", ("TRAIN_SEQ_LEN",)),
        ("RuntimeError: dimension 1 of DIM", ()),
    ],
)
def test_a_failure_names_settings_in_whole_or_by_their_last_words(blocker, own):
    assert blame.mentioned(["EVAL_SEQ_LEN", "TRAIN_SEQ_LEN", "DIM", "MODEL_DIM"], blocker) == own


def test_a_setting_whose_name_is_no_pattern_does_not_end_the_audit():
    odd = "args.get('SEQ_LEN')"  # settings found in calls have names like this
    assert blame.mentioned([odd, "SEQ_LEN"], "ValueError: seq_len is 128") == ("SEQ_LEN",)
    assert blame.mentioned([odd], "KeyError: args.get('SEQ_LEN')") == (odd,)


def test_a_step_that_is_never_reported_may_not_divide():
    rung = next_rung("ZeroDivisionError: integer modulo by zero at train_gpt.py:9")
    assert (rung.keep, rung.interval) == ((), STEPS)


@pytest.mark.parametrize(("value", "without"), [("1", ("SKIP_FINAL_VAL",)), ("0", ())])
def test_a_claimed_setting_that_skips_is_left_out_when_no_score_came(value, without):
    ladder = Ladder({"SKIP_FINAL_VAL": value, "SEED": "1"})
    first = Attempt("as_claimed")
    ending = Ending(Outcome.CRASHED, "ended without a val_bpb", {}, (), silent=True)
    assert ladder.next(first, ending).without == without


def test_what_one_failure_left_out_stays_out_after_another():
    left = Attempt("as_claimed", without=("TRAIN_SEQ_SCHEDULE",), steps=7)
    rung = next_rung("RuntimeError: shapes do not fit", {"TRAIN_SEQ_SCHEDULE": "1"}, left)
    assert (rung.keep, rung.without, rung.steps) == (("model",), ("TRAIN_SEQ_SCHEDULE",), 7)


@pytest.mark.parametrize(("held", "batch"), [(32, 4), (100, 2), (256, 1), (0, 1)])
def test_a_batch_that_holds_no_sequence_for_a_micro_step_grows(held, batch):
    rung = next_rung(f"RuntimeError: shape '[-1, 128]' is invalid for input of size {held} at a.py:3")
    assert (rung.batch, rung.keep) == (batch, () if batch > 1 else ("model",))


def test_an_undefined_name_is_not_tried_at_other_sizes():
    rung = next_rung("NameError: name 'x' is not defined at train_gpt.py:3")
    assert (rung.keep, rung.alone) == ((), True)


def test_text_that_is_no_python_is_tried_once():
    assert next_rung("SyntaxError: invalid syntax at train_gpt.py:1") is None


@pytest.mark.parametrize(
    "blocker",
    [
        "ValueError: VOCAB_SIZE=513 should be one more than the tokenizer's",
        "RuntimeError: INTERNAL: could not parse ModelProto from fineweb_256_bpe.model",  # bytes have none
    ],
)
def test_a_tokenizer_of_another_size_is_tried_where_the_script_names_one(blocker):
    ladder = Ladder({})
    ladder.vocabularies = 2
    rungs = [Attempt("default")]
    rungs.append(ladder.next(rungs[0], crashed(blocker)))
    rungs.append(ladder.next(rungs[1], crashed(blocker)))
    assert [(r.vocabulary, r.alike) for r in rungs] == [(0, 1), (1, 1), (1, 8)]


def test_a_failure_that_the_models_own_size_leaves_may_be_the_share_of_a_rank_or_the_lengths():
    ladder = Ladder({})
    ending = Ending(Outcome.CRASHED, "RuntimeError: shapes do not fit", {}, ())
    first = Attempt("default")
    second = ladder.next(first, ending)
    third = ladder.next(second, ending)
    fourth = ladder.next(third, ending)
    assert (second.keep, third.alike, fourth.alike) == (("model",), 8, 8)
    assert fourth.keep == ("eval", "length", "quant")


def test_other_crashes_keep_the_models_own_size_next():
    assert next_rung("RuntimeError: shapes do not fit").keep == ("model",)


@pytest.mark.parametrize(("reported", "hollow"), [({"val_bpb": 3.1}, ("own_plots",)), ({}, ())])
def test_a_module_that_nobody_ships_stands_empty_once_a_score_has_come(reported, hollow):
    """A script scored its model and then wanted a module for pictures."""
    ending = Ending(Outcome.BLOCKED, "missing package: own_plots", reported, (), missing="own_plots")
    rung = Ladder({"SEED": "1"}).next(Attempt("as_claimed"), ending)
    assert (rung.hollow, rung.profile) == (hollow, "as_claimed" if hollow else "default")
