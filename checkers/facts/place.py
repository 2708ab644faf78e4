"""From a syntax node to a place a reader can find: path, line, column, scope, excerpt."""

from __future__ import annotations

import ast

from checkers.facts.source import Module
from checkers.finding import Location

EXCERPT = 240  # characters; unpacked lines reach 6,000 and would drown the report


def locate(module: Module, node: ast.AST, caption: str = "", step: int = 0) -> Location:
    """The location of a node. Lines and columns count from 1, in the text of the node's layer."""
    line = getattr(node, "lineno", 0)
    return Location(
        path=module.layer.path,
        line=line,
        column=getattr(node, "col_offset", -1) + 1,
        end_line=getattr(node, "end_lineno", line) or line,
        layer=module.layer.name,
        scope=module.qualified(node),
        caption=caption,
        step=step,
        excerpt=excerpt(node),
    )


def excerpt(node: ast.AST) -> str:
    """The node as one line of normalized source, cut to ``EXCERPT`` characters.

    Unparsing gives the same text for the same program however it was formatted or packed. Of a
    compound statement only the head is shown.
    """
    text = _unparse(_head(node))
    first = " ".join(text.split())
    return first if len(first) <= EXCERPT else first[: EXCERPT - 1] + "…"


def _unparse(node: ast.AST) -> str:
    try:
        return ast.unparse(node)
    except (ValueError, RecursionError, AttributeError):
        return type(node).__name__


def _head(node: ast.AST) -> ast.AST:
    """The part of a compound statement that fits on its first line."""
    if isinstance(node, (ast.If, ast.While)):
        return node.test
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return node.iter
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return ast.Name(id=node.name, ctx=ast.Load())
    if isinstance(node, ast.With):
        return node.items[0].context_expr
    return node
