"""The rulebook is complete: every rule has a checker, cases of both kinds and a page; no orphans."""

import re
from datetime import date
from pathlib import Path

import pytest

from checkers import registry
from rules.model import Need
from rules.rulebook import RulebookError, load

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "cases"
RULES = load()
SLUGS = sorted(RULES.rules)
VALID = """
title = "t"
statement = "s"
condition = "SIZE"
severity = "fail"
needs = ["evidence"]
remedy = "r"
limits = "l"
since = 2026-03-20
until = 2026-04-01
[[rulings]]
authority = "organizer"
text = "x"
url = "https://github.com/openai/parameter-golf/pull/1"
"""


def test_there_are_rules_of_every_condition():
    assert len(SLUGS) > 30
    assert len({RULES[s].condition for s in SLUGS}) == 11


@pytest.mark.parametrize("slug", SLUGS)
def test_every_need_of_a_rule_has_a_checker(slug):
    kinds = {c.kind for c in registry.discover() if c.slug == slug}
    assert kinds, f"{slug} has no checker"
    assert kinds == set(RULES[slug].needs), "rules/book says who decides; the checkers must agree"


def test_every_checker_has_a_rule():
    assert {c.slug for c in registry.discover()} <= set(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_rule_has_cases_of_both_kinds(slug):
    names = [p.name for p in (CASES / slug).iterdir()]
    assert any(n.startswith("violates_") for n in names)
    assert any(n.startswith("complies_") for n in names)


def test_every_folder_of_cases_belongs_to_a_rule():
    assert {p.name for p in CASES.iterdir() if p.is_dir()} <= set(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_ruling_can_be_looked_up(slug):
    for ruling in RULES[slug].rulings:
        assert ruling.url.startswith("https://github.com/openai/parameter-golf")


@pytest.mark.parametrize("slug", SLUGS)
def test_every_ruling_reads_alone(slug):
    """Reports show some rulings of a rule without the others and in another order."""
    for ruling in RULES[slug].rulings:
        assert not re.match(r"The same\b|Closed\.|Excluded\b|Resubmission\b|Took\b", ruling.text)


def book(tmp_path, text, name="some-rule"):
    (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


def test_a_rule_is_in_force_from_since_until_the_day_before_until(tmp_path):
    folder = book(tmp_path, VALID)
    days = [date(2026, 3, 19), date(2026, 3, 20), date(2026, 3, 31), date(2026, 4, 1)]
    assert ["some-rule" in load(day, folder) for day in days] == [False, True, True, False]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("title = ", "some-rule.toml"),
        (VALID.replace('remedy = "r"\n', ""), "missing remedy"),
        (VALID.replace('"SIZE"', '"WEIGHT"'), "WEIGHT"),
        (VALID.replace('"evidence"', '"guess"'), "guess"),
        (VALID + '\nurgency = "high"', "urgency"),
        ('urgency = "high"\n' + VALID, "urgency"),
        (VALID.split("[[rulings]]")[0] + "rulings = []", "at least one ruling"),
    ],
)
def test_a_malformed_rule_is_refused_by_file_and_key(tmp_path, broken, says):
    with pytest.raises(RulebookError, match=says):
        load(book=book(tmp_path, broken))


def test_an_unknown_slug_says_how_to_list_them():
    with pytest.raises(RulebookError, match="golf-audit rules"):
        RULES["no-such-rule"]


def test_what_decides_a_rule_is_never_empty():
    assert all(set(RULES[s].needs) <= set(Need) and RULES[s].needs for s in SLUGS)
