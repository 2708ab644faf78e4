"""The fixed wording of reports: names of conditions and verdicts, and how sure we sound."""

from __future__ import annotations

import re
from collections.abc import Collection

CONDITIONS: dict[str, tuple[str, str, str]] = {
    # json name -> (short, name, what it protects)
    "C1_causality": ("C1", "Strict causality", "each prediction uses only the artifact and earlier tokens"),
    "C2_normalization": ("C2", "Normalized distribution", "probabilities over the whole vocabulary sum to 1"),
    "C3_score_before_update": (
        "C3",
        "Score before update",
        "a token is charged before anything learns from it",
    ),
    "C4_single_pass": ("C4", "Single pass", "every position is charged once, in order"),
    "DATA_access": ("DATA", "Data access", "no validation data in training, nothing but the artifact after"),
    "BPB_accounting": ("BPB", "Byte accounting", "the denominator is the bytes of the original text"),
    "SIZE": ("SIZE", "Size", "code and compressed model fit 16,000,000 bytes"),
    "TIME": ("TIME", "Time", "training and evaluation keep their 600 s"),
    "STATS": ("STATS", "Statistics", "enough equal seeds for the claimed improvement"),
    "REPRO": ("REPRO", "Reproducibility", "claims, logs, script and weights belong together"),
    "FORMAT": ("FORMAT", "Form", "one complete record folder that runs"),
}

VERDICT_ORDER = ("FAIL", "ERROR", "REVIEW", "INCONCLUSIVE", "PASS", "NOT_APPLICABLE")
STRENGTH_ORDER = ("convicts", "suspect", "remark")
EVIDENCE_ORDER = ("counterexample", "measurement", "static", "document")
AUTHORITY_ORDER = ("organizer", "author", "community")

HEADLINE = {
    "FAIL": "This score should not stand",
    "REVIEW": "This score needs a reviewer's look",
    "PASS": "Nothing found against this score",
    "INCONCLUSIVE": "This score could not be judged",
    "ERROR": "The auditor failed on this submission; that is our fault, not the author's",
    "NOT_APPLICABLE": "There is no score here to judge",
}

# A FAIL that leaves the number itself alone must not sound as if it did not.
FAIL_OF_LIMITS = "This submission breaks a limit of the challenge"
FAIL_OF_FORM = "This submission is not in order yet"
LIMITS = frozenset({"SIZE", "TIME"})
FORM = frozenset({"STATS", "REPRO", "FORMAT"})

VERDICT_LABEL = {
    "FAIL": "fail",
    "REVIEW": "review",
    "PASS": "pass",
    "INCONCLUSIVE": "not decided",
    "ERROR": "auditor error",
    "NOT_APPLICABLE": "not applicable",
}

SYMBOL = {
    "FAIL": "✗",
    "REVIEW": "?",
    "PASS": "✓",
    "INCONCLUSIVE": "…",
    "ERROR": "!",
    "NOT_APPLICABLE": "–",
}

STRENGTH = {
    "convicts": "violation",
    "suspect": "suspicion",
    "remark": "remark",
}

EVIDENCE = {
    "static": "read in the code",
    "counterexample": "shown by a counterexample",
    "measurement": "measured",
    "document": "read in the logs and documents",
}

PROFILE = {
    "as_claimed": "as the logs and the run command show them",
    "default": "the script's defaults",
}

RESULT = {
    "holds": "holds",
    "violated": "violated",
    "undecided": "not decided",
    "not_run": "not run",
}

OUTCOME = {
    "completed": "ran to its final val_bpb",
    "blocked": "could not run here",
    "crashed": "crashed by itself",
    "timeout": "ran out of time",
    "refused": "was not run: no sandbox can be built on this machine",
    "skipped": "was not run",
}

SOURCES = {
    "submission.json": "submission.json",
    "submission_json": "submission.json",
    "readme": "README",
    "log": "log",
    "logs": "log",
    "recomputed": "recomputed",
}

CAVEAT = (
    "This is an automatic audit. It accuses code, not people; a finding can be wrong, and each one "
    "names what would show it."
)


def headline(verdict: str, failed: set[str]) -> str:
    """The verdict in one sentence; ``failed`` are the conditions (JSON names) that are violated."""
    if verdict != "FAIL" or not failed:
        return HEADLINE[verdict]
    return (HEADLINE[verdict], FAIL_OF_LIMITS, FAIL_OF_FORM)[gravity(failed)]


def gravity(conditions: Collection[str]) -> int:
    """What the worst of some conditions (JSON names) touches: 0 the score itself, 1 a limit, 2 the form."""
    if set(conditions) <= FORM:
        return 2
    return 1 if set(conditions) <= LIMITS | FORM else 0


def examined(kinds: Collection[str]) -> str:
    """How a rule was examined: ``the code was read, run and measured``."""
    code = [verbs for kind, verbs in (("static", "read"), ("runtime", "run and measured")) if kind in kinds]
    said = [f"the code was {', '.join(code)}"] if code else []
    return "; ".join([*said, *(["logs and documents were read"] if "evidence" in kinds else [])])


def condition_short(condition: str) -> str:
    """``C1_causality`` -> ``C1``; an unknown condition keeps its name."""
    return CONDITIONS.get(condition, (condition, "", ""))[0]


def rank(value: str, order: tuple[str, ...]) -> int:
    """Position in an order, unknown values last."""
    return order.index(value) if value in order else len(order)


def condition_rank(condition: str) -> int:
    """Where a condition stands in every table."""
    return rank(condition, tuple(CONDITIONS))


def sureness(confidence: float) -> str:
    """Word a confidence in [0, 1]."""
    if confidence >= 0.95:
        return "certain"
    if confidence >= 0.8:
        return "very likely"
    return "likely" if confidence >= 0.6 else "possible"


def repeatable(command: str) -> str:
    """The command without the options that only say where reports go."""
    with_value = re.sub(r"\s(--out|--format|--replay)(\s+|=)\S+", "", command)
    return re.sub(r"\s(--json|--quiet|-q|--explain)(?=\s|$)", "", with_value).strip()


def public(command: str) -> str:
    """The command as it may be posted: the path of the reviewer's clone is nobody's business."""
    return re.sub(r"--repo(\s+|=)\S+", "--repo CLONE", command)


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 rule``, ``3 rules``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(items: list[str], limit: int = 6) -> str:
    """``a, b and c``; beyond ``limit`` the rest is counted."""
    if len(items) > limit:
        items = [*items[:limit], f"{len(items) - limit} more"]
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
