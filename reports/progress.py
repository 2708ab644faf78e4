"""Progress on standard error for anything that takes over two seconds."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)


def counting(quiet: bool) -> Progress:
    """A bar with "n of N" and the time so far; nothing at all if ``quiet``."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=quiet)


def working(text: str, quiet: bool) -> Progress:
    """A spinner beside ``text`` and the time so far, for work of unknown length."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), disable=quiet)
    progress.add_task(text, total=None)
    return progress
