"""Files as the peeling interpreter sees them: read from the submission, written only to memory."""

from __future__ import annotations

import ast
import posixpath
from pathlib import PurePosixPath
from typing import Any, Protocol

from harness.unpack_eval import Evaluator
from harness.unpack_values import MAX_VALUE, UNKNOWN, Budget, Dotted, Failed, Method, Stream, as_path, weigh

OPENERS = {"open", "io.open", "gzip.open", "lzma.open", "bz2.open", "io.BytesIO", "io.StringIO", "os.fdopen"}
_PACKED_OPENERS = {"gzip.open", "lzma.open", "bz2.open"}
_MAX_WRITTEN = 256  # files


class Host(Protocol):
    """The files a script may read: those of its own submission."""

    def find(self, name: str, near: str) -> str | None:
        """Map a path or a module file as ``near`` names it to a path of the submission."""

    def load(self, path: str) -> bytes:
        """Return the content of a file that :meth:`find` gave."""


class Files(Evaluator):
    """Opening, reading and writing files. Mixed into what recognizes code being run."""

    def __init__(self, host: Host, path: str, budget: Budget) -> None:
        super().__init__(budget)
        self.host = host
        self.path = path
        self.written: dict[str, Any] = {}
        self.last_written: Any = UNKNOWN

    def opened(self, node: ast.Call, name: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[bool, Any]:
        """Open a file or make a temporary one; the flag says whether the call does."""
        if name in {"io.BytesIO", "io.StringIO"}:
            return True, Stream(None, args[0] if args else UNKNOWN)
        if name == "os.fdopen":
            return True, args[0] if args else UNKNOWN
        if name in OPENERS:
            return True, self._open(node, name, args, kwargs)
        stream = Stream(f"/tmp/unpacked-{node.lineno}{kwargs.get('suffix', '')}", writes=True)
        if name == "tempfile.mkstemp":
            return True, (stream, stream.path)
        return name == "tempfile.NamedTemporaryFile", stream

    def _open(self, node: ast.Call, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        path = as_path(args[0] if args else kwargs.get("file"))
        packer = name.partition(".")[0] if name in _PACKED_OPENERS else None
        mode = args[1] if len(args) > 1 else kwargs.get("mode", "rb" if packer else "r")
        if isinstance(mode, str) and set(mode) & set("wax"):
            return Stream(path, writes=True)
        text = isinstance(mode, str) and ("t" in mode if packer else "b" not in mode)
        if packer is None:
            return Stream(path, self._read(path, text=text))
        data = self._read(path, text=False)
        if isinstance(data, bytes):
            data = self.call(node, Dotted(f"{packer}.decompress"), [data], {})
            data = data.decode() if text and isinstance(data, bytes) else data
        return Stream(path, data)

    def _read(self, path: str | None, *, text: bool) -> Any:
        if path is None:
            return UNKNOWN
        data = self.written.get(posixpath.normpath(path))
        origin: tuple[str, ...] = ()
        if data is None:
            found = self.host.find(path, self.path)
            if found is None:
                return UNKNOWN
            data, origin = self.host.load(found), (f"file:{found}",)
            if len(data) > MAX_VALUE:
                return UNKNOWN
        else:
            origin = self.origins.of(data)
        if isinstance(data, (str, bytes)):
            data = _as_text(data) if text else raw_bytes(data)
            self.origins.note(data, origin)
        return data

    def file_method(self, node: ast.Call, method: Method, args: list[Any]) -> tuple[bool, Any]:
        """Call a method of a path or an open file; the flag says whether it is one that is followed."""
        owner, name = method.owner, method.name
        if isinstance(owner, PurePosixPath):
            if name in {"read_text", "read_bytes"}:
                return True, self._read(str(owner), text=name == "read_text")
            if name in {"write_text", "write_bytes"} and args:
                self._write(str(owner), args[0])
                return True, UNKNOWN
            if name == "open":
                return True, self._open(node, "open", [owner, *args], {})
            if name in {"exists", "is_file"}:
                known = self.host.find(str(owner), self.path) is not None
                return True, True if known else UNKNOWN
        if not isinstance(owner, Stream):
            return False, None
        if name in {"read", "getvalue", "readlines"}:
            return True, owner.data if name != "readlines" else UNKNOWN
        if name == "write" and args:
            owner.data = args[0] if owner.data is UNKNOWN else _joined(owner.data, args[0])
            self._write(owner.path, owner.data)
        return True, UNKNOWN

    def _write(self, path: str | None, data: Any) -> None:
        if self.origins.of(data):  # it was unpacked, so it may be what is run from a path nobody knows
            self.last_written = data
        if path is not None and len(self.written) < _MAX_WRITTEN:
            self.written[posixpath.normpath(path)] = data


def raw_bytes(data: str | bytes) -> bytes:
    """The bytes of a text or of bytes."""
    return data.encode("utf-8", "replace") if isinstance(data, str) else data


def _as_text(data: str | bytes) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _joined(old: Any, new: Any) -> Any:
    if weigh((old, new)) is None or type(old) is not type(new) or not isinstance(old, (str, bytes)):
        return UNKNOWN
    if len(old) + len(new) > MAX_VALUE:
        raise Failed("a file too large")
    return old + new
