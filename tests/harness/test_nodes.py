"""Walks over syntax trees: every node once, in the order of ``ast.walk``, however often it is asked for."""

import ast
import gc
import weakref

from harness.nodes import walk

SCRIPT = """
@decorated(1)
def outer(a, *, b=None, c=2):
    for i, (j, k) in enumerate(a):
        while i < f"{j!r:>{k}}":
            async def inner(): return {**a, "x": lambda y: y[i:j]}
    return [n for n in a if n]
"""


def expected(node):
    """What ``ast.walk`` gives, without contexts."""
    return [n for n in ast.walk(node) if not isinstance(n, ast.expr_context)]


def placed(node):
    """Whether a node is one of its own; operators are shared by all trees."""
    return hasattr(node, "lineno")


def test_a_walk_gives_every_node_in_order_the_second_time_as_well():
    tree = ast.parse(SCRIPT)
    for node in expected(tree):
        first, second = walk(node), walk(node)
        assert first == second
        assert set(first) - {node} <= set(expected(node)) | {n for n in first if isinstance(n, ast.operator)}
        assert [n for n in first if hasattr(n, "lineno")] == [
            n for n in expected(node) if hasattr(n, "lineno")
        ]


def test_what_a_caller_does_with_a_walk_does_not_show_in_the_next():
    function = ast.parse(SCRIPT).body[0]
    whole = walk(function)
    walk(function).clear()
    walk(function).append(ast.Pass())
    assert walk(function) == whole


def test_a_walked_tree_is_freed_without_the_collector():
    class Marked(ast.Pass):
        pass

    tree = ast.parse(SCRIPT)
    marked = Marked()
    tree.body[0].body.append(marked)
    seen = weakref.ref(marked)
    gc.disable()
    try:
        for node in walk(tree):
            walk(node)
        del tree, marked, node
        assert seen() is None
    finally:
        gc.enable()
