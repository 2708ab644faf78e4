"""The comment: its grammar, its length, and nothing hostile gets through."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace
from report_samples import HOSTILE, sample, with_text

from reports import markdown

MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False})
OUR_HTML = {
    "<details><summary>Every rule</summary>\n",
    "<details><summary>3 more, each with its lines and rulings</summary>\n",
    "</details>\n",
    "</details>",
}


def assert_safe_markdown(comment):
    for token in MARKDOWN.parse(comment):
        if token.type == "html_block":
            assert token.content in OUR_HTML, token.content
        for child in token.children or []:
            assert child.type not in {"html_inline", "image"}, child.content
            if child.type == "link_open":
                assert str(child.attrGet("href")).startswith("https://github.com/openai/parameter-golf")
            if child.type == "text":
                assert not re.search(r"@\w", child.content)


def test_hostile_text_in_the_comment():
    assert_safe_markdown(markdown.comment(with_text(HOSTILE)))


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("`<>[]()|#@\\\n!*_~-=&;/a1 ")), min_size=1, max_size=50))
def test_any_text_in_the_comment(text):
    assert_safe_markdown(markdown.comment(with_text(text)))


@pytest.mark.parametrize(("size", "findings"), [(100, 3), (3_000, 40), (20_000, 30), (200_000, 5)])
def test_comments_fit_github(size, findings):
    comment = markdown.comment(with_text("word `x` " * (size // 9), findings=findings))
    assert len(comment) <= markdown.LIMIT
    assert comment.startswith("## ")
    assert_safe_markdown(comment)


def test_the_comment_posts_no_local_path():
    audit = replace(sample("fail_run"), command="golf-audit check --repo /home/reviewer/clone --pr 1")
    assert "/home/reviewer" not in markdown.comment(audit)
    assert "--repo CLONE" in markdown.comment(audit)


def test_an_excerpt_is_shown_once_in_a_comment():
    audit = sample("fail_run")
    doubled = replace(audit, rules=tuple(replace(r, findings=r.findings * 2) for r in audit.rules))
    text = markdown.comment(doubled)
    assert text.count("1302 | eval_ttt(model, val_tokens)") == 1
    assert ", the same." in text


def test_findings_of_further_rules_stand_folded():
    audit = sample("fail_run")
    (claim,) = (r for r in audit.rules if r.rule == "claim-log-mismatch")
    further = tuple(replace(claim, rule=f"further-{n}", title=f"Further {n}") for n in (1, 2))
    text = markdown.comment(replace(audit, rules=(*audit.rules, *further)))
    assert_safe_markdown(text)
    opened, fold, folded = text.partition("3 more, each with its lines and rulings")
    assert fold
    assert "#### 4. Target token in a cache key" in opened
    assert "#### 5. Claim and log disagree" in folded.partition("</details>")[0]
    assert "### Experiments" in folded.partition("</details>")[2]


def test_a_single_further_finding_is_not_folded():
    assert "1 more" not in markdown.comment(sample("fail_run"))
