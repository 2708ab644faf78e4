"""Which printed line is taken for the claimed number."""

import re
from dataclasses import dataclass

import pytest

from checkers.facts.values import VAL
from checkers.static import _headline
from checkers.static._headline import _literal
from harness.logs import Claim, LogBook, Measure, Score, Stage


@pytest.mark.parametrize(
    ("printed", "logged"),
    [("T=1.1) stride:64 ", "T=1.10) stride:32 "), ("final_int8 loss: ", "final_int8 loss: ")],
)
def test_numbers_that_stand_alone_may_differ(printed, logged):
    assert re.search(_literal(printed), logged)


def test_numbers_in_names_may_not():
    assert not re.search(_literal("final_int8_exact"), "final_int6_exact")


@dataclass
class Logged:
    bpb: float


def stated(value):
    """A claim written to as many decimals as the number has."""
    digits = len(str(value).partition(".")[2])
    return Claim(Measure.BPB, value, "val_bpb", None, digits=digits)


@pytest.mark.parametrize(
    ("claimed", "said"),
    [
        (0.3712, "the claimed number stands on this"),
        (0.2231, "this line's is the nearest"),
        (1.1, "is far better"),
    ],
)
def test_a_line_with_another_number_is_not_said_to_have_the_claimed_one(monkeypatch, claimed, said):
    monkeypatch.setattr(_headline, "_claimed", lambda logs: [stated(claimed)])
    assert said in _headline._found(None, [Logged(0.3711)])


def test_a_claim_among_the_runs_of_a_folder_with_older_ones_is_found(monkeypatch):
    monkeypatch.setattr(_headline, "_claimed", lambda logs: [stated(0.658)])
    runs = [Logged(bpb) for bpb in (0.668, 0.6665, 0.6682, 0.656, 0.6596, 0.6585)]
    assert "the claimed number stands" in _headline._found(None, runs)


@dataclass
class Printed:
    text: tuple

    @property
    def data(self):
        return {"text": self.text}


@dataclass
class Place:
    excerpt: str


@dataclass
class Line:
    place: Place


def test_a_line_of_an_edited_script_is_found_by_its_wording():
    own = Printed(("final_int8_zlib_roundtrip_exact val_loss:", None, " val_bpb:", None))
    other = Printed(("final_sgd_ttt_exact val_loss:", None, " val_bpb:", None))
    logged = Line(Place("final_int8_zstd_roundtrip_exact val_loss:1.96353693 val_bpb:1.16292025"))
    assert _headline._worded_alike([own, other], [logged]) == [own]
    assert _headline._worded_alike([other], [logged]) == []


@dataclass
class Said(Printed):
    loops: tuple = ()


def test_without_logs_the_last_line_that_speaks_of_bits_per_byte_is_taken():
    score, study, step = Said(("val_bpb:", None)), Said(("verdict: ", None)), Said(("bpb ", None), loops=(1,))
    assert _headline._last([step, score, study]) == [score]
    assert _headline._last([step, study]) == [step]
    assert _headline._last([study]) == [study]
    assert not _headline._names_unit(study)


class Reports(list):
    """Facts that hold reports and nothing else."""

    def of(self, kind):
        return self


@dataclass
class Scored:
    order: int = 1
    kind: str = "score"
    bits: int = VAL


class OneScore:
    """An order in which every report is of one score."""

    def scores(self, bits):
        return [Scored()]


class Log:
    """One run that printed a final score, and perhaps others."""

    def __init__(self, line, bpb, **others):
        scores = {"final": bpb} | others
        self.finals = tuple(Score(k, None, v, Stage.FINAL, Place(line)) for k, v in scores.items())


@pytest.mark.parametrize(
    ("claimed", "guessed"), [(1.0106, False), (1.025, False), (0.9, False), (1.1679, True)]
)
def test_a_worse_claim_than_the_logs_show_may_be_of_a_weaker_configuration(monkeypatch, claimed, guessed):
    report = Said(("final val_bpb:", None))
    report.bits = VAL
    logs = LogBook(logs=(Log("final val_bpb:1.0106", 1.0106),))
    monkeypatch.setattr(_headline, "_claimed", lambda logs: [stated(claimed)])
    found = _headline.headline(Reports([report]), logs, OneScore())
    assert (found.reports, found.guessed) == ((report,), guessed)


@pytest.mark.parametrize(
    ("claimed", "line"),
    [(1.11961, "final"), (1.1196, "check"), (1.12, "check"), (1.12051, "final"), (1.12048, "final")],
)
def test_a_claim_of_one_run_stands_on_the_line_that_has_its_digits(monkeypatch, claimed, line):
    """The logs of an experiment's other runs lie beside it; the mean of another line is nearer by chance."""
    logs = (Log("", 1.1196139, check=1.119), Log("", 1.1214012, check=1.1205), Log("", 1.12051, check=1.1197))
    monkeypatch.setattr(_headline, "_claimed", lambda logs: [stated(claimed)])
    assert {s.label for s in _headline._claimed_lines(LogBook(logs=logs))} == {line}


@pytest.mark.parametrize("claimed", [0.714, 1.157])
def test_runs_of_two_configurations_have_two_means(monkeypatch, claimed):
    """Five epochs and one in a folder: the mean over all runs was compared, and a third line was nearer."""
    few = [Log("", 1.1579, check=1.1611), Log("", 1.1562, check=1.1587), Log("", 1.1569, check=1.1612)]
    many = [Log("", 0.713, check=1.1613), Log("", 0.714, check=1.1595), Log("", 0.7148, check=1.1611)]
    monkeypatch.setattr(_headline, "_claimed", lambda logs: [stated(claimed)])
    found = _headline._claimed_lines(LogBook(logs=(*few, *many)))
    assert [s.bpb for s in found] == [log.finals[0].bpb for log in (many if claimed < 1.0 else few)]


def test_the_mean_of_seeds_that_differ_much_is_found(monkeypatch):
    logs = (Log("", 0.77444, check=0.62713), Log("", 0.84694, check=0.71595), Log("", 1.02509, check=0.89869))
    monkeypatch.setattr(_headline, "_claimed", lambda logs: [stated(0.88216)])
    assert {s.label for s in _headline._claimed_lines(LogBook(logs=logs))} == {"final"}


class Orders:
    """An order that knows a report's scores by its bits."""

    def __init__(self, **scores):
        self.known = scores

    def scores(self, bits):
        return [Scored(order) for order in self.known[bits]]


def test_of_lines_worded_alike_the_stage_with_the_number_s_other_names_is_meant():
    """A second stage, off in the logged run, prints the last of the names, too (#896)."""
    texts = ("final_roundtrip val_bpb:", "final_exact val_bpb:", "final_exact val_bpb:")
    reports = [Said((text, None)) for text in texts]
    for report, stage in zip(reports, ("plain", "plain", "window"), strict=True):
        report.bits = stage
    wanted = [Score(t[:11], None, 1.1, Stage.FINAL, Place(f"{t}1.1000")) for t in texts[:2]]
    order = Orders(plain=[1, 2], window=[3])
    assert _headline._matching(reports, wanted) == [reports[0]]
    assert _headline._most_supported(reports[1:], reports, wanted, order) == [reports[1]]
