"""C expressions as Python syntax trees, so that one analysis serves both languages.

What has no counterpart is flattened to what it means for the flow of values: casts, ``&x`` and ``sizeof``
vanish, ``*p`` is ``p[0]``, ``p->x`` is ``p.x``, an assignment inside an expression becomes a statement of
its own in front (``effects``).
"""

from __future__ import annotations

import ast
from typing import TypeVar

from checkers.static._c_tokens import Token, number
from checkers.static._words import words

_BINARY: dict[str, tuple[int, type[ast.operator]]] = {
    "|": (5, ast.BitOr),
    "^": (6, ast.BitXor),
    "&": (7, ast.BitAnd),
    "<<": (10, ast.LShift),
    ">>": (10, ast.RShift),
    "+": (11, ast.Add),
    "-": (11, ast.Sub),
    "*": (12, ast.Mult),
    "/": (12, ast.Div),
    "%": (12, ast.Mod),
}
_COMPARE: dict[str, tuple[int, type[ast.cmpop]]] = {
    "==": (8, ast.Eq),
    "!=": (8, ast.NotEq),
    "<": (9, ast.Lt),
    ">": (9, ast.Gt),
    "<=": (9, ast.LtE),
    ">=": (9, ast.GtE),
}
_ASSIGN = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="}
TYPE_WORDS = words(
    "void char short int long float double signed unsigned bool size_t ssize_t auto const static inline "
    "struct union enum volatile register constexpr extern typename uint unsigned"
)
N = TypeVar("N", bound=ast.AST)
_CASTS = {"static_cast", "reinterpret_cast", "const_cast", "dynamic_cast"}


class CSyntaxError(ValueError):
    """The reader does not understand this piece; the caller skips it and says so."""


