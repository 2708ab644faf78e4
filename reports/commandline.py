"""What the commands of ``golf-audit`` share: their options, reading what was typed, showing a record."""

from __future__ import annotations

import os
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import reports
from harness.submission import SubmissionError
from reports import terminal
from reports.shape_v1 import Audit

EXIT_CODES = {"PASS": 0, "NOT_APPLICABLE": 0, "FAIL": 1, "ERROR": 3, "REVIEW": 4, "INCONCLUSIVE": 4}

RepoOption = Annotated[Path | None, typer.Option("--repo", metavar="CLONE", help="A clone of the challenge.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write report files there.")]
FormatOption = Annotated[
    str, typer.Option("--format", help=f"Comma-separated: {', '.join(reports.FORMATS)}.", metavar="LIST")
]
NoRunOption = Annotated[bool, typer.Option("--no-run", help="Read the code, do not execute it.")]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", metavar="DATE", help="Rules in force on that day (YYYY-MM-DD).")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Let disputed rules fail a submission.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the JSON record on standard output.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")]
ExplainOption = Annotated[bool, typer.Option("--explain", help="The long form: every rule, every ruling.")]


def tool_version() -> str:
    """The installed version, or that of the checkout when nothing is installed."""
    try:
        return version("parameter-golf-audit")
    except PackageNotFoundError:
        return "0.0.0+checkout"


def formats(text: str) -> list[str]:
    """The formats of ``--format``.

    Raises:
        SubmissionError: one of them does not exist, or none is given.
    """
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in wanted if name not in reports.FORMATS]
    if unknown or not wanted:
        raise SubmissionError(f"--format {text}: choose from {', '.join(reports.FORMATS)}")
    return wanted


def day(text: str | None) -> date | None:
    """The date of ``--as-of``, None where it is not given.

    Raises:
        SubmissionError: it is no ISO date.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise SubmissionError(f"--as-of {text}: not a date like 2026-04-01") from None


def typed() -> str:
    """The command that repeats this audit, as typed but without local paths to the tool."""
    return " ".join(["golf-audit", *sys.argv[1:]])


def sweep_exit(counts: dict[str, int]) -> int:
    """The exit code of a sweep: that of its worst verdict."""
    for verdict in ("ERROR", "FAIL", "REVIEW", "INCONCLUSIVE"):
        if counts.get(verdict):
            return EXIT_CODES[verdict]
    return 0


def made(out: Path | None) -> Path | None:
    """The folder of ``--out``, made before the work so that a wrong one costs no audit.

    Raises:
        SubmissionError: it cannot be made or written.
    """
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise SubmissionError(f"--out {out}: this is a file; give a folder") from None
    except OSError as error:
        raise SubmissionError(f"--out {out}: {error.strerror or error}") from None
    if out is not None and not os.access(out, os.W_OK):
        raise SubmissionError(f"--out {out}: this folder cannot be written")
    return out


def show(
    record: Audit,
    raw: bytes,
    out: Path | None,
    wanted: list[str],
    *,
    explain: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    """Write the formats that were asked for and show the verdict; ``raw`` is the record as JSON."""
    written = reports.write_all(record, wanted, out) if out else []
    if as_json:
        sys.stdout.buffer.write(raw.strip() + b"\n")
    elif quiet:
        typer.echo(record.verdict)
    else:
        terminal.print_audit(Console(), record, explain=explain)
        for file in written:
            typer.echo(f"report: {file}")
        for line in _next_steps(record, written):
            typer.echo(line)


def _next_steps(record: Audit, written: list[Path]) -> list[str]:
    """What to do with the files: look at the page, post the review."""
    names = {file.name: file for file in written}
    said = [f"open {names['report.html']} in a browser"] if "report.html" in names else []
    if "review.json" in names and record.pr is not None:
        where = f"repos/openai/parameter-golf/pulls/{record.pr}/reviews"
        said.append(f"post it: gh api {where} --method POST --input {names['review.json']}")
    return said
