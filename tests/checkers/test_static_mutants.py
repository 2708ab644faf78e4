"""Names are no evidence: every static case, its names changed or filed elsewhere, is judged the same."""

import ast
import io
import tokenize

import pytest

from rules.rulebook import load
from tests.checkers.static_cases import CASES, found, marked, subject

RULES = load()
FILES = sorted(
    p
    for slug in RULES.rules
    if "static" in RULES[slug].needs
    for p in (CASES / slug).glob("*.py")
    if any(marked(p, k) for k in ("expect", "ok"))
)


def bound(tree):
    """The names that a module binds itself, imports apart."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def kept(tree):
    """Names that mean something elsewhere: attributes, keywords, imports, fields of a formatted string."""
    names = {"self", "cls", "main", "forward"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg:
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names |= {node.name, node.asname or node.name}
        elif isinstance(node, (ast.JoinedStr, ast.Global, ast.Nonlocal)):
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.ClassDef):
            names |= bound(ast.Module([s for s in node.body if not isinstance(s, ast.FunctionDef)], []))
    return names


def renamed(text):
    """The text with every name of its own replaced, line by line."""
    tree = ast.parse(text)
    own = sorted(n for n in bound(tree) - kept(tree) if not n.startswith("__"))
    table = {name: f"q{i}_" for i, name in enumerate(own)}
    lines = text.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(text).readline))):
        if token.type == tokenize.NAME and token.string in table:
            row, column = token.start
            line = lines[row - 1]
            lines[row - 1] = line[:column] + table[token.string] + line[token.end[1] :]
    return "".join(lines)


@pytest.mark.parametrize("case", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_renamed_identifiers_change_no_finding(case, tmp_path):
    text = renamed(case.read_text(encoding="utf-8"))
    assert text != case.read_text(encoding="utf-8")
    copy = tmp_path / "copy.py"
    copy.write_text(text, encoding="utf-8")
    slug = case.parent.name
    expected = {m for m in marked(case, "expect") if m[2] == slug}
    assert {m for m in found(subject(copy, tmp_path), {slug}) if m[2] == slug} == expected


@pytest.mark.parametrize("case", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_copy_under_another_name_has_the_same_findings(case, tmp_path):
    """The words of a case's file name and docstring say what it is; neither may be read."""
    text = case.read_text(encoding="utf-8")
    docstring = ast.parse(text).body[0]
    plain = text.splitlines(keepends=True)
    plain[: docstring.end_lineno] = ['"""A submission."""\n'] + ["\n"] * (docstring.end_lineno - 1)
    copy = tmp_path / "legal_score_first.py"
    copy.write_text("".join(plain), encoding="utf-8")
    slug = case.parent.name
    expected = {m for m in marked(case, "expect") if m[2] == slug}
    assert {m for m in found(subject(copy, tmp_path), {slug}) if m[2] == slug} == expected
