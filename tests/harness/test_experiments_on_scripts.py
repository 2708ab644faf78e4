"""Mini training scripts under the probes: each offence is caught, each honest twin stays silent."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from harness.events import Charged, FileRead, Finished, Reported, Stepped
from harness.record import Holds, Outcome, RunRecord
from harness.replay import replayed
from tests.harness.toy_run import run, run_again

CASES = Path(__file__).resolve().parent.parent / "cases"
BASE = CASES / "not-a-code-length" / "complies_score_first.py"

SLOT = """
def evaluate(model, val):
    total, count = 0.0, 0
    for inputs, targets in windows(val):
        delta = torch.zeros(VOCAB, requires_grad=True)
        optimizer = torch.optim.Adam([delta], lr=0.3)
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs).detach() + delta, targets).backward()
            optimizer.step()
        with torch.no_grad():
            total += F.cross_entropy(model(inputs) + delta, targets, reduction="none").double().sum().item()
        count += len(targets)
    return total, count
"""
STALE = """
def evaluate(model, val):
    total, count = 0.0, 0
    for inputs, targets in windows(val):
        with torch.no_grad():
            total += F.cross_entropy(REMEMBERED(inputs), targets, reduction="none").double().sum().item()
        count += len(targets)
    return total, count
"""
BEST = """
def evaluate(model, val):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    best = torch.full((len(val) - 1,), float("inf"))
    for epoch in range(3):
        at = 0
        for inputs, targets in windows(val):
            with torch.no_grad():
                nll = F.cross_entropy(model(inputs), targets, reduction="none")
            best[at : at + len(nll)] = torch.minimum(best[at : at + len(nll)], nll)
            at += len(nll)
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    return best.double().sum().item(), len(best)
"""

FITTED = """
def fitted(model, tokens):
    inputs, targets = tokens[:512], tokens[1:513]
    with torch.no_grad():
        heats = torch.linspace(0.5, 2.0, 300).tolist()
        return min(heats, key=lambda heat: F.cross_entropy(model(inputs) / heat, targets).item())


def evaluate(model, val):
    total, count, heat = 0.0, 0, fitted(model, load("train"))
    for inputs, targets in windows(val):
        with torch.no_grad():
            total += F.cross_entropy(model(inputs) / heat, targets, reduction="sum").item()
        count += len(targets)
    return total, count
"""
CALIBRATED = """
def evaluate(model, val):
    total, count = 0.0, 0
    with torch.no_grad():
        model.head.bias += 0.1 * torch.bincount(load("train")[:512], minlength=VOCAB).float().sqrt()
    for inputs, targets in windows(val):
        with torch.no_grad():
            total += F.cross_entropy(model(inputs), targets, reduction="sum").item()
        count += len(targets)
    return total, count
