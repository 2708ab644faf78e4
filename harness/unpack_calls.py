"""The library functions that peeling may really call, all pure and bounded.

Each entry takes the values of the script's arguments and returns a value. A function that is not
listed is never called: its result stays a name, on which further listed names may build
(``zlib.decompressobj().decompress``).
"""

from __future__ import annotations

import codecs
import lzma
import posixpath
import re
import textwrap
import zlib
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

from harness.unpack_codecs import CODECS, lzma_decompress, zlib_decompress
from harness.unpack_values import MAX_ITEMS, MAX_VALUE, UNKNOWN, Failed, bounded

Known = Callable[..., Any]
TEMPORARY = "/tmp/unpacked"  # stands for any temporary folder; nothing is written

CONSTANTS: dict[str, Any] = {
    **{
        f"lzma.{n}": getattr(lzma, n)
        for n in dir(lzma)
        if n.startswith(("FORMAT_", "FILTER_", "CHECK_", "PRESET_", "MODE_", "MF_"))
    },
    "zlib.MAX_WBITS": zlib.MAX_WBITS,
    "os.sep": "/",
    "os.linesep": "\n",
    "os.path.sep": "/",
    "os.name": "posix",
    "sys.byteorder": "little",
    "sys.platform": "linux",
    "sys.executable": "python",
    "string.ascii_letters": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "string.ascii_lowercase": "abcdefghijklmnopqrstuvwxyz",
    "string.ascii_uppercase": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "string.digits": "0123456789",
}


