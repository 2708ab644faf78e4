"""Which outputs of a loop over tokens depend on the token of the same step: one iteration, in order.

State that a step leaves behind for later steps may depend on its token; what it writes *for its own position*
may not. So the loop's body is walked once with the state clean and only the current token tainted: a store
``out[i] = ...`` under a branch that tests a flag of the token, or of such a flag, is gated by the target.

Serves Python functions and C functions read by ``_c_reader`` alike. Calls are not entered: what one is given
taints what it returns and what it is handed by reference.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.nodes import walk

TOKEN = 1  # the token itself, or arithmetic on it
FLAG = 2  # an attribute of it: a table entry, a comparison, membership
_FREE = frozenset({"range", "len", "print", "isinstance"})
_PURE = re.compile(r"u?int\d*(_t)?|size_t|float|double|bool|min|max|abs|static_cast")  # change no argument


@dataclass(frozen=True, slots=True)
class Store:
    """A write for the current position: the array, the statement, and what it depends on."""

    name: str
    node: ast.stmt
    value: ast.AST
    control: int
    data: int
    test: ast.AST | None

    @property
    def gated(self) -> bool:
        """Whether a flag of the position's own token decides the write, which is no score of the token."""
        return not self.data & TOKEN and bool((self.control | self.data) & FLAG)


def stores(
    function: ast.AST, is_token: Callable[[ast.Subscript], bool], is_stream: Callable[[ast.AST], bool]
) -> list[Store]:
    """The stores of every loop over tokens in a function.

    ``is_token`` tells of a subscript, and ``is_stream`` of an iterated expression, whether it holds the
    validation tokens.
    """
    found: list[Store] = []
    for node in walk(function):
        if isinstance(node, ast.For):
            found += _Step(node, is_token, is_stream).run()
    return found


