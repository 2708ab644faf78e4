"""Every evidence rule on its own cases: the marked findings and no others."""

import pytest

from checkers import registry
from rules.model import Need
from tests.checkers.evidence_cases import expected, names, placed, subject

CHECKERS = {c.slug: c for c in registry.discover() if c.kind is Need.EVIDENCE}
ALL = names(CHECKERS)


def test_every_evidence_rule_has_cases_of_both_kinds():
    for slug in CHECKERS:
        mine = [n.split("/")[1] for n in ALL if n.startswith(f"{slug}/")]
        assert any(n.startswith("violates_") for n in mine), slug
        assert any(n.startswith("complies_") for n in mine), slug


@pytest.mark.parametrize("name", ALL)
def test_the_marked_findings_and_no_others(name):
    slug = name.split("/")[0]
    marks = expected(name, slug)
    assert bool(marks) == name.split("/")[1].startswith("violates_")
    result = CHECKERS[slug].check(subject(name))
    assert placed(result.findings, marks) == marks, [f.message for f in result.findings]
    assert result.examined or result.not_applicable or result.inconclusive


@pytest.mark.parametrize("name", [n for n in ALL if "/complies_" in n])
def test_what_complies_with_a_rule_is_convicted_by_none(name):
    gathered = subject(name)
    strong = [
        f.message for c in CHECKERS.values() for f in c.check(gathered).findings if f.strength != "remark"
    ]
    assert strong == []
