"""Every case of the causality, normalization and byte rules: what is found is what its lines say, no more."""

import ast

import pytest

from checkers.static import target_in_cache_key, transformed_byte_denominator
from checkers.static._charges import charges_of
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


def test_the_charge_beside_a_cache_is_the_one_that_reads_it(tmp_path):
    """A script charges validation losses in several places; the first is not the one that is meant."""
    source = (CASES / "target-in-cache-key" / "violates_xor_of_context_and_target.py").read_text()
    plain = """
def plain_loss(model, tokens):
    plain_total = 0.0
    for start in range(0, len(tokens) - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            plain_total += F.cross_entropy(model(x), y, reduction="sum").item()
    return plain_total
"""
    changed = source.replace("\ndef evaluate(", f"{plain}\n\ndef evaluate(", 1)
    changed = changed.replace(
        "    loss = ", '    print("plain val_loss:", plain_loss(Model(), tokens))\n    loss = '
    )
    path = tmp_path / "train_gpt.py"
    path.write_text(changed)
    made = subject(path, tmp_path)
    assert made.facts.place(charges_of(made).events[0].node).scope == "plain_loss"
    (place,) = target_in_cache_key.check(made).findings[0].related
    assert place.scope == "evaluate"


def test_a_table_that_counts_through_keyword_arguments_is_the_same_table(tmp_path):
    case = CASES / "unnormalized-mixture" / "violates_divided_by_the_context_count.py"
    source = case.read_text()
    named = source.replace(
        "index_add_(0, (key * 7919 + y) % size, torch.ones(SEQ))",
        "scatter_add_(dim=0, index=(key * 7919 + y) % size, src=torch.ones(SEQ))",
    )
    assert named != source
    path = tmp_path / "train_gpt.py"
    path.write_text(named)
    slugs = {"target-in-cache-key", "unnormalized-mixture"}
    (tmp_path / "as_it_was").mkdir()
    assert found(subject(path, tmp_path), slugs) == found(subject(case, tmp_path / "as_it_was"), slugs)


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


def test_a_target_in_a_key_is_shown_with_the_charge_it_enters(tmp_path):
    case = CASES / "target-in-cache-key" / "violates_xor_of_context_and_target.py"
    finding = target_in_cache_key.check(subject(case, tmp_path)).findings[0]
    charge = finding.related[0]
    assert charge.caption == "charged here"
    assert "expert[known]" in case.read_text(encoding="utf-8").splitlines()[charge.line - 1]


@pytest.mark.parametrize(
    ("call", "tokenizes"),
    [
        ("t.encode()", False),
        ("t.encode( 'utf-8', 'replace')", False),
        ("t.encode(text)", True),
        ("t.encode('a' + text)", True),
        ("t.encode('a'.lower())", True),
        ("t.encode_batch([text])", True),
        ("t.EncodeAsIds(\n    text\n)", True),
    ],
)
def test_scripts_are_parsed_for_their_tokenization_only_when_they_encode_an_argument(call, tokenizes):
    assert bool(transformed_byte_denominator._encodings(ast.parse(call))) is tokenizes
    assert bool(transformed_byte_denominator._ENCODES.search(call)) is tokenizes
