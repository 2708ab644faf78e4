"""The rewriting half of :mod:`harness.lowering`: f-strings re-quoted, type parameters dropped.

Run as a program of its own, text in and text out: LibCST's native parser overflows its stack on
hostile nesting, which takes the process with it.
"""

# ruff: noqa: N802 - LibCST finds its visitor methods by the names of node classes
from __future__ import annotations

import ast
import re
import resource
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import libcst as cst

_SECONDS = 20  # of processor time; the slowest script of the archive takes two
_DELIMITERS = ('"', "'", '"""', "'''")
_BLANK = cst.Module([])
_SPELLED_OUT = "str().join("  # how a string is written when no delimiter is left for it


class _CannotQuoteError(Exception):
    """No delimiter is left for this string."""


def rewrite(text: str) -> str | None:
    """Return the text with f-strings and type parameters in Python 3.11 syntax; None if unreadable."""
    try:
        with _unvalidated():
            return by_strings(text) or whole(text)
    except Exception:  # LibCST's native parser raises many kinds, among them panics, on hostile text
        return None


def whole(text: str) -> str:
    """The same by way of a syntax tree of the whole text, which takes ten times as long.

    Raises:
        Exception: LibCST cannot read the text.
    """
    return cst.parse_module(text).visit(_Lower()).code


