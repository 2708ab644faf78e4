"""Source layers: what a training script really executes, peeled without running it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.lowering import lower
from harness.submission import Submission, SubmissionError


@dataclass(frozen=True, slots=True)
class Layer:
    """One piece of source the entry script runs.

    ``name`` is unique in the audit and printable: the path, or ``path!1`` for the first payload
    peeled out of it, ``path!1!1`` for a payload in that one. ``lowered`` is the same program in
    syntax that the running interpreter's ``ast`` accepts (equal to ``text`` when none was needed);
    lowering keeps every token on its line. ``how`` says how it was reached: ``entry``,
    ``exec:lzma+b85``, ``import``, ``execfile``, ``compile:cffi``, ...
    """

    name: str
    path: str
    text: str
    lowered: str
    parent: str | None = None
    how: str = "entry"
    language: str = "python"
    problem: str | None = None  # parsed by nobody: why


def layers(submission: Submission) -> tuple[Layer, ...]:
    """Return the source layers of a submission, the entry script first; empty without a script."""
    path = submission.entry_script
    if path is None:
        return ()
    try:
        text = submission.text(path)
    except SubmissionError as error:
        return (Layer(path, path, "", "", problem=str(error)),)
    lowered, problem = lower(text)
    return (Layer(path, path, text, lowered, problem=problem),)
