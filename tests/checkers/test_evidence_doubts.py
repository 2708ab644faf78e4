"""What documents cannot show convicts nobody: other runs, other machines, other parts of the text."""

import pytest

from checkers.evidence import (
    evaluation_over_budget,
    mixed_seed_configurations,
    oversize_artifact,
    training_over_budget,
    wrong_byte_count,
)
from checkers.evidence._runs import counted
from checkers.finding import Strength
from tests.checkers.evidence_cases import record_of

STOPPED = "stopping_early: wallclock_cap train_time:1200000ms step:6000/20000"
SLOW = "final val_loss:1.8742 val_bpb:1.1100 eval_time:900000ms"
LARGE = "Total submission size int6: 16500000 bytes"
ON_H100 = "8xH100, 10 minutes"


def strengths(checker, folder="records/track_10min_16mb/a", **files):
    return [f.strength for f in checker.check(record_of(folder, **files)).findings]


def log(*lines, score=1.11):
    final = f"final val_loss:{score / 0.5922:.4f} val_bpb:{score:.4f} eval_time:900000ms"
    return "\n".join(["seed:1", *lines, final])


def documents(claimed, readme=ON_H100, **metadata):
    more = "".join(f', "{k}": {v}' for k, v in metadata.items())
    return {"README.md": readme, "submission.json": f'{{"val_bpb": {claimed}{more}}}'}


@pytest.mark.parametrize("checker", [evaluation_over_budget, training_over_budget, oversize_artifact])
@pytest.mark.parametrize(("claimed", "strength"), [(1.11, Strength.CONVICTS), (1.15, Strength.SUSPECT)])
def test_the_only_logged_run_convicts_if_it_is_the_claimed_one(checker, claimed, strength):
    files = {"train.log": log(STOPPED, LARGE), **documents(claimed)}
    assert strengths(checker, **files) == [strength]


def test_a_size_stated_above_the_cap_convicts_whatever_the_logs_are_of():
    files = {"train.log": log(), **documents(1.15, bytes_total=16_500_000)}
    assert strengths(oversize_artifact, **files) == [Strength.CONVICTS]


def test_a_stated_total_that_the_stated_parts_contradict_convicts_nobody():
    files = {"train.log": log(), **documents(1.15, bytes_total=44_000_000, bytes_code=50_000)}
    assert strengths(oversize_artifact, **files) == [Strength.CONVICTS]
    files |= documents(1.15, bytes_total=44_000_000, bytes_code=50_000, bytes_model=11_000_000)
    assert strengths(oversize_artifact, **files) == [Strength.SUSPECT]


@pytest.mark.parametrize(("own", "found"), [("[1, 2]", []), ("[1, 2, 3]", [Strength.CONVICTS])])
def test_seeds_that_the_metadata_leaves_out_do_not_stand_behind_its_claim(own, found):
    small = "Total submission size int6: 15500000 bytes"
    files = {
        f"{seed}.log": log(size, score=score).replace("seed:1", f"seed:{seed}")
        for seed, size, score in ((1, small, 1.1101), (2, small, 1.1099), (3, LARGE, 1.1095))
    }
    rows = "| Seed | val_bpb |\n| --- | --- |\n| 1 | 1.1101 |\n| 2 | 1.1099 |\n| 3 | 1.1095 |\n"
    told = {**files, **documents(1.11, f"{ON_H100}\n\n{rows}", seeds=own)}
    assert strengths(oversize_artifact, **told) == found


def test_of_two_runs_of_a_seed_the_one_nearer_to_the_headline_is_claimed():
    control = log(LARGE, "final_exact val_loss:1.8831 val_bpb:1.11521000", score=1.1152)
    ours = log("Total submission size int6: 15500000 bytes", "final_exact val_bpb:1.11042300", score=1.1104)
    seeds = '{"ours": {"seed_1": 1.11042}, "control": {"seed_1": 1.11521}}'
    files = {"a.log": control, "b.log": ours, **documents(1.1105, seed_results=seeds)}
    assert strengths(oversize_artifact, **files) == []


@pytest.mark.parametrize(("other", "found"), [(1.1405, []), (1.1135, [Strength.CONVICTS])])
def test_a_seed_whose_score_is_far_from_the_claimed_one_is_of_another_configuration(other, found):
    ours = log("Total submission size int6: 15500000 bytes", "final_exact val_bpb:1.11000300")
    theirs = log(LARGE, f"final_exact val_bpb:{other}0300", score=other).replace("seed:1", "seed:2")
    seeds = f'{{"1": {{"val_bpb": 1.11}}, "2": {{"val_bpb": {other}}}}}'
    files = {"a.log": ours, "b.log": theirs, **documents(1.11, seed_results=seeds)}
    assert strengths(oversize_artifact, **files) == found


@pytest.mark.parametrize(
    ("folder", "strength"), [("non_record", Strength.REMARK), ("10min", Strength.SUSPECT)]
)
def test_a_large_run_of_a_study_is_a_remark_where_none_is_the_claimed_one(folder, strength):
    files = {"a.log": log(LARGE), "b.log": log("Total submission size: 15000000 bytes", score=1.2)}
    where = f"records/track_{folder}_16mb/a"
    assert strengths(oversize_artifact, where, **files, **documents(1.15)) == [strength]


