"""The command line that a submission gives for its script, as far as the script's own parser takes it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import lowering
from harness.unpack import Layer

_FLAGS = ("store_true", "store_false", "store_const", "count", "BooleanOptionalAction")
_OTHER = re.compile(
    r"--?(?:eval\w*|h|help|smoke\w*|dry\w*)|\S*(?:eval[-_]?only|skip|load|resume|checkpoint|ckpt|smoke|dry)\S*",
    re.IGNORECASE,
)
"""What a command has that evaluates what an earlier one wrote, or tries something; training has it seldom."""
_TRAINS = re.compile(r"(?:--?)?(?:train|full|all)\b", re.IGNORECASE)
_OPTION = re.compile(r"--?[A-Za-z][\w-]*")
_VALUE = re.compile(r"[\w.,:@+=%-]+")
_DATA = re.compile(r"(?:\.{0,2}/)*(?:[\w.-]+/)*data/[\w./*-]*")


@dataclass
class _Parser:
    """What the parsers of a script declare: options, whether a value follows each, and words for a mode."""

    options: dict[str, bool] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)

    def read(self, layer: Layer) -> None:
        """Add what a layer declares."""
        try:
            tree = lowering.tree(layer.lowered)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
        texts = dict(_texts(tree))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                names = [
                    a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
                ]
                if call.func.attr == "add_parser":
                    self.words.update(names)
                elif call.func.attr == "add_argument":
                    self._declare(call, names, texts)

    def _declare(self, call: ast.Call, names: list[str], texts: Mapping[str, str]) -> None:
        keywords = {k.arg: k.value for k in call.keywords}
        takes = _action(keywords.get("action"), texts) not in _FLAGS
        options = [name for name in names if name.startswith("-")]
        self.options.update(dict.fromkeys(options, takes))
        if not options and isinstance(choices := keywords.get("choices"), (ast.List, ast.Tuple)):
            self.words.update(str(c.value) for c in choices.elts if isinstance(c, ast.Constant))


def claimed_arguments(logs: Any, layers: Iterable[Layer]) -> dict[str, str]:
    """The arguments of the command that trains, the longest of several: option to value, in their order.

    A flag has the value "", and so has a word that is no option (``train``). Only what the script's parser
    declares is kept; paths are those of our data or left out. Where no command tells it, a script that has
    a flag for training gets it: without the flag it does something else.
    """
    layers = [layer for layer in layers if layer.language == "python"]
    parser = _Parser()
    for layer in layers:
        parser.read(layer)
    if not parser.options and not parser.words:
        return {}
    named = layers[0].path.rpartition("/")[2]
    given = [c.arguments for c in getattr(logs, "commands", ()) if _file(c) == named]
    read = sorted((_read(arguments, parser) for arguments in given if _whole(arguments)), key=len)
    flag = {} if parser.options.get("--train", True) else {"--train": ""}
    return {**flag, **(read[-1] if read else {})}


def _file(command: Any) -> str:
    return (getattr(command, "script", None) or "").rpartition("/")[2]


def _whole(arguments: tuple[str, ...]) -> bool:
    """Whether a command trains and goes on to the score, as far as its words tell."""
    return any(_TRAINS.fullmatch(a) for a in arguments) or not any(_OTHER.fullmatch(a) for a in arguments)


def _texts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that minifiers give to a word that a script uses often."""
    for part in ast.walk(tree):
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant):
            for target in part.targets:
                if isinstance(target, ast.Name) and isinstance(part.value.value, str):
                    yield target.id, part.value.value


def _action(node: ast.expr | None, texts: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    name: str = getattr(node, "attr", getattr(node, "id", ""))
    return texts.get(name, name)


def _read(arguments: tuple[str, ...], parser: _Parser) -> dict[str, str]:
    found: dict[str, str] = {}
    words = [part.strip("\"'") for a in arguments for part in _parts(a)]
    while words:
        word = words.pop(0)
        if word in parser.words or (word in parser.options and not parser.options[word]):
            found[word] = ""
        elif (
            _OPTION.fullmatch(word) and words and (word in parser.options or not _OPTION.fullmatch(words[0]))
        ):
            value = _value(words.pop(0))
            if value and word in parser.options:
                found[word] = value
    return found


def _parts(argument: str) -> list[str]:
    """An option joined to its value is two words; other text may hold an equals sign of its own."""
    name, _, value = argument.partition("=")
    return [name, value] if value and _OPTION.fullmatch(name) else [argument]


def _value(text: str) -> str:
    """A value as it holds here: a path of our data, no other path, no placeholder."""
    if _DATA.fullmatch(text):
        return f"./data/{text.partition('data/')[2]}"
    return text if _VALUE.fullmatch(text) else ""


def is_argument(name: str) -> bool:
    """Whether a claimed setting stands on the command line: names of the environment are capitals."""
    return not name[:1].isupper()
