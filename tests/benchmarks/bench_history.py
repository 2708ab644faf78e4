"""Public verdicts on what a pull request held before its author corrected it.

    python -m tests.benchmarks.bench_history --repo CLONE --results sweep/results.jsonl --precedents FILE

An author who admits a mistake usually corrects it, so the head that a sweep audits is the innocent one. This
takes the pull requests that were called invalid and whose head does not fail, and audits every commit of
their branches, oldest first and without a run, until one breaks a rule of a condition that the verdict names.
Branches that were rewritten hold no such commit, however bad it was. Prints one line each. Ends with::

    corrected_convicted: K/N     branches with a convicted commit, of those with more than one commit to audit
    corrected_caught: L/N        the same, and those with a commit that is doubted for such a rule
    rewritten: M                 branches of a single commit, which leave nothing to look for
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pygit2

import audit
from harness import gitsource
from harness.submission import SubmissionError
from reports.score import AuditLine, PrecedentLine, named_conditions, read_jsonl
from rules.model import Verdict

OPTIONS = audit.Options(run=False)


def branch(clone: Path, head: str) -> list[str]:
    """Commit ids of a branch since it left the main line, oldest first."""
    repo = pygit2.Repository(str(clone))
    walker = repo.walk(
        pygit2.Oid(hex=head), pygit2.enums.SortMode.TOPOLOGICAL | pygit2.enums.SortMode.REVERSE
    )
    base = repo.merge_base(pygit2.Oid(hex=gitsource.main_tip(clone)), pygit2.Oid(hex=head))
    if base is not None:
        walker.hide(base)
    return [str(commit.id) for commit in walker]


def accused(
    precedents: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[int, set[str]]]:
    """Pull requests called invalid whose audited head does not fail, with the conditions named."""
    verdicts = {r["pr"]: r["verdict"] for r in results}
    for precedent in precedents:
        named, verdict = named_conditions(precedent), verdicts.get(precedent["pr"])
        if named and precedent["gold"].startswith("invalid") and verdict not in {"FAIL", None}:
            yield precedent["pr"], named


def against(clone: Path, commit: str, named: set[str]) -> dict[Verdict, list[str]]:
    """The rules of the named conditions that one commit breaks, and those that want a look at it."""
    found: dict[Verdict, list[str]] = {Verdict.FAIL: [], Verdict.REVIEW: []}
    try:
        done = audit.audit(gitsource.load_commit(clone, commit), OPTIONS)
    except SubmissionError:  # a commit without a submission, which a branch may well begin with
        return found
    for rule in done.decision.rules:
        if rule.verdict in found and rule.rule.condition.value in named:
            found[rule.verdict].append(rule.rule.slug)
    return found


def worst(clone: Path, commits: Sequence[str], named: set[str]) -> tuple[Verdict, str, list[str]] | None:
    """The oldest commit that breaks a rule of a named condition, else the oldest that is doubted for one."""
    doubted: tuple[Verdict, str, list[str]] | None = None
    for commit in commits:
        found = against(clone, commit, named)
        if found[Verdict.FAIL]:
            return Verdict.FAIL, commit, found[Verdict.FAIL]
        if found[Verdict.REVIEW] and doubted is None:
            doubted = Verdict.REVIEW, commit, found[Verdict.REVIEW]
    return doubted


def main() -> None:
    """Audit the branches, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--repo", "--results", "--precedents"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args()
    tips = gitsource.heads(given.repo)
    seen: Counter[Verdict | None] = Counter()
    rewritten = 0
    for pr, named in accused(
        read_jsonl(given.precedents, PrecedentLine), read_jsonl(given.results, AuditLine)
    ):
        commits = branch(given.repo, tips[pr])
        if len(commits) < 2:
            rewritten += 1
            continue
        found = worst(given.repo, commits[:-1], named)
        seen[found and found[0]] += 1
        said = f"{found[0]} at {found[1][:9]}, {', '.join(found[2])}" if found else "none"
        print(f"#{pr:<5} {len(commits):3} commits, named {', '.join(sorted(named))}: {said}", flush=True)
    convicted, caught = seen[Verdict.FAIL], seen[Verdict.FAIL] + seen[Verdict.REVIEW]
    print(f"\ncorrected_convicted: {convicted}/{seen.total()}\ncorrected_caught: {caught}/{seen.total()}")
    print(f"rewritten: {rewritten}")


if __name__ == "__main__":
    main()
