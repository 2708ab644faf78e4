"""Compiling what the script executes: newer syntax lowered, sizes set, sources findable.

Scripts ``exec`` text that they have just unpacked. It is compiled under the name of its source
layer and entered in ``linecache``, so that ``inspect`` and tracebacks find it.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import hashlib
import importlib.machinery
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from harness import written

_COMPILE = builtins.compile
_EXEC = builtins.exec
_WORTH_NAMING = 2000
"""Characters: shorter texts come from ``dataclasses`` and kin, not from a packed script."""


def key(text: str) -> str:
    """The key of a source text in ``SourceBook.known``."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Known:
    """A layer the parent has peeled: its name and its text in this interpreter's syntax."""

    name: str
    lowered: str


@dataclass
class SourceBook:
    """What the child knows of sources: layers by ``key`` and the constants to set by dotted name."""

    known: Mapping[str, Known] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    rewrites: list[Callable[[ast.Module], ast.Module]] = field(default_factory=list)

    def compile(self, source: str | bytes, filename: str) -> CodeType:
        """Compile a module's text.

        Raises:
            SyntaxError: neither the text nor its lowered form is Python for this interpreter.
        """
        text = source.decode("utf-8-sig", "replace") if isinstance(source, bytes) else source.lstrip("\ufeff")
        known = self.known.get(key(text))
        name = known.name if known and filename.startswith("<") else filename
        tree: Any = _parse(known.lowered if known else text, name)
        if self.constants:
            tree = SetConstants(self.constants).visit(tree)
        for rewrite in self.rewrites:
            tree = ast.fix_missing_locations(rewrite(tree))
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        code: CodeType = _COMPILE(tree, name, "exec", _deferred(tree), True)
        return code


def _deferred(tree: ast.Module) -> int:
    """The flag that leaves annotations unevaluated, where one names what is bound only after it.

    Python 3.14 evaluates them when they are asked for; before, such a script dies as it is loaded.
    """
    bound, ahead = set(dir(builtins)), set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            own = _names(node, ast.Store) if isinstance(node, ast.ClassDef) else set()
            ahead |= {name for note in _annotations(node) for name in _names(note, ast.Load)} - bound - own
        for part in ast.walk(node):
            if isinstance(part, (ast.FunctionDef, ast.ClassDef)):
                bound.add(part.name)
            elif isinstance(part, ast.alias):
                bound.add((part.asname or part.name).partition(".")[0])
        bound |= _names(node, ast.Store)
    flag: int = __future__.annotations.compiler_flag
    return flag if ahead & bound else 0


def _annotations(node: ast.FunctionDef | ast.ClassDef) -> Iterator[ast.expr]:
    """The annotations that are evaluated with a definition: of its arguments, its result, its class body."""
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, (ast.FunctionDef, ast.ClassDef)):
                yield from _annotations(inner)
            elif isinstance(inner, ast.AnnAssign):
                yield inner.annotation
        return
    given = node.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    yield from (a.annotation for a in arguments if a is not None and a.annotation is not None)
    if node.returns is not None:
        yield node.returns


def _names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def _parse(text: str, name: str) -> Any:
    try:
        return _COMPILE(text, name, "exec", ast.PyCF_ONLY_AST, True)
    except SyntaxError:
        from harness.lowering import lower

        return _COMPILE(lower(text)[0], name, "exec", ast.PyCF_ONLY_AST, True)


