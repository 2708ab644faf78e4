"""What a submission says about itself, as typed records that remember file and line.

``read`` turns train logs, ``submission.json`` and the README into one ``LogBook``. Reading is total:
any bytes give a LogBook, in time linear in their number and with bounded memory.
"""

from harness.logs.book import LogBook, read
from harness.logs.records import (
    Claim,
    Command,
    Measure,
    Place,
    Score,
    Setting,
    Size,
    SizeKind,
    Stage,
    Step,
    Timing,
    TimingKind,
    TrainLog,
)

__all__ = [
    "Claim",
    "Command",
    "LogBook",
    "Measure",
    "Place",
    "Score",
    "Setting",
    "Size",
    "SizeKind",
    "Stage",
    "Step",
    "Timing",
    "TimingKind",
    "TrainLog",
    "read",
]
