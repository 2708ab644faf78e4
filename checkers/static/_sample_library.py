"""What the sample evaluator knows of Python's types, numpy and torch: values and a few functions by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from checkers.static._sample_tokens import COUNT, PIECES, SampleTokenizer
from checkers.static._words import words


class CannotError(Exception):
    """The builder could not be evaluated; the message says why."""


class Opaque:
    """A value that is not known; ``path`` names a library attribute (``numpy.zeros``)."""

    __slots__ = ("path",)

    def __init__(self, path: str = "") -> None:
        self.path = path


OPAQUE = Opaque()


class Table:
    """An array with one cell per sample piece. ``sound`` is False after a write that was not understood."""

    __slots__ = ("cells", "default", "sound")

    def __init__(self, default: Any = 0, cells: dict[int, Any] | None = None) -> None:
        self.default = default
        self.cells = dict(cells or {})
        self.sound = True

    def write(self, key: Any, value: Any) -> None:
        """Store at an index or everywhere; an index that is not known makes the table unsound."""
        if isinstance(key, int):
            self.cells[key] = value
        elif isinstance(key, slice) and key == slice(None):
            self.default, self.cells = value, {}
        else:
            self.sound = False

    def read(self, key: int) -> Any:
        """The value at an index."""
        return self.cells.get(key, self.default)

    def row(self) -> list[Any]:
        """One value per sample piece."""
        return [self.read(i) for i in range(COUNT)]


def as_table(value: Any) -> Table | None:
    """A table from what a builder may use as one, else None."""
    if isinstance(value, Table):
        return value if value.sound else None
    if isinstance(value, (list, tuple)) and len(value) >= COUNT - 1:
        return Table(0, dict(enumerate(value)))
    if isinstance(value, dict) and value and all(isinstance(k, int) for k in value):
        return Table(0, value)
    return None


_TEXT_METHODS = words(
    "startswith endswith encode decode replace strip lstrip rstrip lower upper casefold removeprefix "
    "removesuffix isspace isalpha isdigit isalnum isupper islower hex join split count find index "
    "title swapcase"
)
_LIST_METHODS = words("append extend insert pop index count copy")
_DICT_METHODS = words("get items keys values setdefault update")
_SET_METHODS = words("add update discard")
_ALLOWED: dict[type, frozenset[str]] = {
    str: _TEXT_METHODS,
    bytes: _TEXT_METHODS,
    list: _LIST_METHODS,
    dict: _DICT_METHODS,
    set: _SET_METHODS,
}


def call_method(receiver: Any, name: str, args: list[Any]) -> Any:
    """A method of a known value. Tables ignore what only changes layout, type or device."""
    if isinstance(receiver, SampleTokenizer):
        answer = receiver.answer(name)
        if answer is None or any(isinstance(a, Opaque) for a in args):
            return OPAQUE
        return answer(*args)
    if isinstance(receiver, Table):
        return _table_method(receiver, name, args)
    if isinstance(receiver, (int, float)) and name in ("item", "astype"):
        return receiver
    allowed = _ALLOWED.get(type(receiver))
    if allowed is None or name not in allowed:
        return OPAQUE
    if name in ("append", "add", "extend", "insert", "setdefault"):
        return getattr(receiver, name)(*args)
    if any(isinstance(a, Opaque) for a in args):
        return OPAQUE
    result = getattr(receiver, name)(*args)
    return list(result) if name in ("items", "keys", "values") else result


def _table_method(table: Table, name: str, args: list[Any]) -> Any:
    if name == "tolist":
        return table.row()
    if name in ("fill_", "fill"):
        table.write(slice(None), args[0] if args else OPAQUE)
    if name in ("sum", "mean", "max", "min", "any", "all", "numel", "size"):
        return OPAQUE
    return table


def item(base: Any, key: Any) -> Any:
    """``base[key]``; of what is not known, ``OPAQUE``."""
    if isinstance(base, Table):
        return base.read(key) if isinstance(key, int) else (base if isinstance(key, slice) else OPAQUE)
    if isinstance(base, (Opaque, SampleTokenizer)) or isinstance(key, (Opaque, Table)):
        return OPAQUE
    if isinstance(base, dict):
        return base.get(key, OPAQUE)
    return base[key] if isinstance(base, (str, bytes, list, tuple)) else OPAQUE


def _size(value: Any) -> Any:
    if isinstance(value, SampleTokenizer):
        return COUNT
    return len(value) if isinstance(value, (str, bytes, list, tuple, dict, set)) else OPAQUE


def _extreme(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*args: Any) -> Any:
        values = list(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple, set)) else list(args)
        known = [v for v in values if not isinstance(v, (Opaque, Table))]
        return function(known) if known else OPAQUE

    return apply


def _range(*args: Any) -> Any:
    ends = [a for a in args if isinstance(a, int)]
    if len(ends) != len(args):
        return range(ends[0] if len(args) > 1 and isinstance(args[0], int) else 0, COUNT)
    made = range(*ends)
    return made if len(made) <= COUNT else range(made.start, COUNT)


def _known(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*args: Any) -> Any:
        return (
            OPAQUE if any(isinstance(a, (Opaque, Table, SampleTokenizer)) for a in args) else function(*args)
        )

    return apply


_BUILTINS: dict[str, Callable[..., Any]] = {
    "len": _size,
    "max": _extreme(max),
    "min": _extreme(min),
    "range": _range,
    "int": _known(int),
    "float": _known(float),
    "bool": _known(bool),
    "str": _known(str),
    "ord": _known(ord),
    "chr": _known(chr),
    "abs": _known(abs),
    "sum": lambda *a: OPAQUE,
    "list": _known(list),
    "tuple": _known(tuple),
    "set": _known(set),
    "dict": _known(dict),
    "sorted": _known(sorted),
    "enumerate": lambda value, *a: list(enumerate(value.row() if isinstance(value, Table) else value)),
    "zip": lambda *a: list(zip(*(v.row() if isinstance(v, Table) else v for v in a), strict=False)),
    "any": _known(any),
    "all": _known(all),
    "isinstance": lambda *a: OPAQUE,
    "print": lambda *a: None,
}


def _bytes(*args: Any) -> Any:
    if args and isinstance(args[0], int):
        return b"\0" * min(args[0], 64)
    return OPAQUE if any(isinstance(a, (Opaque, Table)) for a in args) else bytes(*args)


_BUILTINS["bytes"] = _BUILTINS["bytearray"] = _bytes


def call_builtin(name: str, args: list[Any]) -> Any:
    """A Python builtin, ``OPAQUE`` when the evaluator does not have it."""
    function = _BUILTINS.get(name)
    if function is None:
        return OPAQUE
    try:
        return function(*args)
    except TypeError:
        return OPAQUE


_FILLED: dict[str, Any] = {
    "zeros": 0,
    "zeros_like": 0,
    "empty": 0,
    "ones": 1,
    "ones_like": 1,
    "empty_like": 0,
}
_CASTS = words(
    "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 bool_ tensor array asarray as_tensor "
    "from_numpy ascontiguousarray IntTensor LongTensor ShortTensor"
)
_TOKENIZERS = words("SentencePieceProcessor AutoTokenizer from_pretrained from_file Tokenizer")


def call_library(name: str, args: list[Any], keywords: dict[str, Any]) -> Any:
    """A library function, known by the last part of its name."""
    if name in _FILLED:
        return Table(_FILLED[name])
    if name == "full":
        return Table(args[1] if len(args) > 1 else keywords.get("fill_value", OPAQUE))
    if name in _CASTS and args:
        table = as_table(args[0])
        if table is not None:
            return Table(table.default, table.cells)
        return args[0]
    if name in _TOKENIZERS:
        return SampleTokenizer()
    if name in ("match", "fullmatch", "search") and len(args) == 2:
        return _matched(name, args)
    return OPAQUE


def _matched(name: str, args: list[Any]) -> Any:
    """A regular expression on one of the sample texts, which are too short for a slow pattern."""
    if not all(isinstance(a, str) and len(a) <= 64 for a in args) or args[1] not in {p.text for p in PIECES}:
        return OPAQUE
    return getattr(re, name)(args[0], args[1]) is not None