@pytest.mark.parametrize(
    ("stated", "strength"), [("", Strength.SUSPECT), ('"val_bpb": 1.11', Strength.CONVICTS)]
)
def test_of_two_runs_that_only_the_text_gives_scores_of_neither_is_surely_the_claimed_one(stated, strength):
    files = {
        "a.log": log(LARGE, "final_exact val_loss:1.87436 val_bpb:1.11001000"),
        "b.log": log("Total submission size: 15000000 bytes", "final_exact val_bpb:1.20002000", score=1.2),
        "README.md": "The control reaches val_bpb 1.11001000, ours val_bpb 1.20002000.",
        "submission.json": f"{{{stated}}}",
    }
    assert strengths(oversize_artifact, "records/track_non_record_16mb/a", **files) == [strength]


def test_two_runs_of_which_either_may_be_claimed_are_no_mixture_of_settings():
    script = "import os\nimport sys\nimport math\nos.environ['WARMUP_STEPS']\n" + "=" * 100 + "\n"
    files = {
        "a.log": script + log("warmup_steps:20", "final_exact val_loss:1.87436 val_bpb:1.11001000"),
        "b.log": log("warmup_steps:0", "final_exact val_loss:2.02638 val_bpb:1.20002000", score=1.2),
        "README.md": "The control reaches val_bpb 1.11001000, ours val_bpb 1.20002000.",
    }
    told = {**files, "submission.json": "{}"}
    assert len(counted(record_of("records/track_non_record_16mb/a", **told))) == 2
    assert strengths(mixed_seed_configurations, "records/track_non_record_16mb/a", **told) == []


@pytest.mark.parametrize(("size", "strength"), [("log", Strength.CONVICTS), ("metadata", Strength.SUSPECT)])
def test_outside_the_record_track_an_excess_convicts_where_the_claimed_run_printed_it(size, strength):
    line = "Total submission size: 16100000 bytes" if size == "log" else ""
    stated = {} if size == "log" else {"bytes_total": 16_100_000}
    files = {"train.log": log(line), **documents(1.11, **stated)}
    assert strengths(oversize_artifact, "records/track_non_record_16mb/a", **files) == [strength]


@pytest.mark.parametrize("checker", [evaluation_over_budget, training_over_budget])
@pytest.mark.parametrize(
    ("printed", "readme", "strength"),
    [
        ("", "torchrun on 8xH100 SXM", Strength.CONVICTS),
        ("world_size:8", "", Strength.CONVICTS),
        ("world_size:8", "Measured on 8 x L20Z.", Strength.SUSPECT),
        ("", "", Strength.SUSPECT),
        ("", "1xRTX 5090; 8xH100 to follow", Strength.SUSPECT),
        ("", "on one H100 it would be 8xH100 / 3", Strength.SUSPECT),
        ("world_size:1", "8xH100", Strength.REMARK),
    ],
)
def test_seconds_of_a_machine_that_may_be_another_convict_nobody(checker, printed, readme, strength):
    files = {"train.log": log(printed, STOPPED), **documents(1.11, readme)}
    assert strengths(checker, **files) == [strength]


def test_a_score_of_a_part_of_the_text_is_no_wrong_table():
    tokens = "val_loader:shards tokens:62021632"
    whole = "step:10/10 val_loss:2.7872 val_bpb:1.6507 train_time:1ms"
    part = ["part_a val_loss:3.6660 val_bpb:1.9853", "final val_loss:3.6660 val_bpb:1.9853"]
    known = documents(1.9853)
    assert strengths(wrong_byte_count, **{"train.log": "\n".join([tokens, whole, *part]), **known}) == [
        Strength.SUSPECT
    ]
    assert strengths(wrong_byte_count, **{"train.log": "\n".join([tokens, *part]), **known}) == [
        Strength.CONVICTS
    ]


@pytest.mark.parametrize(
    ("tokens", "strength"),
    [(49_999_872, Strength.SUSPECT), (50_000_000, Strength.SUSPECT), (49_997_824, Strength.CONVICTS)],
)
def test_a_text_cut_at_so_many_million_tokens_is_another_and_no_wrong_table(tokens, strength):
    lines = [f"val_tokens: {tokens}", *["quantized val_loss:2.91 val_bpb:1.0600"] * 2]
    files = {"train.log": "\n".join(lines), **documents(1.06)}
    assert strengths(wrong_byte_count, **files) == [strength]


@pytest.mark.parametrize(("steps", "found"), [("0", []), ("20000", [Strength.SUSPECT])])
def test_a_run_that_only_evaluates_is_no_other_configuration(steps, found):
    script = "import os\nimport sys\nimport math\nos.environ['WARMUP_STEPS']\n" + "=" * 100
    one = log("warmup_steps:20 iterations:20000")
    other = log(f"warmup_steps:0 iterations:{steps}", score=1.112).replace("seed:1", "seed:2")
    seeds = '{"1": {"val_bpb": 1.11}, "2": {"val_bpb": 1.112}}'
    files = {"a.log": f"{script}\n{one}", "b.log": other, **documents(1.111, seed_results=seeds)}
    assert strengths(mixed_seed_configurations, **files) == found


@pytest.mark.parametrize(
    ("bpb", "loss", "strengths_found"),
    [
        (1.0339, 3.1434, [Strength.SUSPECT]),  # 4.3864 bytes a token at sp8192
        (1.1, 2.1862, [Strength.SUSPECT]),  # 2.8672 at sp1024
        (1.2169, 3.1434, []),
        (1.0894, 3.1434, []),  # 4.163: a vocabulary of its own
    ],
)
def test_a_claim_without_logs_shows_spaces_that_were_counted_twice(bpb, loss, strengths_found):
    assert strengths(wrong_byte_count, **documents(bpb, val_loss=loss)) == strengths_found
