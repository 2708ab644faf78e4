"""Code that prints what the log of the claimed run does not have: the run did not go that way.

A script whose switch is on by default may have been run with the switch off and no command on record, or
edited since. Where a log has what the script prints elsewhere, and none of the lines that a block of code
always prints, the claimed number does not come from that block. Lines can be removed from a log, so this
turns a conviction into a suspicion and never into a pass.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator

from checkers.facts.source import Module
from harness.logs import LogBook, Measure
from harness.submission import Submission, SubmissionError

_NEAR = 2e-3  # bpb; claims are rounded
_LEAST = 8  # characters of literal text that a printed line must have to be recognized
_TELLING = re.compile(r"[A-Za-z_]{3,}")
_PRINTS = re.compile(r"print|log|info|msg|message|echo|say", re.IGNORECASE)
_FEW = 4  # lines of the script that a log must have before what it lacks tells anything
_DEPTH = 8  # calls upwards


def claimed_output(submission: Submission, logs: LogBook) -> str:
    """What the run of the claimed score printed, without the script in it; "" where no log is of that run."""
    run, claim = logs.headline, logs.claimed_bpb()
    claimed = [claim] if claim else [c for c in logs.claims if c.measure is Measure.BPB]
    finals = [s.bpb for s in run.finals if s.bpb is not None] if run else []
    if run is None or not any(abs(bpb - c.value) <= _NEAR for bpb in finals for c in claimed):
        return ""
    try:
        lines = submission.text(run.path).splitlines()[run.first - 1 : run.last]
    except SubmissionError:
        return ""
    start = max(run.source_line - run.first, 0)
    stop = start + len(run.source.splitlines()) if run.source else start
    return "\n".join(lines[:start] + lines[stop:])


class Silence:
    """Finds the blocks that a log does not have, over the statements that ran in the simulation."""

    def __init__(
        self,
        output: str,
        modules: Iterable[Module],
        seen: set[ast.AST],
        module_of: Callable[[ast.AST], Module],
        callers: Callable[[ast.AST], set[ast.AST]],
    ) -> None:
        self.output = output
        self.seen = seen
        self.module_of = module_of
        self.callers = callers
        self.telling = bool(output) and self._has_most(modules)

    def around(self, node: ast.AST) -> str:
        """A text that runs with a node print and the log has not, "" when there is none."""
        return self._unheard(node, _DEPTH) if self.telling else ""

    def _has_most(self, modules: Iterable[Module]) -> bool:
        """Whether the log has at least half of what the script prints: it is no excerpt."""
        texts = {t for m in modules for n in m.parents if n in self.seen for t in _texts([n], self.seen)}
        heard = sum(text in self.output for text in texts)
        return heard >= max(_FEW, len(texts) / 2)

    def _unheard(self, node: ast.AST, depth: int) -> str:
        module = self.module_of(node)
        below = node
        for outer in module.ancestors(node):
            if isinstance(outer, ast.Module):
                return ""
            texts = [t for block in _blocks(outer, below) for t in _texts(block, self.seen)]
            if any(text in self.output for text in texts):
                return ""
            if texts:
                return texts[0]
            if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                return self._above(outer, depth)
            below = outer
        return ""

    def _above(self, function: ast.AST, depth: int) -> str:
        """The same for every call of a function; one that may have been heard is enough to stay silent."""
        calls = self.callers(function) if depth else set()
        found = [self._unheard(call, depth - 1) for call in sorted(calls, key=_position)]
        return found[0] if found and all(found) else ""


def _position(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _blocks(outer: ast.AST, inner: ast.AST) -> Iterator[list[ast.stmt]]:
    """The statement list of a node that holds another node."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(outer, name, None)
        if isinstance(block, list) and inner in block:
            yield block


def _texts(block: Iterable[ast.AST], seen: set[ast.AST]) -> Iterator[str]:
    """What the statements of a block surely print, each by its longest literal piece."""
    for statement in block:
        if isinstance(statement, ast.If) and not statement.orelse and statement.body[0] in seen:
            if all(_printed(s) for s in statement.body):  # one rank prints for all
                yield from filter(None, map(_printed, statement.body))
        elif text := _printed(statement):
            yield text


def _printed(statement: ast.AST) -> str:
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or not call.args:
        return ""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if not _PRINTS.search(name):
        return ""
    told = call.args[0]
    parts = told.values if isinstance(told, ast.JoinedStr) else [told]
    pieces = [p.value.strip() for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]
    lines = [line.strip() for piece in pieces for line in piece.splitlines()]
    longest = max(lines, key=len, default="")
    return longest if len(longest) >= _LEAST and _TELLING.search(longest) else ""
