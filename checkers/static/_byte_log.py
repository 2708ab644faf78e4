"""What the logs say against a byte table: the script that ran may have counted otherwise than this one."""

from __future__ import annotations

from checkers.evidence._bytes import official_bytes, per_token
from checkers.evidence._runs import Counted, counted
from checkers.finding import Strength
from checkers.subject import Subject

_AGREE = 0.003  # relative, as between printed pairs; the smallest known overcount adds 4 %


def against(subject: Subject) -> tuple[Strength, str]:
    """How far a wrong byte table convicts, and what to add to its message.

    A file whose marker was damaged after the run counts wrongly, while the claimed score was divided by
    the official number of bytes. Only the line of the claimed score tells: another line may be of another
    table.
    """
    runs = [run for run in counted(subject) if run.claim]
    if runs and all(map(_right, runs)):
        return Strength.SUSPECT, (
            " But in the logs the claimed score was divided by the official number of bytes: what ran"
            " counted otherwise."
        )
    return Strength.CONVICTS, ""


def _right(run: Counted) -> bool:
    ratio, tokens = per_token(run.score), run.log.val_tokens
    return bool(ratio and tokens and abs(ratio * tokens / official_bytes(tokens) - 1.0) < _AGREE)