def by_strings(text: str) -> str | None:
    """Rewrite the f-strings alone; None where that does not make it a program that ``ast`` accepts."""
    out, done = [], 0
    try:
        for start, stop in formatted_strings(text):
            code = text[start:stop]
            if not _fits(code):
                node = cst.ensure_type(cst.parse_expression(code), cst.FormattedString)
                out += [text[done:start], _BLANK.code_for_node(_inner(node, frozenset()))]
                done = stop
        lowered = "".join([*out, text[done:]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a minifier writes, such as ``0for``
            ast.parse(lowered)
    except (_UnclosedError, SyntaxError, ValueError, RecursionError, cst.ParserSyntaxError):
        return None
    return lowered


@contextmanager
def _unvalidated() -> Iterator[None]:
    """Keep LibCST from refusing what Python takes, such as ``1if a else 0`` of a minifier.

    The result is parsed by ``ast`` before anybody uses it.
    """
    check = cst.CSTNode.__post_init__
    cst.CSTNode.__post_init__ = lambda self: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        cst.CSTNode.__post_init__ = check  # type: ignore[method-assign]


class _UnclosedError(Exception):
    """A string or a gap of an f-string has no end."""


_TOKEN = re.compile(r"""#[^\n]*|((?<!\w)[A-Za-z]{1,2})?(\"\"\"|\'\'\'|["'])|[()\[\]{}:]""")
_PLAIN = {  # what follows the opening delimiter of a string, to its end
    '"': re.compile(r'[^"\\\n]*(?:\\.[^"\\\n]*)*"', re.DOTALL),
    "'": re.compile(r"[^'\\\n]*(?:\\.[^'\\\n]*)*'", re.DOTALL),
    '"""': re.compile(r'[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""', re.DOTALL),
    "'''": re.compile(r"[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''", re.DOTALL),
}
_PIECE = re.compile(r"\\N\{[^}]*\}|\\[^{}]|\\|\{\{|\}\}|[{}]|\"\"\"|\'\'\'|[\"'\n]", re.DOTALL)
_RAW_PIECE = re.compile(r"\\[^{}]|\\|\{\{|\}\}|[{}]|\"\"\"|\'\'\'|[\"'\n]", re.DOTALL)


def formatted_strings(text: str) -> Iterator[tuple[int, int]]:
    """The spans of the f-strings of a program that are inside no other string.

    Raises:
        _UnclosedError: a string has no end.
    """
    at = 0
    while found := _TOKEN.search(text, at):
        at = found.end() if found[2] is None else _string_end(text, found)
        if found[2] is not None and _is_formatted(found[1]):
            yield found.start(), at


def _is_formatted(prefix: str | None) -> bool:
    return prefix is not None and prefix.lower() in {"f", "fr", "rf"}


def _string_end(text: str, opening: re.Match[str]) -> int:
    """Where a string ends whose prefix and delimiter were found."""
    if _is_formatted(opening[1]):
        return _literal_end(text, opening.end(), opening[2], "r" in opening[1].lower(), spec=False)
    found = _PLAIN[opening[2]].match(text, opening.end())
    if found is None:
        raise _UnclosedError
    return found.end()


def _literal_end(text: str, at: int, quote: str, raw: bool, *, spec: bool) -> int:
    """Where the literal text of an f-string ends: behind its delimiter, for a format at the ``}``."""
    pattern = _RAW_PIECE if raw else _PIECE
    while found := pattern.search(text, at):
        piece, at = found[0], found.end()
        if piece[0] == quote[0] and (piece == quote or len(quote) == 1):
            if spec:
                break
            return found.start() + len(quote)
        if spec and piece[0] == "}":
            return found.start()
        if piece == "{" or (spec and piece == "{{"):
            at = _gap_end(text, found.start() + 1, quote, raw)
        elif piece == "\n" and len(quote) == 1:
            break
    raise _UnclosedError


def _gap_end(text: str, at: int, quote: str, raw: bool) -> int:
    """Behind the ``}`` of a gap of an f-string whose expression starts here."""
    depth = 0
    while found := _TOKEN.search(text, at):
        sign, at = found[0], found.end()
        if found[2] is not None:
            at = _string_end(text, found)
        elif sign in "([{":
            depth += 1
        elif sign == ":" and not depth:
            return _literal_end(text, at, quote, raw, spec=True) + 1
        elif sign == "}" and not depth:
            return at
        elif sign in ")]}":
            depth -= 1
    raise _UnclosedError


class _Written(cst.Name):
    """Text in place of an expression; parsing it, which LibCST does slowly where calls nest, helps nobody."""

    def _validate(self) -> None:
        """Any text will do."""

    def _safe_to_use_with_word_operator(self, position: object) -> bool:
        return True  # each is a string or stands in parentheses


class _Lower(cst.CSTTransformer):
    """Rewrites whole f-strings; what is nested in one is rewritten together with it."""

    def visit_FormattedString(self, node: cst.FormattedString) -> bool:
        return False

    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.BaseExpression:
        if _fits(_BLANK.code_for_node(original_node)):
            return updated_node
        return _inner(original_node, frozenset())

    def leave_TypeAlias(self, original_node: cst.TypeAlias, updated_node: cst.TypeAlias) -> cst.Assign:
        return cst.Assign([cst.AssignTarget(updated_node.name)], updated_node.value)

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        if updated_node.type_parameters is None:
            return updated_node
        return updated_node.with_changes(type_parameters=None)

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        if updated_node.type_parameters is None:
            return updated_node
        return updated_node.with_changes(type_parameters=None)


class _Requote(cst.CSTTransformer):
    """Gives every string inside one f-string expression a delimiter that is still free."""

    def __init__(self, taken: frozenset[str]) -> None:
        super().__init__()
        self.taken = taken

    def visit_FormattedString(self, node: cst.FormattedString) -> bool:
        return False

    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.BaseExpression:
        return _inner(original_node, self.taken)

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.BaseExpression:
        return _Written(_quoted(original_node.evaluated_value, self.taken))

    def visit_ConcatenatedString(self, node: cst.ConcatenatedString) -> bool:
        return False

    def leave_ConcatenatedString(
        self, original_node: cst.ConcatenatedString, updated_node: cst.ConcatenatedString
    ) -> cst.BaseExpression:
        """Parts side by side must stay strings; joined by plus signs they may become calls."""
        sides = [_code(side, self.taken) for side in (original_node.left, original_node.right)]
        return _Written("(" + "+".join(sides) + ")")

    def leave_TrailingWhitespace(
        self, original_node: cst.TrailingWhitespace, updated_node: cst.TrailingWhitespace
    ) -> cst.TrailingWhitespace:
        return updated_node.with_changes(comment=None)

    def leave_EmptyLine(self, original_node: cst.EmptyLine, updated_node: cst.EmptyLine) -> cst.EmptyLine:
        return updated_node.with_changes(comment=None)


def _fits(code: str) -> bool:
    try:
        ast.parse(code.strip(), mode="eval") if "\n" not in code else ast.parse(f"({code})", mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _code(node: cst.CSTNode, taken: frozenset[str]) -> str:
    changed = node.visit(_Requote(taken))
    assert isinstance(changed, cst.CSTNode)
    return _BLANK.code_for_node(changed)


@cache
def _inner(node: cst.FormattedString, taken: frozenset[str]) -> cst.BaseExpression:
    """A nested f-string: re-quoted while a delimiter is left, else spelled as a join of formats.

    Kept by node and delimiters, of which there are sixteen sets: each delimiter that the string around
    tries asks again, so that without it every level of nesting would double the work.
    """
    try:
        return _Written(_formatted(node, taken))
    except _CannotQuoteError:
        return _Written(_joined(node.parts, taken, raw="r" in node.prefix.lower()))


def _formatted(node: cst.FormattedString, taken: frozenset[str]) -> str:
    """The f-string under the first delimiter that leaves every string in it a string, if there is one."""
    first = None
    for quote in sorted(_DELIMITERS, key=lambda d: (d != node.end, len(d), d != '"')):
        text = None if quote in taken else _under(node, quote, taken)
        if text is not None and _SPELLED_OUT not in text:
            return text
        first = first or text
    if first is None:
        raise _CannotQuoteError
    return first


def _under(node: cst.FormattedString, quote: str, taken: frozenset[str]) -> str | None:
    prefix = node.prefix
    try:
        body = _body(node.parts, prefix.lower(), node.end, quote, taken | {quote})
    except _CannotQuoteError:
        return None
    text = prefix + quote + body + quote
    return text if not any(t in text for t in taken) and _fits(text) else None


def _body(
    parts: Sequence[cst.BaseFormattedStringContent], prefix: str, old: str, quote: str, taken: frozenset[str]
) -> str:
    out = []
    for part in parts:
        if isinstance(part, cst.FormattedStringText):
            out.append(_literal(part.value, "r" in prefix, old, quote, nested=len(taken) > 1))
        elif isinstance(part, cst.FormattedStringExpression):
            out.append(_replacement(part, prefix, old, quote, taken))
    return "".join(out)


def _literal(value: str, raw: bool, old: str, quote: str, *, nested: bool) -> str:
    """The literal text of an f-string under another delimiter."""
    if nested and set(value) & {"\\", "#"}:  # neither may stand inside the expression of an outer f-string
        raise _CannotQuoteError
    if quote == old:
        return value
    if "\n" in value and len(quote) == 1:
        raise _CannotQuoteError
    clash = quote in value or value.endswith(quote[0])
    if clash and (raw or nested):
        raise _CannotQuoteError
    return _escape(value, quote[0]) if clash else value


def _escape(value: str, quote: str) -> str:
    out, escaped = [], False
    for char in value:
        out.append("\\" + char if char == quote and not escaped else char)
        escaped = char == "\\" and not escaped
    return "".join(out)


def _replacement(
    part: cst.FormattedStringExpression, prefix: str, old: str, quote: str, taken: frozenset[str]
) -> str:
    code = _code(part.expression, taken)
    if "\\" in code or "#" in code or quote in code or ("\n" in code and len(quote) == 1):
        raise _CannotQuoteError
    before = _BLANK.code_for_node(part.whitespace_before_expression)
    after = _BLANK.code_for_node(part.whitespace_after_expression)
    before = before or (" " if code.startswith("{") else "")
    out = "{" + before + code + after
    if part.equal is not None:
        out += _BLANK.code_for_node(part.equal)
    if part.conversion is not None:
        out += "!" + part.conversion
    if part.format_spec is not None:
        out += ":" + _body(part.format_spec, prefix, old, quote, taken)
    return out + "}"


def _joined(parts: Sequence[cst.BaseFormattedStringContent], taken: frozenset[str], *, raw: bool) -> str:
    """An f-string as ``str().join((...))``, which needs no delimiter of its own."""
    out = []
    for part in parts:
        if isinstance(part, cst.FormattedStringText):
            out.append(_quoted(_cooked(part.value, raw=raw), taken))
        elif isinstance(part, cst.FormattedStringExpression):
            value = f"({_code(part.expression, taken)})"
            if part.conversion is not None:
                value = {"r": "repr", "s": "str", "a": "ascii"}[part.conversion] + value
            spec = f",{_joined(part.format_spec, taken, raw=raw)}" if part.format_spec else ""
            out.append(f"format({value}{spec})")
    return "(str().join((" + "".join(f"{piece}," for piece in out) + ")))"


def _cooked(value: str, *, raw: bool) -> str:
    """The characters that the literal part of an f-string stands for."""
    text = value.replace("{{", "{").replace("}}", "}")
    if raw:
        return text
    try:
        return str(ast.literal_eval('"""' + _escape(text, '"') + '"""'))
    except (SyntaxError, ValueError):
        return text


def _quoted(value: str | bytes, taken: frozenset[str]) -> str:
    """A constant written without a backslash and with a free delimiter, or built from its codes."""
    plain = value if isinstance(value, str) else value.decode("latin-1")
    prefix = "" if isinstance(value, str) else "b"
    if plain.isprintable() and (not prefix or plain.isascii()) and not set(plain) & {"\\", "#"}:
        for quote in _DELIMITERS:
            text = prefix + quote + plain + quote
            if quote[0] not in plain and quote not in taken and not any(t in text for t in taken):
                return text
    if isinstance(value, bytes):
        return f"(bytes(({''.join(f'{b},' for b in value)})))"
    return f"(str().join(map(chr,({''.join(f'{ord(c)},' for c in value)}))))"


def main() -> int:
    """Lower standard input to standard output; 1 when it cannot be parsed."""
    lowered = rewrite(sys.stdin.buffer.read().decode("utf-8", "surrogatepass"))
    if lowered is None:
        return 1
    sys.stdout.buffer.write(lowered.encode("utf-8", "surrogatepass"))
    return 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    sys.exit(main())
