"""Code that prints what the log of the claimed run does not have: the run did not go that way.

A script whose switch is on by default may have been run with the switch off and no command on record, or
edited since. Where a log has what the script prints elsewhere, and none of the lines that a block of code
always prints, the claimed number does not come from that block. Lines can be removed from a log, so this
turns a conviction into a suspicion and never into a pass.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from checkers.facts.flow import Flow
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


@dataclass(frozen=True, slots=True)
class _Line:
    """The longest literal piece of a printed line, and what prints it: functions, or the name of one."""

    text: str
    way: Hashable


class Silence:
    """Finds the blocks that a log does not have, over the statements that ran in the simulation.

    What is written into a log and what only goes to the screen differ: only ways of printing whose lines the
    log has elsewhere can be missed in it.
    """

    def __init__(self, output: str, flow: Flow) -> None:
        self.output = output
        self.flow = flow
        self.seen = flow.machine.seen if flow.machine else set()

    def around(self, node: ast.AST) -> str:
        """A text that runs with a node print and the log has not, "" when there is none."""
        return self._unheard(node, _DEPTH) if self.output and self._ways else ""

    @cached_property
    def _ways(self) -> set[Hashable]:
        """The ways of printing of which the log has at least half of the lines: of them it is no excerpt."""
        run = (n for m in self.flow.modules for n in m.statements if n in self.seen)
        lines = {x for n in run for x in self._lines([n])}
        heard = Counter(x.way for x in lines if x.text in self.output)
        every = Counter(x.way for x in lines)
        return {way for way, count in every.items() if heard[way] >= max(_FEW, count / 2)}

    def _unheard(self, node: ast.AST, depth: int) -> str:
        module = self.flow.module_of(node)
        below = node
        for outer in module.ancestors(node):
            if isinstance(outer, ast.Module):
                return ""
            lines = [x for block in _blocks(outer, below) for x in self._lines(block)]
            if any(x.text in self.output for x in lines):
                return ""
            if missed := [x.text for x in lines if x.way in self._ways]:
                return missed[0]
            if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                return self._above(outer, depth)
            below = outer
        return ""

    def _above(self, function: ast.AST, depth: int) -> str:
        """The same for every call of a function; one that may have been heard is enough to stay silent."""
        calls = self.flow.callers(function) if depth else set()
        found = [self._unheard(call, depth - 1) for call in sorted(calls, key=_position)]
        return found[0] if found and all(found) else ""

    def _lines(self, block: Iterable[ast.AST]) -> Iterator[_Line]:
        """What the statements of a block surely print."""
        for statement in block:
            if isinstance(statement, ast.If) and not statement.orelse and statement.body[0] in self.seen:
                inner = [self._printed(s) for s in statement.body]
                if all(inner):  # one rank prints for all
                    yield from (x for x in inner if x)
            elif line := self._printed(statement):
                yield line

    def _printed(self, statement: ast.AST) -> _Line | None:
        call = statement.value if isinstance(statement, ast.Expr) else None
        if not isinstance(call, ast.Call) or not call.args:
            return None
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        text = _longest(call.args[0]) if _PRINTS.search(name) else ""
        return _Line(text, frozenset(self.flow.callees(call)) or name) if text else None


def _position(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _blocks(outer: ast.AST, inner: ast.AST) -> Iterator[list[ast.stmt]]:
    """The statement list of a node that holds another node."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(outer, name, None)
        if isinstance(block, list) and inner in block:
            yield block


def _longest(told: ast.AST) -> str:
    """The longest literal line of what is printed, "" where none can be recognized in a log."""
    parts = told.values if isinstance(told, ast.JoinedStr) else [told]
    pieces = [p.value.strip() for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]
    lines = [line.strip() for piece in pieces for line in piece.splitlines()]
    longest = max(lines, key=len, default="")
    return longest if len(longest) >= _LEAST and _TELLING.search(longest) else ""
