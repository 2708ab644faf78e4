"""Imports go one way: rules <- harness <- checkers <- reports <- audit; reference_model stands alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ["rules", "harness", "checkers", "reports", "audit"]
ALLOWED = {name: set(ORDER[: i + 1]) for i, name in enumerate(ORDER)} | {
    "reference_model": {"reference_model"}
}
MODULES = sorted(
    p for top in ALLOWED for p in [*(ROOT / top).rglob("*.py"), ROOT / f"{top}.py"] if p.is_file()
)


def imported(path: Path) -> set[str]:
    """Our own top-level packages that a module imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names & {*ALLOWED, "tests"}


def test_every_package_is_looked_at():
    assert {p.relative_to(ROOT).parts[0].removesuffix(".py") for p in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    top = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert imported(path) <= ALLOWED[top]