class SetConstants(ast.NodeTransformer):
    """Replace literals by dotted name.

    ``NAME``, ``Class.NAME`` and ``function.NAME`` are assignments at module level (to attributes, too), in
    class bodies and in functions; ``range(step=rounds)`` is the head of a loop that trains; ``take(tokens)``
    a call of that name; ``dict(name)`` an entry of a dictionary, ``function(name)`` a literal passed or
    defaulted under that name.
    """

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self._constants = constants
        self._scope: list[str] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Descend into a class body."""
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Set defaults, then look for calls in the body."""
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
        first = len(names) - len(node.args.defaults)
        for k, value in enumerate(node.args.defaults):
            node.args.defaults[k] = self._literal(f"{node.name}({names[first + k]})", value)
        for k, (argument, default) in enumerate(
            zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        ):
            if default is not None:
                node.args.kw_defaults[k] = self._literal(f"{node.name}({argument.arg})", default)
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        """Shorten training loops whose head has their number of steps."""
        self._amount(node)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Set literals passed by name, and numbers of tokens to take."""
        self._amount(node)
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for keyword in node.keywords:
            keyword.value = self._literal(f"{function}({keyword.arg})", keyword.value)
        self.generic_visit(node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Set numbers of elements up to which tensors are stored as they are."""
        self._amount(node)
        self.generic_visit(node)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        """Set literals under a name."""
        for at, key in enumerate(node.keys):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                node.values[at] = self._literal(f"dict({key.value})", node.values[at])
        self.generic_visit(node)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """``NAME = literal``."""
        if len(node.targets) == 1:
            node.value = self._value(node.targets[0], node.value)
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """``NAME: type = literal``."""
        if node.value is not None:
            node.value = self._value(node.target, node.value)
        self.generic_visit(node)
        return node

    def _value(self, target: ast.expr, value: ast.expr) -> ast.expr:
        if isinstance(target, ast.Attribute) and not self._scope:
            return self._literal(ast.unparse(target), value)
        if not isinstance(target, ast.Name):
            return value
        return self._literal(".".join([*self._scope[-1:], target.id]), value)

    def _amount(self, node: ast.AST) -> None:
        """Set an amount that the code itself has."""
        if (found := written.amount(node)) is not None:
            name, number = found
            number.value = self._constants.get(name, number.value)

    def _literal(self, name: str, value: ast.expr) -> ast.expr:
        if name not in self._constants or isinstance(value, ast.Name):
            return value
        return ast.copy_location(ast.Constant(self._constants[name]), value)


def _exec(book: SourceBook) -> Any:
    def run(source: Any, globals: Any = None, locals: Any = None, /, **options: Any) -> None:  # noqa: A002
        if globals is None:
            frame = sys._getframe(1)
            globals, locals = frame.f_globals, frame.f_locals if locals is None else locals  # noqa: A001
        if isinstance(source, (str, bytes)):
            large = len(source) > _WORTH_NAMING
            source = (
                book.compile(source, "<string>") if large else _COMPILE(source, "<string>", "exec", 0, True)
            )
        if locals is None:
            _EXEC(source, globals, **options)
        else:
            _EXEC(source, globals, locals, **options)

    return run


def _compile(book: SourceBook) -> Any:
    def compiled(
        source: Any,
        filename: Any,
        mode: str,
        flags: int = 0,
        dont_inherit: bool = False,
        *args: Any,
        **options: Any,
    ) -> Any:
        packed = isinstance(source, (str, bytes)) and len(source) > _WORTH_NAMING
        if packed and mode == "exec" and not flags and "harness" not in str(filename):
            return book.compile(source, str(filename))
        return _COMPILE(source, filename, mode, flags, dont_inherit, *args, **options)

    return compiled


def _source_to_code(book: SourceBook, below: str) -> Any:
    original = importlib.machinery.SourceFileLoader.source_to_code

    def source_to_code(self: Any, data: Any, path: Any, *args: Any, **options: Any) -> Any:
        if str(path).startswith(below) and isinstance(data, bytes):
            return book.compile(data, str(path))
        return original(self, data, path, *args, **options)

    return source_to_code


def install(book: SourceBook, run_dir: str) -> None:
    """Route ``exec``, ``compile`` and imports from ``run_dir`` through the book."""
    builtins.exec = _exec(book)
    builtins.compile = _compile(book)
    importlib.machinery.SourceFileLoader.source_to_code = _source_to_code(book, run_dir)  # type: ignore[method-assign]
    sys.dont_write_bytecode = True