"""


def script(tmp_path: Path, evaluate: str | None = None, main: tuple[str, str] | None = None) -> Path:
    """The honest script with another evaluation, or another line in its main function."""
    text = BASE.read_text()
    if evaluate is not None:
        text = re.sub(r"def evaluate.*?(?=\ndef main)", evaluate.strip() + "\n\n", text, flags=re.DOTALL)
    if main is not None:
        assert main[0] in text
        text = text.replace(*main)
    path = tmp_path / "script.py"
    path.write_text(text)
    return path


def violated(done):
    return {name for name, e in done.experiments.items() if e.result is Holds.VIOLATED}


SETTLED = (
    "noise",
    "kraft",
    "prefix",
    "repeat",
    "roundtrip",
    "coverage",
    "order",
    "passes",
    "independence",
    "trace",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    sorted(
        p
        for s in ("not-a-code-length", "kraft-sum-above-one", "prefix-variance")
        for p in (CASES / s).glob("complies_*.py")
    ),
    ids=lambda p: p.stem,
)
def test_honest_scripts_hold_everywhere(case, tmp_path):
    done = run(tmp_path, case)
    assert done.problem == ""
    assert {done.experiments[name].result for name in SETTLED} == {Holds.HOLDS}, done.experiments
    assert violated(done) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("not-a-code-length/violates_target_only_cache.py", {"noise", "kraft"}),
        ("kraft-sum-above-one/violates_bonus_for_everyone.py", {"noise", "kraft"}),
        ("prefix-variance/violates_two_pass.py", {"noise", "kraft", "prefix"}),
    ],
)
def test_every_runtime_rule_is_broken_by_its_case(case, names, tmp_path):
    done = run(tmp_path, CASES / case)
    assert violated(done) == names
    assert done.experiments["noise"].replay


@pytest.mark.slow
def test_a_cache_is_shown_by_candidates_that_share_more_than_everything(tmp_path):
    done = run(tmp_path, CASES / "not-a-code-length" / "violates_target_only_cache.py")
    case = done.experiments["kraft"].data["counterexample"]
    assert len(case["charges"]) >= 2
    assert case["sum"] == pytest.approx(sum(math.exp(-nats) for nats in case["charges"].values()))
    assert case["sum"] > 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("evaluate", "main", "names"),
    [
        (SLOT, None, {"noise", "kraft", "prefix", "order"}),
        (
            STALE,
            ("model = Bigram()", "global REMEMBERED\n    REMEMBERED = Bigram()\n    model = Bigram()"),
            {"roundtrip"},
        ),
        (BEST, None, {"prefix", "passes"}),
        (
            None,
            ('train(model, load("train"))', 'train(model, load("train"))\n    train(model, load("val"), 2)'),
            {"independence"},
        ),
        (None, ("/ math.log(2) / size", "/ math.log(2) / (1.17 * size)"), {"bytes"}),
    ],
    ids=["slot", "stale-weights", "best-of-passes", "prequant-ttt", "bytes"],
)
def test_offences_in_miniature(evaluate, main, names, tmp_path):
    done = run(tmp_path, script(tmp_path, evaluate, main))
    assert names <= violated(done), done.experiments
    assert violated(done) <= names | {"noise", "kraft", "order"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("evaluate", "weights"), [(FITTED, False), (CALIBRATED, True)], ids=["scalar", "weights"]
)
def test_a_temperature_fitted_to_training_tokens_is_told_from_calibrated_weights(evaluate, weights, tmp_path):
    budget = run(tmp_path, script(tmp_path, evaluate)).experiments["budget"]
    assert budget.result is Holds.VIOLATED
    assert budget.data["charges_moved"] > 0
    assert budget.data["weights_moved"] is weights


@pytest.mark.slow
def test_a_counterexample_comes_up_again_under_its_name(tmp_path):
    case = CASES / "prefix-variance" / "violates_two_pass.py"
    (tmp_path / "first").mkdir()
    (tmp_path / "again").mkdir()
    first = run(tmp_path / "first", case).experiments["prefix"]
    again = run(tmp_path / "again", case)
    record = RunRecord(Outcome.COMPLETED, experiments=tuple(again.experiments.values()))
    shown = replayed(record, str(first.replay))
    assert shown.data["counterexample"] == first.data["counterexample"]


@pytest.mark.slow
def test_the_trace_tells_the_run(tmp_path):
    done = run(tmp_path, BASE, twin=False)
    main = done.trace.stream(0)
    assert main.cut is None
    roles = [event.role for _, event in main.of(FileRead)]
    assert roles.index("training") < roles.index("artifact") < len(roles)
    steps = [bool(event.positions) for _, event in main.of(Stepped)]
    assert steps == [False] * 8 + [True] * 16  # eight of training, two a window afterwards
    assert [event.val_loss for _, event in main.of(Reported)]
    assert {event.site.partition(":")[0] for _, event in main.of(Charged)} == {"train_gpt.py"}
    assert done.experiments["coverage"].data["layers"]["train_gpt.py"]
    assert len(main.of(Finished)) == 1


@pytest.mark.slow
def test_instruments_alone_trace_the_run_and_leave_it_at_that(tmp_path):
    done = run(tmp_path, BASE, experiments=False)
    assert done.experiments == {}
    assert {stamped.stream for stamped in done.trace.events} == {0}  # no twin, no snapshot, no probe
    assert done.trace.stream(0).cut is None
    assert done.trace.of(Charged)
    assert done.trace.of(Stepped)


@pytest.mark.slow
def test_a_script_that_dies_leaves_no_experiments(tmp_path):
    done = run(tmp_path, script(tmp_path, main=("model = Bigram()", "raise SystemError('x')")), twin=False)
    assert done.experiments == {}
    assert done.problem.startswith("the script died: SystemError")
    assert done.trace.of(Finished)[0][1].error.startswith("SystemError")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offence", "broken"),
    [("", set()), ('; train(model, load("val"), 2)', {"independence"})],
    ids=["honest", "prequant-ttt"],
)
def test_a_second_process_is_judged_by_what_the_first_and_its_twin_have_written(offence, broken, tmp_path):
    """A script that dies between training and evaluation is evaluated by its switch in another process."""
    trained = f'if "EVAL_ONLY" not in os.environ: train(model, load("train")){offence}'
    path = script(tmp_path, main=('train(model, load("train"))', trained))
    save = 'torch.save(model.state_dict(), "final_model.pt")'
    log = 'open(f"{os.getpid()}.log", "w").close()'
    once = f'{log}\n    if "EVAL_ONLY" not in os.environ: {save}; del model.nothing'
    path.write_text(path.read_text().replace(save, once))
    done = run_again(tmp_path, path, [{}, {"EVAL_ONLY": "1"}])
    assert violated(done) == broken
    assert done.experiments["roundtrip"].result is Holds.HOLDS
    assert done.experiments["noise"].result is Holds.HOLDS
    assert done.experiments["independence"].result is not Holds.UNDECIDED
