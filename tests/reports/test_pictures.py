"""Pictures: right numbers, and nothing at all rather than a wrong drawing."""

import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from report_samples import sample, with_text
from scipy import stats

from reports import pictures
from reports.pictures import seeds, svg, treemap
from reports.shape_v1 import Curve, Experiment, Figures, Part, Run, Seed, Stage

AREA = treemap.Box(0, 0, 300, 120)


def drawn(**figures):
    return pictures.draw_all(replace(sample("inconclusive"), figures=Figures(**figures)))


def run_with(**data):
    run = Run(outcome="completed", experiments=(Experiment(name="x", result="violated", data=data),))
    return pictures.draw_all(replace(sample("inconclusive"), run=run))


def test_the_sample_shows_every_picture():
    names = [p.name for p in pictures.draw_all(sample("fail_run"))]
    assert names == ["timeline", "kraft", "losses", "pipeline", "seeds", "bytes", "curves"]


def test_drawings_are_well_formed_and_have_numbers_behind_them():
    for picture in pictures.draw_all(sample("fail_run")):
        root = ET.fromstring(picture.svg)
        assert root.find("title").text == picture.title
        assert root.find("desc").text == picture.description
        assert picture.rows
        assert all(len(row) == len(picture.head) for row in picture.rows)


def test_the_kraft_picture_names_the_peak_and_its_bits():
    (picture,) = run_with(positions=[1, 2, 3], z=[1.0, 8.0, 0.99])
    assert "largest is 8 at position 2, which fakes 3.00 bits" in picture.description


def test_the_loss_picture_counts_what_moved_before_the_change():
    (picture,) = run_with(positions=[1, 2, 3, 4], before=[1, 1, 1, 1], after=[1, 2, 1, 4], changed_position=3)
    assert "2 losses moved, the largest by 3; 1 of them before the change" in picture.description


def test_the_timeline_tells_what_was_scored_again():
    events = [
        {"order": 1, "what": "trained", "first": 0, "last": 9},
        {"order": 0, "what": "scored", "first": 0, "last": 9},
        {"order": 2, "what": "scored again", "first": 0, "last": 9, "stage": "final"},
    ]
    (picture,) = run_with(events=events)
    assert [row[1] for row in picture.rows] == ["charged", "trained on", "charged after training on it"]
    assert "0 to 9 were charged after the scorer had learned" in picture.description


@pytest.mark.parametrize(
    "data",
    [
        {"positions": [1, 2], "z": [1.0]},
        {"positions": "no", "z": None},
        {"positions": [1, 2], "z": [1, math.inf]},
        {"positions": [1, 2], "before": [1, 2], "after": ["x", 2]},
        {"events": [{"order": "x"}, 3, None, {"what": "scored"}]},
        {"events": "no"},
    ],
)
def test_nonsense_is_not_drawn(data):
    assert run_with(**data) == []


@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=9).map(lambda v: sorted(v, reverse=True)))
def test_treemap_areas_are_in_proportion_and_fill_the_box(sizes):
    boxes = treemap.squarify(sizes, AREA)
    areas = [b.width * b.height for b in boxes]
    assert sum(areas) == pytest.approx(AREA.width * AREA.height)
    for size, area in zip(sizes, areas, strict=True):
        assert area / sum(areas) == pytest.approx(size / sum(sizes), rel=1e-3, abs=1e-6)
    for box in boxes:
        assert -1e-3 <= box.x <= box.x + box.width <= AREA.width + 1e-3
        assert -1e-3 <= box.y <= box.y + box.height <= AREA.height + 1e-3


def test_the_treemap_says_what_is_left():
    (picture,) = drawn(artifact=(Part(name="model", bytes=15_000_000), Part(name="code", bytes=100_000)))
    assert picture.description == (
        "15,100,000 bytes of 16,000,000 allowed (model 15,000,000, code 100,000): 900,000 bytes are left."
    )
    (over,) = drawn(artifact=(Part(name="model", bytes=16_000_001),))
    assert "1 bytes too many" in over.description


