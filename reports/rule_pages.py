"""The rule pages of the documentation, generated from the rulebook and the test cases.

``python -m reports.rule_pages`` writes ``docs/rules/<slug>.md`` and their index; with ``--check`` it
writes nothing and fails if a page is missing, stale or left over.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from reports import templating, words
from reports.cases import Case, cases
from rules.model import Condition, Need, Rule
from rules.rulebook import EDITION, load

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "rules"
INDEX = "index.md"

_NEEDS = {
    Need.STATIC: "by reading the code that the reported score can reach",
    Need.EVIDENCE: "from the logs, `submission.json` and the README",
    Need.RUNTIME: "by running the submission's own code and measuring",
}
_SEVERITY = {
    "fail": "A proven violation fails the submission.",
    "review": "A violation asks for a reviewer's look; it never fails a submission by itself.",
    "note": "A violation is mentioned and changes no verdict.",
}


def pages() -> dict[str, str]:
    """The text of every page by file name, from the rulebook as it stands."""
    rules = sorted(load().rules.values(), key=_key)
    made = {f"{rule.slug}.md": _page(rule) for rule in rules}
    return {INDEX: _index(rules), **made}


def _key(rule: Rule) -> tuple[int, str]:
    return words.condition_rank(rule.condition.value), rule.slug


def _page(rule: Rule) -> str:
    found = cases(rule.slug)
    template = templating.markdown().get_template("rule.md.j2")
    return template.render(
        rule=rule,
        condition=words.CONDITIONS[rule.condition.value],
        severity=_SEVERITY[rule.severity.value],
        how=[(_NEEDS[need], _checker(rule.slug, need)) for need in rule.needs],
        violates=[c for c in found if c.violates],
        complies=[c for c in found if not c.violates],
        gaps=_gaps(found),
    )


def _checker(slug: str, need: Need) -> str:
    """The checker's path, or nothing where it is not written yet."""
    path = f"checkers/{need.value}/{slug.replace('-', '_')}.py"
    return path if (ROOT / path).exists() else ""


def _gaps(found: Iterable[Case]) -> int:
    return sum(case.gaps for case in found)


def _index(rules: list[Rule]) -> str:
    groups = [
        (words.CONDITIONS[c.value], [r for r in rules if r.condition is c])
        for c in sorted(Condition, key=lambda c: words.condition_rank(c.value))
    ]
    template = templating.markdown().get_template("rules.md.j2")
    return template.render(groups=[g for g in groups if g[1]], count=len(rules), edition=EDITION)


def stale() -> list[str]:
    """File names of pages that differ from what the rulebook gives, are missing or are left over."""
    wanted = pages()
    present = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    return sorted(n for n in {*wanted, *present} if wanted.get(n) != present.get(n))


def write() -> None:
    """Write every page and remove those of rules that are gone."""
    wanted = pages()
    PAGES.mkdir(parents=True, exist_ok=True)
    for path in PAGES.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (PAGES / name).write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` report drift with exit code 1."""
    if "--check" not in arguments:
        write()
        return 0
    drift = stale()
    for name in drift:
        print(f"docs/rules/{name} is not what the rulebook gives; run python -m reports.rule_pages")
    return int(bool(drift))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
