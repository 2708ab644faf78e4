"""The terminal report: 80 columns, no colour where none is wanted, everything under --explain."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_samples import SAMPLES, assert_golden, sample, with_text
from rich.console import Console

from reports import terminal


def printed(audit, *, explain=False, width=80, colour=False):
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    terminal.print_audit(console, audit, explain=explain)
    return out.getvalue()


def tidy(text):
    return "\n".join(line.rstrip() for line in text.split("\n"))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("explain", [False, True])
def test_golden(name, explain):
    suffix = ".explain.txt" if explain else ".txt"
    assert_golden(name + suffix, tidy(printed(sample(name), explain=explain)).encode())


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(name, width):
    for explain in (False, True):
        lines = printed(sample(name), explain=explain, width=width).split("\n")
        assert max(map(len, lines)) <= width


def test_a_log_gets_no_escape_codes():
    assert "\x1b" not in printed(sample("fail_run"))


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    terminal.print_audit(Console(file=out, width=80, force_terminal=True), sample("fail_run"))
    assert "\x1b[3" not in out.getvalue()


def test_colour_is_used_where_there_is_some():
    assert "\x1b[" in printed(sample("fail_run"), colour=True)


def test_the_verdict_comes_first_and_the_command_last():
    lines = tidy(printed(sample("fail_run"))).strip().split("\n")
    assert lines[0].startswith("FAIL  #4321")
    assert lines[-1] == "Repeat: golf-audit check --repo parameter-golf --pr 4321"


def test_the_caret_stands_under_the_column():
    lines = tidy(printed(sample("fail_run"))).split("\n")
    at = next(n for n, line in enumerate(lines) if line.endswith("^"))
    assert lines[at].index("^") == lines[at - 1].index("nll")


def test_explain_has_every_finding_and_ruling():
    audit = sample("fail_run")
    said = " ".join(printed(audit, explain=True, width=200).split())
    for rule in audit.rules:
        assert rule.rule in said
        for finding in rule.findings:
            assert finding.fingerprint in said
        for ruling in rule.rulings if rule.findings else ():
            assert ruling.text in said


def test_hostile_text_moves_no_cursor():
    said = printed(with_text("a\x1b[2J\x07\u202eb [red]c[/red]"))
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\u202e" not in said
    assert "[red]c[/red]" in said


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=40))
def test_any_text_can_be_printed(text):
    printed(with_text(text), explain=True)
