"""Fold the switches of a configuration into constants; drop branches and entries of tables not taken."""

from __future__ import annotations

import ast
from typing import Any

UNKNOWN = object()


def fold_switches(tree: ast.Module, frozen: dict[str, object]) -> ast.Module:
    """Return ``tree`` with ``config.<switch>`` replaced by its value and decided branches removed."""
    folded = Folder(frozen).visit(tree)
    assert isinstance(folded, ast.Module)
    drop_unused_imports(folded)
    return ast.fix_missing_locations(folded)


def is_config(node: ast.expr) -> bool:
    """Say whether an expression is called ``config``: a name, or an attribute such as ``self.config``."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name == "config"


class Folder(ast.NodeTransformer):
    """Evaluates tests made of switches and constants; leaves everything else alone."""

    def __init__(self, frozen: dict[str, object]) -> None:
        self.frozen = frozen

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Replace a switch by its value."""
        self.generic_visit(node)
        if is_config(node.value) and isinstance(node.ctx, ast.Load) and node.attr in self.frozen:
            return ast.Constant(self.frozen[node.attr])  # type: ignore[arg-type]
        return node

    def visit_If(self, node: ast.If) -> Any:
        """Keep the branch that a decided test takes."""
        self.generic_visit(node)
        value = evaluate_constant(node.test)
        if value is UNKNOWN:
            return node
        return node.body if value else node.orelse

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """Keep the side that a decided test takes."""
        self.generic_visit(node)
        value = evaluate_constant(node.test)
        if value is UNKNOWN:
            return node
        return node.body if value else node.orelse

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """Take the entry of a literal table that a decided key names."""
        self.generic_visit(node)
        if not isinstance(node.value, ast.Dict) or not isinstance(node.slice, ast.Constant):
            return node
        keys = [key.value if isinstance(key, ast.Constant) else UNKNOWN for key in node.value.keys]
        return node.value.values[keys.index(node.slice.value)] if UNKNOWN not in keys else node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """Shorten ``and`` and ``or`` by their decided parts."""
        self.generic_visit(node)
        decisive = isinstance(node.op, ast.Or)
        left: list[ast.expr] = []
        for operand in node.values:
            value = evaluate_constant(operand)
            if value is UNKNOWN:
                left.append(operand)
            elif bool(value) == decisive:
                if not left:
                    return ast.Constant(decisive)
                left.append(ast.Constant(decisive))
                break
        if not left:
            return ast.Constant(not decisive)
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Fold the body and cut what follows a return that is now unconditional."""
        self.generic_visit(node)
        node.body = cut_after_exit(node.body) or [ast.Pass()]
        return node


def cut_after_exit(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements up to the first return or raise."""
    for index, statement in enumerate(body):
        if isinstance(statement, ast.Return | ast.Raise):
            return body[: index + 1]
    return body


def evaluate_constant(test: ast.expr) -> object:
    """Return the value of a test made of constants alone, else UNKNOWN."""
    if isinstance(test, ast.Constant):
        return test.value
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = evaluate_constant(test.operand)
        return UNKNOWN if inner is UNKNOWN else not inner
    if isinstance(test, ast.Compare) and all_constant([test.left, *test.comparators]):
        return eval(compile(ast.Expression(ast.fix_missing_locations(test)), "<switch>", "eval"), {})
    return UNKNOWN


def all_constant(nodes: list[ast.expr]) -> bool:
    """Say whether all nodes are literals or collections of literals."""
    plain = (ast.Constant, ast.Tuple, ast.Set, ast.List, ast.expr_context)
    return all(isinstance(child, plain) for node in nodes for child in ast.walk(node))


def drop_unused_imports(tree: ast.Module) -> None:
    """Remove names imported from this package that no branch needs any more."""
    used = {child.id for child in ast.walk(tree) if isinstance(child, ast.Name)}
    for node in list(tree.body):
        if isinstance(node, ast.ImportFrom):
            node.names = [alias for alias in node.names if (alias.asname or alias.name) in used]
            if not node.names:
                tree.body.remove(node)
