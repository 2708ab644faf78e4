"""Packages beyond the image must be listed in requirements.txt or mentioned in the README."""

from __future__ import annotations

import re
import sys

from checkers.evidence._say import found, plural
from checkers.finding import CheckResult, Strength, cannot_tell, examined
from checkers.subject import Subject
from harness.logs import Place

RULE = "unlisted-dependencies"
# What the challenge's own requirements.txt installs, and what torch brings along.
_IMAGE = frozenset(
    """
    torch numpy sentencepiece tqdm datasets tiktoken kernels huggingface_hub transformers triton packaging
    setuptools typing_extensions sympy networkx jinja2 filelock fsspec zstandard flash_attn
    flash_attn_interface mlx
    """.split()  # noqa: SIM905 - a list of forty quoted words reads worse
)
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
_MOST = 400_000


def check(subject: Subject) -> CheckResult:
    """Compare the imports of every layer with the image, the record's own files and its lists."""
    python = [layer for layer in subject.layers if layer.language == "python"]
    if not python:
        return cannot_tell("there is no training script to read")
    own = {e.path.rpartition("/")[2].removesuffix(".py") for e in subject.submission.files(".py")}
    own |= {part for e in subject.submission.files(".py") for part in e.path.split("/")[:-1]}
    listed = _listed(subject)
    first: dict[str, Place] = {}
    for layer in python:
        text = layer.text[:_MOST]
        for match in _IMPORT.finditer(text):
            line = text.count("\n", 0, match.start(1)) + 1
            first.setdefault(match[1], Place(layer.path, line, match[0].strip()))
    unknown = sorted(
        n for n in first if n not in _IMAGE | own | sys.stdlib_module_names and n.lower() not in listed
    )
    findings = [
        found(
            RULE,
            f"{name} is imported, but no requirements.txt or README of the record names it",
            first[name],
            Strength.REMARK,
            0.7,
        )
        for name in unknown
    ]
    return examined(len(first) or 1, plural(len(first), "imported package"), findings)


def _listed(subject: Subject) -> set[str]:
    """Words of the requirement files and of the README, with dashes as underscores."""
    paths = [e.path for e in subject.submission.files(".txt") if "requirement" in e.path.lower()]
    paths += [subject.logs.readme_path] if subject.logs.readme_path else []
    words: set[str] = set()
    for path in paths:
        words |= {
            w.lower().replace("-", "_")
            for w in re.findall(r"[\w-]{2,60}", subject.submission.text(path)[:_MOST])
        }
    return words
