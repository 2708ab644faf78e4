"""The log behind a claim must come from the script that is shipped."""

from __future__ import annotations

import re
from collections import Counter

from checkers.evidence._runs import Counted, counted
from checkers.evidence._say import found, plural
from checkers.evidence._track import Track, track
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Place, SizeKind

RULE = "log-of-another-script"
_OTHER = 0.6  # share of lines two editions of one script have in common at least
_EDITED = 0.97
_WORD = re.compile(r"[A-Za-z_]{5,}")


def check(subject: Subject) -> CheckResult:
    """Compare the script that each counted log prints with the layers that are shipped."""
    runs = counted(subject)
    shipped = [lines for layer in subject.layers if (lines := _lines(layer.text))]
    if not runs or not shipped:
        return cannot_tell("there is no finished log, or no script to compare it with")
    printed = [run for run in runs if run.log.source]
    sized = [run for run in runs if not run.log.source]
    findings = [f for run in printed if (f := _compare(subject, run, shipped))]
    findings += [f for run in sized[:1] if (f := _size(subject, run))]
    findings += [f for run in runs[:1] if (f := _unread(subject, run))]
    if (
        not findings
        and not printed
        and not any(s.kind is SizeKind.CODE for run in sized for s in run.log.sizes)
    ):
        return cannot_tell("no log prints its script or the size of its code")
    return examined(len(runs), plural(len(runs), "log"), findings)


def _lines(text: str) -> Counter[str]:
    """The statements of a script, whatever their indentation, comments left out."""
    bare = (line.strip() for line in text.splitlines())
    return Counter(line for line in bare if line and not line.startswith(("#", '"""', "'''")))


def similarity(a: Counter[str], b: Counter[str]) -> float:
    """Share of lines in common, in [0, 1]: 2 |a and b| / (|a| + |b|)."""
    total = a.total() + b.total()
    return 2.0 * (a & b).total() / total if total else 1.0


def _compare(subject: Subject, run: Counted, shipped: list[Counter[str]]) -> Finding | None:
    source = _lines(run.log.source or "")
    likeness = max(similarity(source, lines) for lines in shipped)
    if likeness >= _EDITED:
        return None
    place = Place(run.log.path, run.log.source_line)
    other = likeness < _OTHER
    what = "another script than" if other else "another edition of"
    message = f"the log prints {what} the shipped one: {likeness:.0%} of the lines agree"
    strength = Strength.SUSPECT if other and track(subject) is Track.RECORD else Strength.REMARK
    return found(RULE, message, place, strength, 0.7, data={"similarity": round(likeness, 4)})


def _unread(subject: Subject, run: Counted) -> Finding | None:
    """The claimed score stands on a line whose words only another shipped script has, no edition of this one.

    What that script does with the validation tokens nobody has read.
    """
    layers = {layer.path: layer.text for layer in subject.layers}
    known = "\n".join(layer.text for layer in subject.layers)
    words = {w for w in _WORD.findall(run.score.place.excerpt) if w not in known}
    for entry in subject.submission.files(".py") if words else ():
        text = "" if entry.path in layers else subject.submission.text(entry.path)
        if not all(word in text for word in words):
            continue
        if any(similarity(_lines(text), _lines(layer.text)) > _OTHER for layer in subject.layers):
            continue
        name = entry.path.rpartition("/")[2]
        message = (
            f"the claimed score stands on a line that {name} words so, and nothing of what the entry script "
            "runs: the scorer was not read"
        )
        related = [(Place(entry.path), "the script that prints such a line")]
        return found(RULE, message, run.score.place, Strength.SUSPECT, 0.6, related=related)
    return None


def _size(subject: Subject, run: Counted) -> Finding | None:
    """Without a printed script, the printed code size is all there is; any difference is a remark."""
    code = [s for s in run.log.sizes if s.kind in (SizeKind.CODE, SizeKind.CODE_RAW) and s.bytes > 0]
    sizes = {len(layer.text.encode("utf-8", "replace")) for layer in subject.layers}
    sizes |= {e.size for e in subject.submission.files(".py")}
    if not code or any(abs(s.bytes - size) <= 2 for s in code for size in sizes):
        return None
    message = f"the log counts {code[0].bytes:,} bytes of code; no shipped file has that size"
    return found(RULE, message, code[0].place, Strength.REMARK, 0.5, data={"counted": code[0].bytes})
