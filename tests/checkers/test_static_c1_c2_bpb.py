"""Every case of the causality, normalization and byte rules: what is found is what its lines say, no more."""

import pytest

from tests.checkers.static_cases import CASES, found, marked, subject

RULES = (
    "target-in-cache-key",
    "target-attribute-gate",
    "hindsight-gate",
    "noncausal-layer",
    "cross-document-smear",
    "unnormalized-mixture",
    "byte-path-mixture",
    "double-counted-space",
    "byte-fallback-overcount",
    "transformed-byte-denominator",
    "truncated-validation",
    "clamped-targets",
)
FILES = [p for slug in (*RULES, "missing-space-token") for p in sorted((CASES / slug).glob("*"))]
STATIC = [p for p in FILES if p.suffix == ".py" or (p / "train_gpt.py").exists()]


@pytest.mark.parametrize("case", STATIC, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_case_has_the_findings_on_its_lines(case, tmp_path):
    assert found(subject(case, tmp_path), RULES) == marked(case, "expect")


@pytest.mark.parametrize("slug", [*RULES, "missing-space-token"])
def test_a_rule_has_cases_of_both_kinds(slug):
    names = {p.name.partition("_")[0] for p in STATIC if p.parent.name == slug}
    assert names == {"violates", "complies"}


@pytest.mark.parametrize(
    "case", [p for p in STATIC if p.parent.name == "missing-space-token"], ids=lambda p: p.name
)
def test_a_shipped_tokenizer_needs_a_lone_marker(case, tmp_path):
    named = {slug for _, _, slug in found(subject(case, tmp_path), ("missing-space-token",))}
    assert bool(named) == case.name.startswith("violates_")
