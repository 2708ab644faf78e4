"""C and C++ function bodies as Python functions, for the value-flow queries.

Follows what decides where values go: assignments, branches, loops, calls, returns. Does not follow: macros
that build syntax, templates, overloads, operator overloading, lambdas, ``goto``, aliasing through pointers
other than parameters. A statement it cannot read is dropped and counted in ``dropped``.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import lru_cache

from checkers.static._c_expressions import TYPE_WORDS, CSyntaxError, ExpressionReader, at_line, stored_to
from checkers.static._c_tokens import Token, tokenize

_NOT_FUNCTIONS = {"if", "for", "while", "switch", "return", "sizeof", "catch", "else", "do", "defined"}
_LOOKS_LIKE_C = re.compile(r"\b(?:int|void|float|double|u?int\d+_t|size_t)\b[^;{}()]*\([^;{}]*\)[^;{}]*\{")


@dataclass(frozen=True)
class CSource:
    """The functions of one C source by name (the last of overloads wins)."""

    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    dropped: int = 0


def looks_like_c(text: str) -> bool:
    """Tell whether a string holds C function definitions."""
    return "{" in text and ";" in text and _LOOKS_LIKE_C.search(text) is not None


@lru_cache(maxsize=64)
def read(source: str) -> CSource:
    """Read every function definition of a source, at any depth of classes and namespaces."""
    tokens = tokenize(source)
    types = _declared_types(tokens)
    functions: dict[str, ast.FunctionDef] = {}
    dropped, at = 0, 0
    while at < len(tokens) - 1:
        found = _function_at(tokens, at)
        if found is None:
            at += 1
            continue
        name, first_param, body = found
        reader = _StatementReader(tokens, types)
        reader.at = body
        try:
            statements = reader.block()
        except CSyntaxError:
            at += 1
            continue
        dropped += reader.dropped
        functions[name] = _definition(name, _parameters(tokens, first_param), statements, tokens[at].line)
        at = reader.at
    return CSource(functions, dropped)


def _declared_types(tokens: list[Token]) -> set[str]:
    types = {"uint8_t", "uint16_t", "uint32_t", "uint64_t", "int64_t", "int32_t", "Tensor"}
    for i, token in enumerate(tokens[:-2]):
        if token.text in ("struct", "class", "enum", "using") and tokens[i + 1].kind == "name":
            types.add(tokens[i + 1].text)
        if token.text == "}" and tokens[i + 1].kind == "name" and tokens[i + 2].text == ";":
            types.add(tokens[i + 1].text)
        if token.text == "typedef" and tokens[i + 1].text not in ("struct", "enum", "union"):
            end = next((j for j in range(i, min(i + 12, len(tokens))) if tokens[j].text == ";"), i)
            types.add(tokens[end - 1].text)
    return types


def _function_at(tokens: list[Token], at: int) -> tuple[str, int, int] | None:
    """``name ( ... ) { `` here: the name, the index after ``(`` and the index of ``{``."""
    name, opening = tokens[at], tokens[at + 1]
    if name.kind != "name" or opening.text != "(" or name.text in _NOT_FUNCTIONS:
        return None
    close = _closing(tokens, at + 1)
    after = close + 1
    while after < len(tokens) and tokens[after].text in ("const", "noexcept", "override"):
        after += 1
    if after < len(tokens) and tokens[after].text == ":":  # constructor initializers
        while after < len(tokens) and not (
            tokens[after].text == "{" and tokens[after - 1].text in (")", "}")
        ):
            if tokens[after].text in (";", ""):
                return None
            after += 1
    if after < len(tokens) and tokens[after].text == "{":
        return name.text, at + 2, after
    return None


def _closing(tokens: list[Token], at: int) -> int:
    depth = 0
    for i in range(at, len(tokens)):
        depth += (tokens[i].text == "(") - (tokens[i].text == ")")
        if depth == 0:
            return i
    return len(tokens) - 1


def _parameters(tokens: list[Token], at: int) -> list[str]:
    """The parameter names of a list that starts at ``at``: the last name before each comma."""
    names: list[str] = []
    last, depth = "", 1
    while depth and tokens[at].kind != "end":
        token = tokens[at]
        depth += (token.text in "([<" and token.kind == "op") - (token.text in (")", "]", ">"))
        if token.kind == "name" and depth == 1 and tokens[at + 1].text in (",", ")", "[", "="):
            last = token.text
        if (token.text == "," and depth == 1) or depth == 0:
            names += [last] if last and last != "void" else []
            last = ""
        at += 1
    return names


def _definition(name: str, params: list[str], body: list[ast.stmt], line: int) -> ast.FunctionDef:
    args = [ast.arg(arg=p, lineno=line, col_offset=0) for p in dict.fromkeys(params)]
    arguments = ast.arguments(posonlyargs=[], args=args, kwonlyargs=[], kw_defaults=[], defaults=[])
    node = ast.FunctionDef(name=name, args=arguments, body=body or [ast.Pass()], decorator_list=[])
    return ast.fix_missing_locations(at_line(node, line))


class _StatementReader(ExpressionReader):
    """Reads statements; unreadable ones are skipped to their end and counted."""

    def __init__(self, tokens: list[Token], types: set[str]) -> None:
        super().__init__(tokens, types)
        self.dropped = 0

    def block(self) -> list[ast.stmt]:
        """``{ ... }`` or a single statement, as a list."""
        if not self.accept("{"):
            return self.statement()
        out: list[ast.stmt] = []
        while not self.accept("}"):
            if self.token.kind == "end":
                raise CSyntaxError("the source ends inside a block")
            out += self.statement()
        return out

    def statement(self) -> list[ast.stmt]:
        """One statement; several Python statements when it has effects or declares several names."""
        start = self.at
        self.effects = []
        try:
            return self._statement()
        except CSyntaxError:
            self.dropped += 1
            self.at = start
            self._skip_statement()
            return []

    def _statement(self) -> list[ast.stmt]:
        token = self.token
        handlers = {
            "if": self._if,
            "for": self._for,
            "while": self._while,
            "do": self._do,
            "switch": self._switch,
            "return": self._return,
        }
        if token.text == "{":
            return self.block()
        if token.kind == "name" and token.text in handlers:
            return handlers[token.text]()
        if token.text in ("break", "continue"):
            self.take()
            self.take(";")
            word: ast.stmt = ast.Break() if token.text == "break" else ast.Continue()
            return [at_line(word, token.line)]
        if self.accept(";"):
            return []
        if token.text in ("case", "default") or (token.kind == "name" and self.ahead(1).text == ":"):
            while self.take().text != ":":
                pass
            return []
        if self._declares():
            return self._declaration()
        return self._expressions(";")

    def _expressions(self, closing: str) -> list[ast.stmt]:
        """Comma-separated expressions up to ``closing``, each with its effects in front."""
        out: list[ast.stmt] = []
        while True:
            self.effects = []
            value = self.expression()
            out += self.effects
            if isinstance(value, ast.Call):
                out.append(at_line(ast.Expr(value=value), value.lineno))
            if not self.accept(","):
                break
        self.take(closing)
        return out

    def _declares(self) -> bool:
        """Tell whether a declaration starts here: a type, then a name, then what may follow one."""
        n = 0
        words = 0
        while self.ahead(n).kind == "name" or self.ahead(n).text in ("*", "&", "::"):
            words += self.ahead(n).kind == "name" and self.ahead(n - 1 if n else 0).text != "::"
            if self.ahead(n + 1).text == "<" and self.ahead(n).kind == "name" and words == 1:
                end = self._angle_end(n + 1)
                n = end or n
            n += 1
        last = self.ahead(n - 1) if n else self.token
        typed = self.is_type(self.token) or words >= 2
        return (
            typed
            and words >= 2
            and last.kind == "name"
            and self.ahead(n).text in ("=", ";", ",", "[", "{", "(")
        )

    def _angle_end(self, n: int) -> int | None:
        depth = 0
        for k in range(n, n + 24):
            text = self.ahead(k).text
            depth += (text == "<") - (text == ">")
            if depth == 0:
                return k
            if text in (";", "(", ")", "="):
                return None
        return None

    def _declaration(self) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        while self._still_type():
            self.take()
            if self.token.text == "<":
                self.skip_angles()
        while True:
            while self.accept("*") or self.accept("&") or self.accept("const"):
                pass
            out += self._declared()
            if not self.accept(","):
                break
        self.take(";")
        return out

    def _still_type(self) -> bool:
        return (
            self.token.text in TYPE_WORDS
            or self.ahead(1).kind == "name"
            or self.ahead(1).text in ("*", "&", "::", "<")
            or self.token.text == "::"
        )

    def _declared(self) -> list[ast.stmt]:
        token = self.take()
        name = at_line(ast.Name(id=token.text, ctx=ast.Store()), token.line)
        while self.token.text == "[":
            self.skip_group()
        self.effects = []
        if self.accept("="):
            value = self.expression()
        elif self.token.text in ("{", "("):
            closing = {"{": "}", "(": ")"}[self.take().text]
            value = at_line(ast.Tuple(elts=self.listed(closing), ctx=ast.Load()), token.line)
        else:
            return []
        return [*self.effects, at_line(ast.Assign(targets=[name], value=value), token.line)]

    def _condition(self) -> tuple[list[ast.stmt], ast.expr]:
        self.take("(")
        self.effects = []
        test = self.expression()
        effects = self.effects
        self.take(")")
        return effects, test

    def _if(self) -> list[ast.stmt]:
        line = self.take("if").line
        self.accept("constexpr")
        effects, test = self._condition()
        body = self.block()
        orelse = self.block() if self.accept("else") else []
        node = ast.If(test=test, body=body or [ast.Pass()], orelse=orelse)
        return [*effects, at_line(node, line)]

    def _while(self) -> list[ast.stmt]:
        line = self.take("while").line
        effects, test = self._condition()
        body = self.block()
        return [
            *effects,
            at_line(ast.While(test=test, body=[*body, *effects] or [ast.Pass()], orelse=[]), line),
        ]

    def _do(self) -> list[ast.stmt]:
        line = self.take("do").line
        body = self.block()
        self.take("while")
        effects, test = self._condition()
        self.take(";")
        return [at_line(ast.While(test=test, body=[*body, *effects] or [ast.Pass()], orelse=[]), line)]

    def _switch(self) -> list[ast.stmt]:
        line = self.take("switch").line
        effects, test = self._condition()
        body = [s for s in self.block() if not isinstance(s, ast.Break)]
        return [*effects, at_line(ast.If(test=test, body=body or [ast.Pass()], orelse=[]), line)]

    def _return(self) -> list[ast.stmt]:
        line = self.take("return").line
        self.effects = []
        value = None if self.token.text == ";" else self.expression()
        self.take(";")
        return [*self.effects, at_line(ast.Return(value=value), line)]

    def _for(self) -> list[ast.stmt]:
        line = self.take("for").line
        self.take("(")
        if (ranged := self._range_for(line)) is not None:
            return ranged
        before = (
            [] if self.accept(";") else (self._declaration() if self._declares() else self._expressions(";"))
        )
        self.effects = []
        test = at_line(ast.Constant(value=True), line) if self.token.text == ";" else self.expression()
        self.take(";")
        step = [] if self.accept(")") else self._expressions(")")
        body = self.block()
        counted = _counter(before, step)
        if counted is not None:
            node: ast.stmt = _counted_loop(counted, test, body, line)
        else:
            node = ast.While(test=test, body=[*body, *step] or [ast.Pass()], orelse=[])
        return [*before, at_line(node, line)]

    def _range_for(self, line: int) -> list[ast.stmt] | None:
        n = 0
        while self.ahead(n).kind == "name" or self.ahead(n).text in ("*", "&", "::"):
            n += 1
        if self.ahead(n).text != ":":
            return None
        target = at_line(ast.Name(id=self.ahead(n - 1).text, ctx=ast.Store()), line)
        self.at += n + 1
        over = self.expression()
        self.take(")")
        body = self.block()
        return [at_line(ast.For(target=target, iter=over, body=body or [ast.Pass()], orelse=[]), line)]

    def _skip_statement(self) -> None:
        while self.token.kind != "end":
            text = self.token.text
            if text == "}":
                return
            if text in ("(", "[", "{"):
                self.skip_group()
                if text == "{":
                    return
                continue
            self.take()
            if text == ";":
                return


def _counter(before: list[ast.stmt], step: list[ast.stmt]) -> str | None:
    """The loop variable of ``for (i = a; ...; i += b)``."""
    if not before or not step or not isinstance(step[0], ast.AugAssign):
        return None
    target = step[0].target
    return target.id if isinstance(target, ast.Name) else None


def _counted_loop(name: str, test: ast.expr, body: list[ast.stmt], line: int) -> ast.For:
    bound = test.comparators[0] if isinstance(test, ast.Compare) else test
    over = at_line(ast.Call(func=ast.Name(id="range", ctx=ast.Load()), args=[bound], keywords=[]), line)
    target = stored_to(at_line(ast.Name(id=name, ctx=ast.Load()), line))
    return ast.For(target=target, iter=over, body=body or [ast.Pass()], orelse=[])