class _Step:
    """One walk over the body of one loop."""

    def __init__(
        self, loop: ast.For, is_token: Callable[[ast.Subscript], bool], is_stream: Callable[[ast.AST], bool]
    ) -> None:
        self.loop = loop
        self.is_token = is_token
        self.is_stream = is_stream
        self.taint: dict[str, int] = {}
        self.left = 0
        self.test: ast.AST | None = None
        self.indices: set[str] = set()
        self.found: list[Store] = []

    def run(self) -> list[Store]:
        self._start()
        self._block(self.loop.body, 0)
        return self.found

    def _start(self) -> None:
        """Taint the loop's own names: the items of a stream; remember the counter."""
        target, over = self.loop.target, self.loop.iter
        call = over.func.id if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) else ""
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        if call == "range" and isinstance(target, ast.Name):
            self.indices.add(target.id)
            self._positions(target.id)
        elif call == "enumerate" and isinstance(over, ast.Call) and over.args and len(names) == 2:
            self._index(names[0])
            if self.is_stream(over.args[0]):
                self._store(names[1], TOKEN)
        elif call == "zip" and isinstance(over, ast.Call):
            for name, source in zip(names, over.args, strict=False):
                self._store(name, TOKEN if self.is_stream(source) else 0)
        elif self.is_stream(over):
            self._store(target, TOKEN)

    def _index(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            self.indices.add(node.id)

    def _positions(self, counter: str) -> None:
        """``p = positions[i]`` is an index too when other arrays are read at ``p`` and at ``p - 1``.

        Or when an array is read at ``p`` here and handed over together with ``p``.
        """
        for node in walk(self.loop):
            if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)):
                continue
            target, at = node.targets[0], node.value.slice
            counted = isinstance(at, ast.Name) and at.id == counter
            if not counted or not isinstance(target, ast.Name):
                continue
            if self._used_with_offset(target.id) or self._handed_over(target.id, node.value):
                self.indices.add(target.id)

    def _used_with_offset(self, name: str) -> bool:
        return any(
            isinstance(n, ast.Subscript)
            and isinstance(n.slice, ast.BinOp)
            and isinstance(n.slice.left, ast.Name)
            and n.slice.left.id == name
            for n in walk(self.loop)
        )

    def _handed_over(self, name: str, positions: ast.AST) -> bool:
        """Whether an array that is read at a position is given to a call together with a position."""
        nodes = list(walk(self.loop))
        reads = [n for n in nodes if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name)]
        arrays = {_path(n) for n in reads if _is(n.slice, {name})}
        places = {
            n.targets[0].id
            for n in nodes
            if isinstance(n, ast.Assign)
            and isinstance(n.targets[0], ast.Name)
            and isinstance(n.value, ast.Subscript)
            and _path(n.value) == _path(positions)
        }
        calls = [n.args for n in nodes if isinstance(n, ast.Call)]
        return any(any(_is(a, places) for a in args) and any(_is(a, arrays) for a in args) for args in calls)

    # -- statements ------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt], control: int) -> bool:
        """Walk statements; True when control surely leaves the iteration."""
        return any(self._statement(statement, control | self.left) for statement in body)

    def _statement(self, node: ast.stmt, control: int) -> bool:
        if isinstance(node, (ast.Continue, ast.Break, ast.Return, ast.Raise)):
            return True
        if isinstance(node, ast.If):
            return self._if(node, control)
        if isinstance(node, (ast.For, ast.While)):
            self._inner(node, control)
        elif isinstance(node, ast.Assign):
            value = self._of(node.value)
            for target in node.targets:
                self._assign(node, target, node.value, value, control)
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)) and node.value is not None:
            before = self._of(node.target) if isinstance(node, ast.AugAssign) else 0
            self._assign(node, node.target, node.value, self._of(node.value) | before, control)
        elif isinstance(node, ast.Expr):
            self._of(node.value)
        elif isinstance(node, (ast.With, ast.Try)):
            return self._block(node.body, control)
        return False

    def _assign(self, node: ast.stmt, target: ast.AST, source: ast.AST, value: int, control: int) -> None:
        if isinstance(target, ast.Subscript) and self._at_position(target.slice):
            self.found.append(Store(_path(target.value), node, source, control, value, self.test))
        elif not _is(target, self.indices):
            self._store(target, value | control)

    def _store(self, target: ast.AST, value: int) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self._store(part, value)
        elif isinstance(target, ast.Subscript):
            root = _root(target)
            self.taint[root] = self.taint.get(root, 0) | value | self._of(target.slice)
        else:
            self.taint[_path(target)] = value

    def _if(self, node: ast.If, control: int) -> bool:
        decided = self._of(node.test)
        if decided and _only_leaves(node.body) and not node.orelse and _is_guard(node.test):
            return False
        flag = FLAG if decided else 0
        before, outer, left = dict(self.taint), self.test, self.left
        self.test = node.test if flag else outer
        body_leaves = self._block(node.body, control | flag)
        after, self.taint = self.taint, dict(before)
        left, self.left = self.left, left
        else_leaves = self._block(node.orelse, control | flag)
        self.test, self.left = outer, self.left | left
        kept = [t for t, leaves in ((after, body_leaves), (self.taint, else_leaves)) if not leaves]
        names = {n for t in kept for n in t}
        self.taint = {n: _union(t.get(n, before.get(n, 0)) for t in kept) for n in names} if kept else before
        if flag and body_leaves is not else_leaves and not _fails(node.body if body_leaves else node.orelse):
            self.left |= flag
            self.test = node.test
        return body_leaves and else_leaves

    def _inner(self, node: ast.For | ast.While, control: int) -> None:
        left = self.left
        decided = self._of(node.iter if isinstance(node, ast.For) else node.test)
        if isinstance(node, ast.For):
            self._store(node.target, decided)
        self._block(node.body, control | (FLAG if decided & FLAG else 0))
        self.left = left

    # -- expressions -----------------------------------------------------------------------------

    def _of(self, node: ast.AST) -> int:
        """What an expression depends on."""
        if isinstance(node, ast.Name):
            return self.taint.get(node.id, 0)
        if isinstance(node, ast.Attribute):
            path = _path(node)
            return self.taint[path] if path in self.taint else self._of(node.value)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.Compare):
            known = _union(self._of(c) for c in ast.iter_child_nodes(node))
            told = known & FLAG if _only_orders([node]) else known  # ids are names: their order tells nothing
            return FLAG if told else 0
        if isinstance(node, ast.Call):
            return self._call(node)
        return _union(
            self._of(c) for c in ast.iter_child_nodes(node) if isinstance(c, (ast.expr, ast.keyword))
        )

    def _subscript(self, node: ast.Subscript) -> int:
        if self._at_position(node.slice) and self.is_token(node):
            return TOKEN
        key = self._of(node.slice)
        base = self._of(node.value)
        return base | (FLAG if key else 0)

    def _at_position(self, index: ast.AST) -> bool:
        return isinstance(index, ast.Name) and index.id in self.indices

    def _call(self, node: ast.Call) -> int:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _FREE:
            return 0
        args = [*node.args, *(k.value for k in node.keywords)]
        given = _union(self._of(a) for a in args)
        receiver = _root(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        own = self._of(node.func.value) if isinstance(node.func, ast.Attribute) else 0
        if given and not _PURE.fullmatch(name or getattr(node.func, "attr", "")):
            for root in [receiver, *(_root(a) for a in args)]:
                if root and not self.taint.get(root, 0) & TOKEN:
                    self.taint[root] = self.taint.get(root, 0) | given
        return given | own


def _is(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _union(values: object) -> int:
    total = 0
    for value in values:  # type: ignore[attr-defined]
        total |= value
    return total


def _path(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_path(node.value)}.{node.attr}"
    if isinstance(node, ast.Subscript):
        return _path(node.value)
    return ""


def _root(node: ast.AST) -> str:
    """The name at the start of a chain of attributes and subscripts."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _only_leaves(body: list[ast.stmt]) -> bool:
    return all(isinstance(s, (ast.Continue, ast.Return, ast.Raise, ast.Break)) for s in body)


def _fails(body: list[ast.stmt]) -> bool:
    """Whether a block ends the whole function in an error, after which nothing is charged."""
    last = body[-1]
    return isinstance(last, ast.Raise) or (
        isinstance(last, ast.Return) and not isinstance(last.value, ast.Name)
    )


def _is_guard(test: ast.AST) -> bool:
    """Whether a test only checks that a token is a valid index: comparisons of order, no table."""
    compares = [n for n in walk(test) if isinstance(n, ast.Compare)]
    plain = not any(isinstance(n, (ast.Subscript, ast.Call)) for n in walk(test))
    return bool(compares) and plain and _only_orders(compares)


def _only_orders(compares: list[ast.Compare]) -> bool:
    return all(isinstance(op, (ast.Lt, ast.Gt, ast.LtE, ast.GtE)) for c in compares for op in c.ops)
