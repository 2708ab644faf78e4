"""The C and C++ that a submission compiles: files beside the script and string literals in running code."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from checkers.facts import Facts, Module
from checkers.static._c_reader import CSource, looks_like_c, read
from checkers.static._once import once_per_facts
from checkers.subject import Subject
from harness.nodes import walk
from harness.submission import SubmissionError

_SUFFIXES = (".c", ".cc", ".cpp", ".cxx", ".h", ".hpp")
_LARGEST = 400_000  # characters
_COMPILERS = ("ctypes", "cffi", "load_inline", "cpp_extension", "nanobind", "pybind11", "nb.", ".so")


@dataclass(frozen=True, slots=True)
class CFunction:
    """One C function, the source it is in, and where that source was found."""

    function: ast.FunctionDef
    source: CSource
    path: str
    literal: ast.AST | None = None  # the string literal in Python that holds the source


@once_per_facts
def c_functions(subject: Subject) -> dict[str, CFunction]:
    """The functions of all C sources by name; empty when the script compiles and loads none."""
    return _read_all(subject) if _compiles(subject.facts) else {}


def _read_all(subject: Subject) -> dict[str, CFunction]:
    facts = subject.facts
    found: dict[str, CFunction] = {}
    for module in facts.modules:
        for literal in _literals(module):
            if looks_like_c(literal.value) and facts.runs(literal):
                _add(found, read(literal.value), module.layer.path, literal)
    for entry in subject.submission.files():
        if entry.path.endswith(_SUFFIXES) and entry.size <= _LARGEST:
            try:
                text = subject.submission.text(entry.path)
            except SubmissionError:
                continue
            _add(found, read(text), entry.path, None)
    return found


def _add(found: dict[str, CFunction], source: CSource, path: str, literal: ast.AST | None) -> None:
    for name, function in source.functions.items():
        found.setdefault(name, CFunction(function, source, path, literal))


def _compiles(facts: Facts) -> bool:
    return any(word in m.layer.lowered for m in facts.modules for word in _COMPILERS)


def _literals(module: Module) -> list[Any]:
    """The long string constants of a module, as nodes whose ``value`` is a string."""
    if not any(map(_is_long, module.parents)):  # nearly always, and much cheaper than a walk in order
        return []
    return [node for node in walk(module.tree) if _is_long(node)]


def _is_long(node: ast.AST) -> bool:
    if type(node) is not ast.Constant:
        return False
    return isinstance(node.value, str) and len(node.value) > 200 and "{" in node.value


def called(call: ast.Call, functions: dict[str, CFunction]) -> CFunction | None:
    """The C function that a Python call names (``lib.score(...)``), None when it names none."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return functions.get(name)
