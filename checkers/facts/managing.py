"""``with``: what managers of the submission do around the body.

A generator function under ``contextmanager`` is run up to its ``yield``, where the body is run in the frame
of the statement, and then on to its end: hooks that it registers are in place while the body runs, and gone
afterwards. Of a class, ``__enter__`` and ``__exit__`` are called. Managers of libraries stand for themselves.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from checkers.facts.looping import Looping
from checkers.facts.values import NONE, Instance, Value
from harness.nodes import walk


class Managing(Looping):
    """The runner of ``with`` statements."""

    def _with(self, node: ast.With | ast.AsyncWith) -> bool:
        return self._managed(node, 0)

    def _managed(self, node: ast.With | ast.AsyncWith, place: int) -> bool:
        """Enter the managers from ``place`` on, run the body; True when control leaves the block."""
        if place == len(node.items):
            return self.run_block(node.body)
        item = node.items[place]
        left: list[bool] = []

        def inside(value: Value) -> None:
            if not left:
                if item.optional_vars is not None:
                    self.assign(item.optional_vars, value)
                left.append(self._managed(node, place + 1))

        self.managed[item.context_expr] = self._here(inside)
        value = self.eval(item.context_expr)
        self.managed.pop(item.context_expr, None)
        if not left:
            own = [r for r in value.refs if isinstance(r, Instance) and r.cls]
            inside(self._entered(own, value, item.context_expr))
            self._call_each(own, "__exit__", [NONE, NONE, NONE], item.context_expr)
        return left[0]

    def _here(self, inside: Callable[[Value], None]) -> Callable[[Value], None]:
        """A function to be called further in, that runs ``inside`` as if control were back in this frame."""
        depth, module, calls = len(self.frames), self.module, self.calls

        def back(value: Value) -> None:
            inner, self.frames[depth:] = self.frames[depth:], []
            then, self.module, self.calls = (self.module, self.calls), module, calls
            try:
                inside(value)
            finally:
                self.frames[depth:] = inner
                self.module, self.calls = then

        return back

    def _entered(self, own: list[Instance], value: Value, node: ast.AST) -> Value:
        """What ``__enter__`` hands out; a manager without one stands for what it hands out."""
        return self._call_each(own, "__enter__", [], node) or value

    def _call_each(self, own: list[Instance], name: str, args: list[Value], node: ast.AST) -> Value | None:
        result = None
        for ref in own:
            found = ref.cls.find(name) if ref.cls else None
            if found:
                result = self.call(self._bound(found, ref), args, {}, node)
        return result


def is_manager(function: ast.AST) -> bool:
    """Whether a generator function is decorated to serve ``with`` statements."""
    names = (n for d in getattr(function, "decorator_list", ()) for n in walk(d))
    return any("contextmanager" in (getattr(n, "attr", ""), getattr(n, "id", "")) for n in names)