def _codecs_decode(data: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    names = {
        "hex": "binascii.unhexlify",
        "base64": "binascii.a2b_base64",
        "zlib": "zlib.decompress",
        "bz2": "bz2.decompress",
    }
    name = encoding.lower().replace("_codec", "")
    return CODECS[names[name]][1](data) if name in names else codecs.decode(data, encoding, errors)


def _bytes(source: Any = b"", encoding: str | None = None, errors: str = "strict") -> bytes:
    if isinstance(source, str):
        return source.encode(encoding or "utf-8", errors)
    if isinstance(source, int):
        if source > MAX_VALUE:
            raise Failed("too many bytes")
        return bytes(source)
    return bytes(_items(source))


def _items(source: Any) -> Any:
    """Guard an iterable before it becomes a list: text may be far longer than any real list."""
    if hasattr(source, "__len__") and len(source) > MAX_ITEMS and not isinstance(source, (bytes, bytearray)):
        raise Failed(f"more than {MAX_ITEMS} items")
    return source


def _str(value: Any = "", encoding: str | None = None, errors: str = "strict") -> str:
    if isinstance(value, (bytes, bytearray)) and encoding is not None:
        return str(value, encoding, errors)
    return str(value)


def _range(*args: int) -> range:
    made = range(*args)
    if len(made) > MAX_ITEMS:
        raise Failed("a range too long")
    return made


def _join(*parts: Any) -> str:
    return posixpath.normpath(posixpath.join(*(str(p) for p in parts)))


def _path(*parts: Any) -> PurePosixPath:
    return PurePosixPath(_join(*parts) if parts else ".")


def _same(path: Any, *_: Any, **__: Any) -> Any:
    return posixpath.normpath(path) if isinstance(path, str) else path


def _environment(name: str, default: Any = UNKNOWN) -> Any:
    """The default of an environment variable: what the script does when nobody sets it."""
    return default


def _zip(*lists: Iterable[Any]) -> list[Any]:
    return list(zip(*map(_items, lists), strict=False))


def _sub(pattern: Any, new: str, text: Any, count: int = 0, flags: int = 0) -> Any:
    """``re.sub`` with a plain pattern only: a hostile pattern can run for ever."""
    if re.search(r"[*+{(|\\]", pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern):
        raise Failed("a pattern with repetition")
    if len(text) * (len(new) + 1) > MAX_VALUE:
        raise Failed("a substitution too large")
    return re.sub(pattern, new, text, count=count, flags=flags)


FUNCTIONS: dict[str, Known] = {
    "bytes": _bytes,
    "bytearray": lambda *args: bytearray(_bytes(*args)),
    "memoryview": _bytes,
    "str": _str,
    "int": int,
    "float": float,
    "bool": bool,
    "chr": chr,
    "ord": ord,
    "len": len,
    "abs": abs,
    "min": min,
    "max": max,
    "repr": repr,
    "hex": hex,
    "divmod": divmod,
    "sum": lambda values, start=0: sum(_items(values), start),
    "list": lambda values=(): list(_items(values)),
    "tuple": lambda values=(): tuple(_items(values)),
    "set": lambda values=(): set(_items(values)),
    "frozenset": lambda values=(): set(_items(values)),
    "dict": lambda *args, **kwargs: dict(*args, **kwargs),
    "range": _range,
    "zip": _zip,
    "enumerate": lambda values, start=0: list(enumerate(_items(values), start)),
    "reversed": lambda values: list(reversed(_items(values))),
    "sorted": lambda values, reverse=False: sorted(_items(values), reverse=reverse),
    "iter": lambda values: values,
    "int.from_bytes": int.from_bytes,
    "str.maketrans": str.maketrans,
    "bytes.maketrans": bytes.maketrans,
    "codecs.decode": _codecs_decode,
    "re.sub": _sub,
    "textwrap.dedent": textwrap.dedent,
    "operator.xor": lambda a, b: a ^ b,
    "os.path.join": _join,
    "os.path.dirname": posixpath.dirname,
    "os.path.basename": posixpath.basename,
    "os.path.splitext": posixpath.splitext,
    "os.path.split": posixpath.split,
    "os.path.normpath": posixpath.normpath,
    "os.path.abspath": _same,
    "os.path.realpath": _same,
    "os.path.expanduser": _same,
    "os.fspath": lambda p: str(p) if isinstance(p, PurePosixPath) else p,
    "os.getcwd": lambda: ".",
    "os.getpid": lambda: 1,
    "os.environ.get": _environment,
    "os.getenv": _environment,
    "os.environ.setdefault": lambda name, value: value,
    "pathlib.Path": _path,
    "pathlib.PurePath": _path,
    "pathlib.PosixPath": _path,
    "pathlib.Path.cwd": lambda: PurePosixPath("."),
    "tempfile.mkdtemp": lambda *a, **k: TEMPORARY,
    "tempfile.gettempdir": lambda: TEMPORARY,
    "tempfile.TemporaryDirectory": lambda *a, **k: TEMPORARY,
}

# Methods of made objects, by the full name a chain of calls gives; kept arguments come from the maker.
MADE: dict[str, tuple[str, Known, tuple[str, ...]]] = {
    "lzma.LZMADecompressor().decompress": ("lzma", lzma_decompress, ("format", "memlimit", "filters")),
    "zlib.decompressobj().decompress": ("zlib", zlib_decompress, ("wbits",)),
    "bz2.BZ2Decompressor().decompress": ("bz2", CODECS["bz2.decompress"][1], ()),
    "brotli.Decompressor().process": ("brotli", CODECS["brotli.decompress"][1], ()),
    "brotli.Decompressor().decompress": ("brotli", CODECS["brotli.decompress"][1], ()),
    "zstandard.ZstdDecompressor().decompress": ("zstd", CODECS["zstandard.decompress"][1], ()),
}

# Reading these runs code or yields bytecode: they are named in a report, never called.
SEALED = {
    "marshal.loads": "compiled bytecode (marshal)",
    "marshal.load": "compiled bytecode (marshal)",
    "pickle.loads": "a pickle",
    "pickle.load": "a pickle",
    "dill.loads": "a pickle",
    "cloudpickle.loads": "a pickle",
    "torch.load": "a checkpoint",
}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


BUILTINS = _names("""
    abs bool bytearray bytes chr compile dict divmod enumerate eval exec float frozenset getattr globals hex
    int iter len list locals map max memoryview min next open ord print range repr reversed set setattr sorted
    str sum tuple vars zip __import__ __builtins__
""")

_TEXT = _names("""
    replace join split rsplit splitlines strip lstrip rstrip partition rpartition translate upper lower
    swapcase title startswith endswith removeprefix removesuffix find rfind index count isdigit isalpha
""")
METHODS: dict[type, frozenset[str]] = {
    str: _TEXT | {"encode", "format"},
    bytes: _TEXT | {"decode", "hex", "fromhex"},
    bytearray: _TEXT | {"decode", "hex", "append", "extend"},
    list: _names("append extend insert pop reverse sort index count copy"),
    tuple: _names("index count"),
    dict: _names("get items keys values update pop setdefault copy"),
    set: _names("add update"),
    int: _names("to_bytes bit_length"),
    PurePosixPath: _names(
        "joinpath with_name with_suffix with_stem resolve absolute expanduser as_posix relative_to"
    ),
}


def call_method(owner: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a listed method of a constant, after checking that its result stays small.

    Raises:
        Failed: the method rejects its arguments or would make too large a value.
    """
    _check_growth(owner, name, args)
    if isinstance(owner, PurePosixPath) and name in {"resolve", "absolute", "expanduser"}:
        return PurePosixPath(posixpath.normpath(owner))
    result = getattr(owner, name)(*args, **kwargs)
    return bounded(list(result) if name in {"items", "keys", "values"} else result)


def _check_growth(owner: Any, name: str, args: list[Any]) -> None:
    size = 0
    if name == "replace" and len(args) >= 2 and owner is not None:
        size = len(owner) + owner.count(args[0]) * len(args[1])
    elif name == "join" and args:
        items = list(_items(args[0]))
        size = sum(len(i) + len(owner) for i in items)
    elif name == "translate" and args and isinstance(args[0], dict):
        longest = max((len(v) for v in args[0].values() if isinstance(v, str)), default=1)
        size = len(owner) * max(longest, 1)
    elif name == "format":
        size = MAX_VALUE + 1 if _wide(owner) else 0
    elif name == "to_bytes" and args:
        size = args[0]
    elif name in {"split", "rsplit", "splitlines"}:
        size = 16 * len(owner)  # a list of short strings takes far more memory than its text
    elif name in {"extend", "update"}:
        size = sum(len(a) for a in args if hasattr(a, "__len__")) + len(owner)
    if size > MAX_VALUE:
        raise Failed("a result too large")


def _wide(template: str) -> bool:
    return re.search(r"\d{5}", template) is not None or template.count("{") > 10_000
