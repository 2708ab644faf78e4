"""Audit the record folders of a change in CI or before a commit.

``python -m reports.ci`` is what ``action.yml`` and ``.pre-commit-hooks.yaml`` call. It runs
``golf-audit check`` once a folder, writes the reports, and turns the verdicts into one exit code.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from reports.json_v1 import from_json
from reports.words import VERDICT_ORDER, rank

FORMATS = "md,json,html,sarif,junit"
_RECORD = re.compile(r"(records/[^/]+/[^/]+)/")
_FAILS = {
    "fail": ("FAIL", "ERROR"),
    "review": ("FAIL", "ERROR", "REVIEW"),
    "never": (),
}


def record_folders(files: Iterable[str]) -> list[str]:
    """The record folders that hold any of the files, in order and once each."""
    found = (_RECORD.match(name.replace("\\", "/")) for name in files)
    return list(dict.fromkeys(m[1] for m in found if m))


def changed_files(base: str) -> list[str]:
    """Files that HEAD changes against its merge base with ``base``."""
    command = ["git", "diff", "--name-only", "-z", "--diff-filter=d", f"{base}...HEAD"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout
    return [name.decode("utf-8", "surrogateescape") for name in listed.split(b"\0") if name]


def audit_folder(folder: str, out: Path, options: Sequence[str]) -> str:
    """Audit one folder, leave its reports in ``out``, and return the verdict.

    Reports go to standard output as they come. A folder that cannot be audited counts as ERROR.
    """
    tool = os.environ.get("GOLF_AUDIT", "golf-audit").split()
    command = [*tool, "check", folder, "--out", str(out), "--format", FORMATS, *options]
    code = subprocess.run(command, check=False).returncode
    record = out / "audit.json"
    if code == 2 or not record.exists():
        return "ERROR"
    return from_json(record.read_bytes()).verdict


def summarize(verdicts: dict[str, str], out: Path) -> None:
    """Tell GitHub: the worst verdict as an output, the comments as the job's summary."""
    outputs, summary = os.environ.get("GITHUB_OUTPUT"), os.environ.get("GITHUB_STEP_SUMMARY")
    if outputs:
        with Path(outputs).open("a", encoding="utf-8") as file:
            file.write(f"verdict={worst(verdicts)}\nreports={out}\n")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.writelines(_comment(out / _name(folder)) for folder in verdicts)


def _comment(folder: Path) -> str:
    comment = folder / "comment.md"
    return comment.read_text(encoding="utf-8") + "\n" if comment.exists() else ""


def worst(verdicts: dict[str, str]) -> str:
    """The worst of the verdicts; NOT_APPLICABLE when no record folder was touched."""
    return min(verdicts.values(), key=lambda v: rank(v, VERDICT_ORDER), default="NOT_APPLICABLE")


def _name(folder: str) -> str:
    return folder.strip("/").replace("/", "__")


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 if a verdict fails the job under ``--fail-on``, else 0."""
    parser = argparse.ArgumentParser(prog="python -m reports.ci", description=__doc__)
    parser.add_argument("files", nargs="*", help="changed files, as pre-commit passes them")
    parser.add_argument("--base", help="audit what HEAD changes against this commit")
    parser.add_argument("--folder", action="append", default=[], help="audit this record folder")
    parser.add_argument("--out", type=Path, default=Path("audit-report"))
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--fail-on", choices=sorted(_FAILS), default="fail")
    asked = parser.parse_args(arguments)
    files = [*asked.files, *(changed_files(asked.base) if asked.base else [])]
    folders = [*(f for f in asked.folder if f), *record_folders(files)]
    options = [f for f, wanted in (("--no-run", asked.no_run), ("--strict", asked.strict)) if wanted]
    verdicts = {f: audit_folder(f, asked.out / _name(f), options) for f in dict.fromkeys(folders)}
    summarize(verdicts, asked.out)
    return int(any(v in _FAILS[asked.fail_on] for v in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