class ExpressionReader:
    """A cursor over tokens that reads expressions. ``types`` are the names known to be types."""

    def __init__(self, tokens: list[Token], types: set[str]) -> None:
        self.tokens = tokens
        self.types = types
        self.at = 0
        self.effects: list[ast.stmt] = []

    @property
    def token(self) -> Token:
        """The token under the cursor."""
        return self.tokens[self.at]

    def ahead(self, distance: int) -> Token:
        """The token some places ahead, the end token past the end."""
        return self.tokens[min(self.at + distance, len(self.tokens) - 1)]

    def take(self, text: str = "") -> Token:
        """Consume a token, which must be ``text`` when given.

        Raises:
            CSyntaxError: another token is there.
        """
        token = self.token
        if (text and token.text != text) or token.kind == "end":
            raise CSyntaxError(f"line {token.line}: expected {text or 'more'}, found {token.text!r}")
        self.at += 1
        return token

    def accept(self, text: str) -> bool:
        """Consume the token if it is ``text``."""
        if self.token.text == text and self.token.kind in ("op", "name"):
            self.at += 1
            return True
        return False

    def is_type(self, token: Token) -> bool:
        """Tell whether a name is known to denote a type."""
        known = token.text in TYPE_WORDS or token.text in self.types
        return token.kind == "name" and (known or token.text.endswith("_t"))

    # -- expressions, loosest first -------------------------------------------------------------

    def expression(self) -> ast.expr:
        """Assignment level; the targets' stores go to ``effects`` and the value is the result."""
        start = self.token
        left = self._ternary()
        if self.token.kind == "op" and self.token.text in _ASSIGN:
            operator = self.take().text
            right = self.expression()
            self.store(left, right, operator, start.line)
            return left
        return left

    def store(self, target: ast.expr, value: ast.expr, operator: str, line: int) -> None:
        """Record ``target operator value`` as a statement."""
        stored = stored_to(target)
        if operator == "=":
            node: ast.stmt = ast.Assign(targets=[stored], value=value)
        else:
            op = _BINARY[operator[:-1]][1]()
            node = ast.AugAssign(target=stored, op=op, value=value)
        self.effects.append(at_line(node, line))

    def _ternary(self) -> ast.expr:
        test = self._logic(0)
        if not self.accept("?"):
            return test
        body = self.expression()
        self.take(":")
        return at_line(ast.IfExp(test=test, body=body, orelse=self.expression()), self.token.line)

    def _logic(self, level: int) -> ast.expr:
        word, op = (("||", ast.Or), ("&&", ast.And))[level]
        first = self._logic(1) if level == 0 else self._binary(5)
        values = [first]
        while self.accept(word):
            values.append(self._logic(1) if level == 0 else self._binary(5))
        return first if len(values) == 1 else at_line(ast.BoolOp(op=op(), values=values), self.token.line)

    def _binary(self, floor: int) -> ast.expr:
        left = self._unary()
        while self.token.kind == "op":
            text, line = self.token.text, self.token.line
            if text in _BINARY and _BINARY[text][0] >= floor:
                self.take()
                right = self._binary(_BINARY[text][0] + 1)
                left = at_line(ast.BinOp(left=left, op=_BINARY[text][1](), right=right), line)
            elif text in _COMPARE and _COMPARE[text][0] >= floor:
                self.take()
                right = self._binary(_COMPARE[text][0] + 1)
                compare = ast.Compare(left=left, ops=[_COMPARE[text][1]()], comparators=[right])
                left = at_line(compare, line)
            else:
                break
        return left

    def _unary(self) -> ast.expr:
        token = self.token
        if token.kind == "op" and token.text in ("!", "~", "-", "+", "*", "&", "++", "--"):
            self.take()
            return self._prefixed(token, self._unary())
        if token.text == "sizeof":
            self.take()
            if self.token.text == "(":
                self.skip_group()
            else:
                self._unary()
            return at_line(ast.Constant(value=8), token.line)
        if token.text == "(" and self._cast_ahead():
            self.skip_group()
            return self._unary()
        return self._postfix(self._primary())

    def _prefixed(self, token: Token, value: ast.expr) -> ast.expr:
        if token.text in ("&", "+"):
            return value
        if token.text == "*":
            zero = ast.Constant(value=0)
            return at_line(ast.Subscript(value=value, slice=zero, ctx=ast.Load()), token.line)
        if token.text in ("++", "--"):
            self.store(value, ast.Constant(value=1), token.text[0] + "=", token.line)
            return value
        op: ast.unaryop = {"!": ast.Not, "~": ast.Invert, "-": ast.USub}[token.text]()
        return at_line(ast.UnaryOp(op=op, operand=value), token.line)

    def _cast_ahead(self) -> bool:
        """Tell whether the cursor is at ``(type)`` followed by something to cast."""
        depth, n = 1, 1
        if not self.is_type(self.ahead(1)):
            return False
        while depth and self.ahead(n).kind != "end":
            token = self.ahead(n)
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth and not (token.kind == "name" or token.text in ("*", "&", "::", "<", ">", ",", "(")):
                return False
            n += 1
        after = self.ahead(n)
        return after.kind in ("name", "number", "string") or after.text in ("(", "!", "~", "-", "*", "&", "{")

    def _primary(self) -> ast.expr:
        token = self.take()
        if token.kind == "number":
            return at_line(ast.Constant(value=number(token.text)), token.line)
        if token.kind == "string":
            return at_line(ast.Constant(value=token.text[1:-1]), token.line)
        if token.text == "(":
            value = self.expression()
            while self.accept(","):
                value = self.expression()
            self.take(")")
            return value
        if token.text == "{":
            return at_line(ast.Tuple(elts=self.listed("}"), ctx=ast.Load()), token.line)
        if token.kind != "name":
            raise CSyntaxError(f"line {token.line}: unexpected {token.text!r}")
        if token.text in _CASTS and self.token.text == "<":
            self.skip_angles()
        return at_line(ast.Name(id=token.text, ctx=ast.Load()), token.line)

    def _postfix(self, value: ast.expr) -> ast.expr:
        while True:
            token = self.token
            if token.text == "(":
                self.take()
                value = at_line(ast.Call(func=value, args=self.listed(")"), keywords=[]), token.line)
            elif token.text == "[":
                self.take()
                index = self.expression()
                self.take("]")
                value = at_line(ast.Subscript(value=value, slice=index, ctx=ast.Load()), token.line)
            elif token.text in (".", "->", "::"):
                self.take()
                name = self.take().text
                value = at_line(ast.Attribute(value=value, attr=name, ctx=ast.Load()), token.line)
            elif token.text in ("++", "--"):
                self.take()
                self.store(value, ast.Constant(value=1), token.text[0] + "=", token.line)
            elif token.text == "{" and isinstance(value, ast.Name) and value.id in self.types:
                self.take()
                value = at_line(ast.Call(func=value, args=self.listed("}"), keywords=[]), token.line)
            elif token.text == "<" and self._template_ahead():
                self.skip_angles()
            else:
                return value

    def _template_ahead(self) -> bool:
        """Tell whether ``<`` opens template arguments: only type words up to ``>(``."""
        n = 1
        while self.ahead(n).kind == "name" or self.ahead(n).text in ("*", "::", ",", "&"):
            n += 1
        return (
            n > 1
            and self.ahead(n).text == ">"
            and self.ahead(n + 1).text == "("
            and self.is_type(self.ahead(1))
        )

    def listed(self, closing: str) -> list[ast.expr]:
        """Comma-separated expressions up to and including ``closing``."""
        out: list[ast.expr] = []
        while not self.accept(closing):
            if self.token.text == "." and self.ahead(2).text == "=":  # designated initializer
                self.at += 3
            out.append(self.expression())
            if self.token.text != closing:
                self.take(",")
        return out

    def skip_group(self) -> None:
        """Skip a bracketed group, whatever is inside."""
        opening = self.take().text
        closing = {"(": ")", "[": "]", "{": "}"}[opening]
        depth = 1
        while depth:
            token = self.take()
            depth += (token.text == opening) - (token.text == closing)

    def skip_angles(self) -> None:
        """Skip ``<...>``."""
        self.take("<")
        depth = 1
        while depth:
            text = self.take().text
            depth += (text == "<") - (text == ">") - 2 * (text == ">>")
            depth = max(depth, 0)


def stored_to(target: ast.expr) -> ast.Name | ast.Attribute | ast.Subscript:
    """The same place with a storing context; anything that is no place becomes an anonymous name."""
    if isinstance(target, ast.Name):
        return at_line(ast.Name(id=target.id, ctx=ast.Store()), target.lineno)
    if isinstance(target, ast.Attribute):
        return at_line(ast.Attribute(value=target.value, attr=target.attr, ctx=ast.Store()), target.lineno)
    if isinstance(target, ast.Subscript):
        node = ast.Subscript(value=target.value, slice=target.slice, ctx=ast.Store())
        return at_line(node, target.lineno)
    return ast.Name(id="_", ctx=ast.Store(), lineno=1, col_offset=0)


def at_line(node: N, line: int) -> N:
    """Give a node (and unplaced children) a line, which findings quote."""
    node.lineno, node.col_offset = line, 0  # type: ignore[attr-defined]
    node.end_lineno, node.end_col_offset = line, 0  # type: ignore[attr-defined]
    return node
