"""Which byte table the denominator uses, and how it counts: builders evaluated, uses linked to them."""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass
from functools import cache
from typing import Any

from checkers.facts import Facts, Module
from checkers.static._charges import Charges, charges_of
from checkers.static._once import once_per_facts
from checkers.static._sample_library import OPAQUE, CannotError, Opaque, as_table
from checkers.static._sample_run import run_builder
from checkers.static._sample_tokens import COUNT, MARK, PIECES, PLAIN, SPACED_WORD, TELLING, WORD
from checkers.static._trace import At, position
from checkers.static._writes import FUNCTIONS
from checkers.subject import Subject

_MOST = 60  # definitions between a use of a table and the builder


@dataclass(frozen=True, slots=True)
class Counting:
    """How one builder counts, as used by the code that runs.

    ``sizes`` is the table's entry per sample piece, ``spaces`` whether the accumulator adds one for a
    leading space, ``node`` where the size table is read at the targets.
    """

    builder: ast.FunctionDef
    node: ast.AST
    sizes: tuple[Any, ...]
    spaces: bool
    space_node: ast.AST | None

    def total(self, piece: int) -> int:
        """Bytes charged for a sample piece after an ordinary token."""
        leading = PIECES[piece].text.startswith(MARK)
        return int(self.sizes[piece]) + int(self.spaces and leading)


@once_per_facts
def countings(subject: Subject) -> list[Counting]:
    """One counting per reachable use of a table that a reachable builder makes."""
    facts = subject.facts
    tables = {name: row for function in builders(facts) for name, row in _tables(facts, function).items()}
    if not tables:
        return []
    uses = _uses(charges_of(subject), tables)
    sizes = [u for u in uses if _counts_bytes(u.row)]
    leading = [u for u in uses if _marks_leading(u.row)]
    adding = [u for u in leading if _adds_space(facts, u.node)]
    out: dict[tuple[Any, ...], Counting] = {}
    for use in sizes:
        adds = next((u for u in adding if _together(facts, use, u)), None)
        counting = Counting(use.builder, use.node, use.row, adds is not None, adds.node if adds else None)
        out.setdefault((use.builder, use.row), counting)
    return list(out.values())


def _together(facts: Facts, size: _Use, space: _Use) -> bool:
    """Whether a size and a space belong to one count: tables of one builder, or read in one function.

    A second table of whole pieces, of a mixed-in byte model say, is none of the accumulator's business.
    """
    if size.builder is space.builder:
        return True
    functions = {facts.module_of(u.node).function_of(u.node) for u in (size, space)}
    return len(functions) == 1


def sized(facts: Facts) -> bool:
    """Whether some running builder could be evaluated and makes a table of sizes, used or not."""
    rows = [row for function in builders(facts) for row in _tables(facts, function).values()]
    return any(_counts_bytes(row) for row in rows)


def builders(facts: Facts) -> list[ast.FunctionDef]:
    """The functions that run and ask a tokenizer about single pieces."""
    found: dict[ast.FunctionDef, None] = {}
    for module in facts.modules:
        for call in module.calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr in TELLING:
                function = module.function_of(call)
                if isinstance(function, ast.FunctionDef) and _reached(facts, function):
                    found[function] = None
    return list(found)


def _reached(facts: Facts, function: ast.FunctionDef) -> bool:
    return facts.runs(function.body[0])


def _tokenizers(module: Module, function: ast.FunctionDef) -> set[str]:
    """The names in a function on which methods are called that only a tokenizer has."""
    return {
        ast.unparse(call.func.value)
        for call in module.calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in TELLING
        and module.function_of(call) is function
    }


@dataclass(frozen=True, slots=True)
class _Use:
    builder: ast.FunctionDef
    node: ast.AST
    row: tuple[Any, ...]


def _tables(facts: Facts, function: ast.FunctionDef) -> dict[tuple[ast.FunctionDef, str], tuple[Any, ...]]:
    """The tables among a builder's local names, each as one value per sample piece."""
    try:
        local = _evaluated(facts, function)
    except CannotError:
        return {}
    out = {}
    for name, value in local.items():
        table = as_table(value) if name != "return" else None
        if table is not None and not any(isinstance(v, Opaque) for v in table.row()):
            out[function, name] = tuple(table.row())
    return out


