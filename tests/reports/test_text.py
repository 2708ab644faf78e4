"""Foreign text cannot become markup, a link, a mention or an instruction to the terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports import text

HOSTILE = [
    "<script>alert(1)</script>",
    "![x](https://evil.example/x.png)",
    "[click](https://evil.example)",
    "hello @everyone and @openai/admins",
    "fixes #1 GH-2",
    "https://evil.example www.evil.example",
    "# heading",
    "- list",
    "1. list",
    "> quote",
    "```\ncode\n```",
    "`a` b ``c`",
    "| a | b |",
    "---",
    "&lt;b&gt; &#64;me",
    "a\u202eb\u200bc\x1b[31m",
    "$\\href{https://evil.example}{x}$",
    "~~x~~ **y** _z_ *w*",
    "<!-- hidden -->",
    "\\`x\\`",
    "\\[x\\](y)",
]
MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False})
KINDS_OF_PROSE = {"text", "code_inline", "softbreak", "text_special"}


def prose(source: str):
    tokens = MARKDOWN.parse(source)
    assert [t.type for t in tokens] == ["paragraph_open", "inline", "paragraph_close"], source
    return tokens[1].children


@pytest.mark.parametrize("raw", HOSTILE)
def test_hostile_text_stays_prose(raw):
    assert {t.type for t in prose(text.md(raw))} <= KINDS_OF_PROSE


@given(
    st.text(
        alphabet=st.sampled_from(list("`*_[]()<>#@|~\\!&$-+=.:/w1a \n\t\u202e\x07")), min_size=1, max_size=40
    )
)
def test_any_text_stays_prose(raw):
    escaped = text.md(raw)
    if escaped.strip():
        assert {t.type for t in prose("x " + escaped)} <= KINDS_OF_PROSE
        assert {t.type for t in MARKDOWN.parse(escaped)} <= {"paragraph_open", "inline", "paragraph_close"}


@given(st.text(min_size=1, max_size=60))
def test_nobody_is_notified(raw):
    for token in prose("x " + text.md(raw)):
        if token.type == "text":
            assert not re.search(r"@\w|#\d|https?:\S|www\.", token.content, re.IGNORECASE)


def test_mentions_references_and_links_are_broken():
    said = text.md("@everyone fixes #12 and GH-3, see https://evil.example or www.evil.example")
    for whole in ("@everyone", "#12", "GH-3", "https://", "www.evil"):
        assert whole not in said


@given(st.text(max_size=60))
def test_code_spans_hold_whatever_they_hold(raw):
    tokens = prose("x " + text.code(raw) + " y")
    assert [t.type for t in tokens] == ["text", "code_inline", "text"]


@given(st.text(max_size=80))
def test_fences_hold_whatever_they_hold(raw):
    tokens = MARKDOWN.parse(text.fence(raw) + "\n\nafter")
    assert [t.type for t in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


@given(st.text(max_size=60), st.text(max_size=60))
def test_cells_stay_cells(one, other):
    table = (
        f"| a | b |\n| --- | --- |\n| x{text.cell(text.md(one))} | {text.cell(text.code(other))} |\n\nafter"
    )
    types = [t.type for t in MARKDOWN.parse(table)]
    assert types.count("td_open") == 2
    assert types.count("tr_open") == 2


@given(st.text(max_size=60))
def test_nothing_invisible_remains(raw):
    shown = text.plain(raw)
    assert not any(c in shown for c in "\x1b\u202e\u2066\u200b\u0000\n\r\t")


def test_rulings_link_only_into_the_challenge():
    good = "https://github.com/openai/parameter-golf/pull/1"
    assert text.ruling_url(good) == good
    for bad in (
        "javascript:alert(1)",
        "https://evil.example",
        good + ")",
        good + "\n",
        "https://github.com/openai/x",
    ):
        assert text.ruling_url(bad) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (16_000_000, "16,000,000"),
        (1.07134567, "1.0713"),
        (599.8, "599.8"),
        (None, "–"),
        (1e-9, "1e-09"),
        (True, "True"),
    ],
)
def test_numbers_are_worded_for_people(value, said):
    assert text.number(value) == said
