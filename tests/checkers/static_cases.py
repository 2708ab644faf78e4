"""Load a static case and compare the findings on its lines with the markers above them."""

import re
import shutil
from datetime import date
from pathlib import Path

from checkers import registry
from checkers.subject import Subject
from harness.folder import load_folder
from harness.logs import read
from harness.unpack import layers
from rules.model import Need

CASES = Path(__file__).resolve().parent.parent / "cases"
_MARK = re.compile(r"#\s*(expect|ok|todo): ([a-z0-9-]+)")


def subject(case, tmp_path):
    """A case file becomes the ``train_gpt.py`` of a record folder; a case folder is one already."""
    folder = tmp_path / "record"
    if case.is_dir():
        shutil.copytree(case, folder)
    else:
        folder.mkdir()
        shutil.copy(case, folder / "train_gpt.py")
    submission = load_folder(folder)
    peeled = layers(submission)
    return Subject(submission, peeled, read(submission, peeled), date(2026, 11, 1))


def marked(case, kind):
    """(file name, line, slug) of the lines below markers of a kind."""
    files = sorted(case.rglob("*.py")) if case.is_dir() else [case]
    out = set()
    for file in files:
        name = file.name if case.is_dir() else "train_gpt.py"
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            for found in _MARK.finditer(line):
                if found.group(1) == kind:
                    out.add((name, number + 1, found.group(2)))
    return out


def found(the_subject, slugs):
    """(file name, line, slug) of every static finding of the given rules."""
    out = set()
    for checker in registry.discover():
        if checker.kind is Need.STATIC and checker.slug in slugs:
            for finding in checker.check(the_subject).findings:
                out.add((finding.where.path.rpartition("/")[2], finding.where.line, finding.rule))
    return out