@given(st.lists(st.floats(0.9, 1.3), min_size=2, max_size=8))
def test_the_interval_is_students(values):
    reach = seeds.interval(values)
    if max(values) - min(values) < 1e-9:
        assert reach == pytest.approx(0, abs=1e-7)
        return
    low, high = stats.t.interval(0.95, len(values) - 1, loc=0, scale=stats.sem(values))
    assert reach == pytest.approx((high - low) / 2, rel=1e-6)


def test_seeds_need_company():
    assert drawn(seeds=(Seed(seed="1", val_bpb=1.1),)) == []


def test_curves_of_unequal_length_are_left_out():
    assert drawn(curves=(Curve(name="x", x=(1.0, 2.0), y=(1.0,)),)) == []


def test_the_pipeline_marks_the_offending_path():
    audit = sample("fail_run")
    picture = next(p for p in pictures.draw_all(audit) if p.name == "pipeline")
    assert [row[0] for row in picture.rows if row[3]] == ["eval_ttt: update", "eval_slot: score"]
    assert "bad-arrow" in picture.svg


def test_hostile_names_stay_text():
    evil = "<script>alert(1)</script>&\x00"
    stages = (Stage(name=evil, role=evil, path=evil), Stage(name=evil, role=evil))
    audit = replace(
        with_text(evil),
        figures=Figures(
            seeds=(Seed(seed=evil, val_bpb=1.0), Seed(seed=evil, val_bpb=1.1, path=evil)),
            curves=(Curve(name=evil, x=(1.0, 2.0, 3.0), y=(3.0, 2.0, 1.0)),),
            artifact=(Part(name=evil, bytes=5_000_000), Part(name=evil, bytes=4_000_000)),
            pipeline=stages,
        ),
    )
    shown = pictures.draw_all(audit)
    assert [p.name for p in shown] == ["pipeline", "seeds", "bytes", "curves"]
    for picture in shown:
        assert "<script" not in picture.svg
        ET.fromstring(picture.svg)


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6))
def test_ticks_are_round_and_inside(low, span):
    scale = svg.Scale(low, low + span, 0, 100)
    marks = svg.ticks(scale)
    assert 1 <= len(marks) <= 12
    assert all(low - span * 1e-6 <= t <= low + span * (1 + 1e-6) for t in marks)


def test_sums_of_several_magnitudes_are_drawn_on_powers_of_ten():
    """On one linear scale a Z of 600 hides that the others are above 1, too."""
    (wide,) = run_with(positions=[1, 2, 3], z=[1.0, 1.5, 600.0])
    (narrow,) = run_with(positions=[1, 2, 3], z=[1.0, 1.5, 1.6])
    assert "log10 Z" in wide.svg
    assert "log10 Z" not in narrow.svg
    assert wide.rows[2] == ("3", "600")


def test_a_small_move_is_drawn_on_a_scale_of_its_own():
    (picture,) = run_with(
        positions=[1, 2, 3, 4], before=[5, 9, 5, 5], after=[5, 9.004, 5, 5], changed_position=4
    )
    root = ET.fromstring(picture.svg)
    (stem,) = [r for r in root.iter("rect") if r.get("class") == "bad" and r.get("width") == "3"]
    assert float(stem.get("height")) > 20
    (label,) = [t for t in root.iter("text") if t.text == "changed here"]
    assert label.get("text-anchor") == "end"


def test_two_logs_of_one_seed_can_be_told_apart():
    line = {"x": (0.0, 1.0), "y": (2.0, 1.0)}
    curves = tuple(Curve(name="seed 42", path=f"r/{name}.log", **line) for name in ("first", "second"))
    (picture,) = drawn(curves=curves)
    assert "seed 42, first.log" in picture.description
    assert "seed 42, second.log" in picture.description