def _evaluated(facts: Facts, function: ast.FunctionDef) -> dict[str, Any]:
    module = facts.module_of(function)
    parameters = {n for n in _tokenizers(module, function) if n.isidentifier()}

    @cache
    def from_outside(name: str) -> Any:
        return _global(facts, module, name)

    return run_builder(function, parameters, from_outside)


def _global(facts: Facts, module: Module, name: str) -> Any:
    """The value of a module-level name: a literal, an alias of a builtin, a function, a library."""
    bindings = module.scopes[module.tree].bindings.get(name, [])
    if not bindings:
        return Opaque(f"builtins.{name}") if hasattr(builtins, name) else OPAQUE
    last = bindings[-1]
    if last.how == "import":
        return Opaque(last.dotted)
    if isinstance(last.value, ast.Constant):
        return last.value.value
    if isinstance(last.value, ast.FunctionDef):
        return last.value
    if isinstance(last.value, ast.Name) and last.value.id != name:
        return _global(facts, module, last.value.id)
    if isinstance(last.value, ast.Attribute):
        return Opaque(facts.dotted(last.value))
    return OPAQUE


def _uses(charges: Charges, tables: dict[tuple[ast.FunctionDef, str], tuple[Any, ...]]) -> list[_Use]:
    """The reads ``table[...]`` in running code whose table comes from a builder."""
    facts, found = charges.facts, []
    known: dict[Any, tuple[ast.FunctionDef, str] | None] = {}
    for module in facts.modules:
        for node in module.subscripts:
            if isinstance(node.ctx, ast.Load) and _indexes(node) and facts.runs(node):
                key = _identity(module, node.value)
                if key not in known:
                    known[key] = _origin(charges, node.value, tables)
                origin = known[key]
                if origin is not None:
                    found.append(_Use(origin[0], node, tables[origin]))
    return sorted(found, key=lambda use: position(use.node))


def _identity(module: Module, table: ast.AST) -> Any:
    """What tells tables apart: the scope that binds the name, or the attribute's name."""
    if isinstance(table, ast.Name):
        found = module.scope_of(table).lookup(table.id)
        return (found[0].node if found else module.tree), table.id
    return getattr(table, "attr", "")


def _indexes(node: ast.Subscript) -> bool:
    return isinstance(node.value, (ast.Name, ast.Attribute)) and not isinstance(
        node.slice, (ast.Slice, ast.Constant)
    )


def _origin(
    charges: Charges, table: ast.AST, tables: dict[tuple[ast.FunctionDef, str], tuple[Any, ...]]
) -> tuple[ast.FunctionDef, str] | None:
    """The builder and local name that a table expression comes from, through views and casts."""
    facts = charges.facts
    names = {name for _, name in tables}
    seen: set[At] = set()
    stack = [At(table)]
    while stack and len(seen) < _MOST:
        at = stack.pop(0)
        if at in seen:
            continue
        seen.add(at)
        node = at.node
        if isinstance(node, ast.Name) and node.id in names:
            module = facts.module_of(node)
            found = module.scope_of(node).lookup(node.id)
            owner = found[0].node if found else None
            if (owner, node.id) in tables:
                return owner, node.id  # type: ignore[return-value]
        if isinstance(node, ast.Call) and not facts.callees(node):
            receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            stack += [At(n, at.calls) for n in (*receiver, *node.args[:1])]
        else:
            stack += charges.tracer.behind(at, choices=False)
    return None


def _counts_bytes(row: tuple[Any, ...]) -> bool:
    """Whether a table holds sizes: pieces without a marker, which nobody disputes, are counted right."""
    return all(isinstance(v, (int, float)) for v in row) and all(row[p] == PIECES[p].size for p in PLAIN)


def _marks_leading(row: tuple[Any, ...]) -> bool:
    return bool(row[SPACED_WORD]) is True and not row[WORD] and len(row) == COUNT


def _adds_space(facts: Facts, node: ast.AST) -> bool:
    """Whether a read of the leading-space flags is turned into a number that is added."""
    module = facts.module_of(node)
    for outer in module.ancestors(node):
        if isinstance(outer, (ast.If, ast.While)):
            return False
        if isinstance(outer, FUNCTIONS):
            return False
        if isinstance(outer, ast.AugAssign):
            return isinstance(outer.op, ast.Add)
        if isinstance(outer, ast.BinOp) and isinstance(outer.op, ast.Add):
            return True
        if isinstance(outer, (ast.Assign, ast.Return, ast.Call)) and not isinstance(outer, ast.Call):
            return True
    return False
