"""Runtime checkers say what the experiments found, as strongly as each experiment allows."""

from __future__ import annotations

from datetime import date

import pytest

from checkers import registry
from checkers.finding import Kind, Strength
from checkers.subject import Subject
from harness.logs import LogBook
from harness.record import Experiment, Holds, Outcome, RunRecord
from harness.submission import Origin, Submission
from harness.unpack import Layer
from rules.model import Need

CHECKERS = {c.slug: c for c in registry.discover() if c.kind is Need.RUNTIME}
SOURCE = "a = 1\nloss_sum += nll.sum()\n"
PATH = "records/x/train_gpt.py"

# rule -> (experiment, data that makes it this rule's, strength)
READS = {
    "not-a-code-length": ("noise", {}, Strength.CONVICTS),
    "kraft-sum-above-one": ("kraft", {}, Strength.CONVICTS),
    "prefix-variance": ("prefix", {}, Strength.CONVICTS),
    "score-after-update": ("order", {"tensors": 30}, Strength.CONVICTS),
    "scored-region-slot": ("order", {"tensors": 1}, Strength.CONVICTS),
    "rescored-validation": ("passes", {}, Strength.SUSPECT),
    "best-of-passes": ("passes", {"best": True}, Strength.CONVICTS),
    "prequant-ttt": (
        "independence",
        {"updates_on_validation": 4, "updates_while_training": 0},
        Strength.CONVICTS,
    ),
    "validation-in-training": ("independence", {"updates_while_training": 2}, Strength.CONVICTS),
    "calibration-on-validation": ("independence", {"updates_on_validation": 0}, Strength.SUSPECT),
    "weights-not-from-artifact": ("roundtrip", {}, Strength.SUSPECT),
    "wrong-byte-count": ("bytes", {}, Strength.CONVICTS),
    "training-data-at-evaluation": ("budget", {}, Strength.SUSPECT),
}


def subject(*experiments, outcome=Outcome.COMPLETED, run=True, source=SOURCE):
    submission = Submission(Origin.FOLDER, "x", (), "records/x", ("records/x",), PATH)
    layers = (Layer(PATH, PATH, source, source),)
    trace = Experiment("trace", Holds.HOLDS, "", {"how": f"sum at {PATH}:2"})
    record = RunRecord(
        outcome, "fla is missing" if outcome is Outcome.BLOCKED else None, experiments=(*experiments, trace)
    )
    return Subject(submission, layers, LogBook(), date(2026, 4, 1), record if run else None)


def test_every_runtime_checker_is_tested_here():
    assert set(READS) == set(CHECKERS)


@pytest.mark.parametrize("slug", READS)
def test_a_violation_is_a_finding_with_a_counterexample(slug):
    name, data, strength = READS[slug]
    shown = Experiment(name, Holds.VIOLATED, "it happened", data, replay=f"{name}-1")
    result = CHECKERS[slug].check(subject(shown))
    (finding,) = result.findings
    assert (finding.rule, finding.strength) == (slug, strength)
    assert finding.evidence.kind is Kind.COUNTEREXAMPLE
    assert finding.evidence.data["replay"] == f"{name}-1"
    assert (finding.where.path, finding.where.line) == (PATH, 2)
    assert finding.where.excerpt == "loss_sum += nll.sum()"


@pytest.mark.parametrize("slug", READS)
def test_what_holds_is_examined_and_silent(slug):
    name, _, _ = READS[slug]
    result = CHECKERS[slug].check(subject(Experiment(name, Holds.HOLDS, "fine", {"tensors": 3})))
    assert result.examined == 1
    assert result.findings == ()


@pytest.mark.parametrize("slug", READS)
def test_what_is_open_is_no_pass(slug):
    name, _, _ = READS[slug]
    result = CHECKERS[slug].check(subject(Experiment(name, Holds.UNDECIDED, "the score is not explained")))
    assert result.inconclusive == "the score is not explained"
    assert result.examined == 0


@pytest.mark.parametrize("slug", READS)
def test_without_a_complete_run_nothing_is_said(slug):
    check = CHECKERS[slug].check
    assert check(subject(run=False)).not_applicable == "nothing was run"
    assert "fla is missing" in str(check(subject(outcome=Outcome.BLOCKED)).inconclusive)
    assert check(subject()).inconclusive == "the run was not accompanied by experiments"


@pytest.mark.parametrize(("weights", "strength"), [(True, Strength.CONVICTS), (False, Strength.SUSPECT)])
def test_training_shards_convict_where_other_weights_are_scored(weights, strength):
    """Organizers accepted a temperature fitted to training tokens: moved charges alone do not convict."""
    data = {"charges_moved": 40, "weights_moved": weights}
    shown = Experiment("budget", Holds.VIOLATED, "opened", data, replay="budget-1")
    (finding,) = CHECKERS["training-data-at-evaluation"].check(subject(shown)).findings
    assert finding.strength is strength


CHOICE = """
import copy
import numpy as np
import torch
import torch.nn.functional as F
model = torch.nn.Linear(64, 64)
val_tokens = torch.from_numpy(np.fromfile("data/fineweb_val_000000.bin", dtype=np.uint16))
best, kept = 9.9, None
for weights in (torch.load("raw.pt"), torch.load("averaged.pt")):
    model.load_state_dict(weights)
    loss = F.cross_entropy(model(val_tokens[:-1]), val_tokens[1:]).item()
    if loss < best:
        best, kept = loss, TAKEN
print(f"final val_bpb:{best}")
"""


@pytest.mark.parametrize(
    ("taken", "strength"),
    [("copy.deepcopy(model.state_dict())", Strength.REMARK), ("loss", Strength.SUSPECT)],
)
def test_weights_chosen_by_their_loss_are_no_calibration(taken, strength):
    """#116 keeps the averaged or the raw weights: no ruling forbids it, and the rule's page exempts it."""
    shown = Experiment("independence", Holds.VIOLATED, "it differs", {"updates_on_validation": 0})
    source = CHOICE.replace("TAKEN", taken)
    (finding,) = CHECKERS["calibration-on-validation"].check(subject(shown, source=source)).findings
    assert finding.strength is strength


def test_one_dependence_is_one_rule():
    """The three rules that read the independence of the artifact never accuse together."""
    for slug in ("prequant-ttt", "validation-in-training", "calibration-on-validation"):
        shown = Experiment("independence", Holds.VIOLATED, "it differs", READS[slug][1])
        accused = [
            s
            for s, c in CHECKERS.items()
            if READS[s][0] == "independence" and c.check(subject(shown)).findings
        ]
        assert accused == [slug]
