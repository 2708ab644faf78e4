"""The places where a script runs other code: what text or file each of them would run.

Files that the script writes are kept here, in memory, so that code written to disk and then run from
there is followed as well.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shlex
from dataclasses import dataclass
from typing import Any

from harness.unpack_files import OPENERS, Files, Host, raw_bytes
from harness.unpack_values import (
    UNKNOWN,
    Budget,
    Code,
    Dotted,
    Method,
    Stream,
    as_path,
)

_NATIVE = (".c", ".cc", ".cpp", ".cxx", ".cu", ".h", ".hpp", ".cuh")
_PYTHON_COMMANDS = ("python", "torchrun")
_LOADERS = {
    "importlib.util.spec_from_file_location": 1,
    "importlib.machinery.SourceFileLoader": 1,
    "imp.load_source": 1,
    "runpy.run_path": 0,
    "execfile": 0,
}
_BY_NAME = {"importlib.import_module", "__import__", "runpy.run_module", "importlib.__import__"}
_PROCESSES = {
    *(f"subprocess.{n}" for n in ("run", "call", "check_call", "check_output", "Popen")),
    *(f"os.{n}" for n in ("system", "popen", "execv", "execve", "execvp", "execvpe", "execl", "execlp")),
    *(f"os.{n}" for n in ("spawnv", "spawnvp", "spawnl", "spawnlp", "posix_spawn")),
    "asyncio.create_subprocess_exec",
}
_INLINE = {  # last part of the name: (language, arguments that hold source text)
    "load_inline": ("cpp", ("cpp_sources", "cuda_sources", "cpp_source", "cuda_source"), 1),
    "set_source": ("c", ("source",), 1),
    "verify": ("c", ("source",), 0),
    "RawModule": ("cuda", ("code",), 0),
    "RawKernel": ("cuda", ("code",), 0),
    "SourceModule": ("cuda", ("source",), 0),
    "_compile_kernel": ("cuda", ("kernel_source",), 0),
}
_CHALLENGE_TOOLS = {"cached_challenge_fineweb.py", "download_hf_docs_and_tokenize.py"}  # they fetch the data
_LONG_EXPRESSION = 200  # characters from which an evaluated expression is a layer of its own
_NATIVE_MAKERS = ("cffi", "cupy", "pycuda", "torch")


@dataclass(frozen=True, slots=True)
class Found:
    """Something a script runs: a text, or a file of the submission, or neither with the reason why."""

    how: str
    text: str | bytes | None = None
    path: str | None = None
    language: str = "python"
    problem: str | None = None


_RUNS_CODE = re.compile(
    r"(?<![\w.])(?:exec\b|(?:eval|execfile|compile|__import__)\s*\()"
    r"|\b(?:runpy|importlib|subprocess|SourceFileLoader|cpp_extension|load_inline|cffi|set_source|RawModule"
    r"|RawKernel|SourceModule|__builtins__|builtins"
    r"|os\s*\.\s*(?:system|popen|exec[lv]\w*|spawn\w+)|imp\s*\.\s*load_source)\b"
)


WORDS = frozenset(
    """
    exec eval execfile compile runpy importlib __import__ import_module spec_from_file_location
    SourceFileLoader subprocess Popen system popen execv execve execvp execvpe execl load_inline
    cpp_extension set_source RawModule RawKernel SourceModule
    """.split()  # noqa: SIM905 - a list of words reads better without quotes
)


def runs_code(text: str) -> bool:
    """Tell cheaply whether a script has any word by which other code can be run."""
    return _RUNS_CODE.search(text) is not None


class Sinks(Files):
    """Recognizes calls that run code or touch files. Mixed into the statement walker."""

    def __init__(self, host: Host, path: str, budget: Budget) -> None:
        super().__init__(host, path, budget)
        self.found: list[Found] = []
        self.resolved: set[int] = set()
        self.unresolved: dict[int, Found] = {}
        self.trying = False

    def add(self, found: Found) -> None:
        """Remember a thing that is run, once."""
        if found not in self.found and len(self.found) < 256:
            self.found.append(found)

    def results(self) -> list[Found]:
        """Everything that is run; a place that stayed unclear only if no walk over it was clear."""
        unclear = [f for key, f in self.unresolved.items() if key not in self.resolved]
        return self.found + [f for f in unclear if f not in self.found]

    def failed(self, node: ast.stmt, reason: str) -> None:
        """A statement that runs code could not be computed: say so rather than pass over it."""
        for place in ast.walk(node):
            if _executes(place):
                self._unclear(place, "exec", f"its text cannot be computed: {reason}")

    def stop(self, reason: str) -> None:
        """The walk ended early."""
        self.add(Found("exec", problem=reason))

    def _unclear(self, node: ast.AST, how: str, reason: str) -> None:
        self.unresolved.setdefault(
            id(node), Found(how, problem=f"line {getattr(node, 'lineno', 0)}: {reason}")
        )

    def sink(
        self, node: ast.Call, function: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[bool, Any]:
        """Handle a call that runs code or touches a file; the flag says whether it was one."""
        if isinstance(function, Method):
            return self.file_method(node, function, args)
        if not isinstance(function, Dotted):
            return False, None
        name, last = function.name, function.name.rpartition(".")[2]
        if name == "compile":
            return True, Code(args[0] if args else kwargs.get("source", UNKNOWN))
        if name == "getattr":
            return True, self._getattr(args)
        if name in OPENERS or name.startswith("tempfile."):
            return self.opened(node, name, args, kwargs)
        if name.startswith(_NATIVE_MAKERS) and (last in _INLINE or last == "load"):
            self._native(last, args, kwargs)
        return self._runs(node, name, args, kwargs), UNKNOWN

    def _runs(self, node: ast.Call, name: str, args: list[Any], kwargs: dict[str, Any]) -> bool:
        if name in {"exec", "eval"}:
            self._execute(node, name, args)
        elif name in _LOADERS:
            self._run_file(node, name, [*args, *kwargs.values()][_LOADERS[name] :][:1])
        elif name in _BY_NAME and args and isinstance(args[0], str):
            self._import_module(args[0])
        elif name in _PROCESSES:
            self._process(args or [kwargs.get("args", UNKNOWN)])
        else:
            return False
        return True

    def _getattr(self, args: list[Any]) -> Any:
        if len(args) < 2 or not isinstance(args[1], str) or not isinstance(args[0], Dotted):
            return UNKNOWN
        return Dotted(f"{args[0].name}.{args[1]}".removeprefix("__builtins__.").removeprefix("builtins."))

    # Text that is run

    def _execute(self, node: ast.Call, name: str, args: list[Any]) -> None:
        source = args[0] if args else UNKNOWN
        compiled = isinstance(source, Code)
        while isinstance(source, Code):
            source = source.source
        if isinstance(source, Stream):
            source = source.data
        if isinstance(source, bytearray):
            source = bytes(source)
        if isinstance(source, (str, bytes)):
            self.resolved.add(id(node))
            if name == "exec" or compiled or len(source) > _LONG_EXPRESSION:
                self._text(name, source)
        elif isinstance(source, Dotted) and source.name == "opaque":
            self._unclear(node, name, f"it runs {source.args[0]}, which is not read")
        elif name == "exec" or compiled:
            self._unclear(node, name, "its text cannot be computed without running the script")

    def _text(self, how: str, source: str | bytes) -> None:
        path = self.origins.of(source)
        file = next((p[5:] for p in path if p.startswith("file:")), None)
        codecs = [p for p in path if not p.startswith("file:")]
        if file is not None and not codecs:
            self.add(Found("execfile", path=file))
        else:
            self.add(Found(f"{how}:{'+'.join(codecs)}" if codecs else how, text=source))

    # Files that are run

    def _run_file(self, node: ast.Call, name: str, given: list[Any]) -> None:
        how = "runpy" if name == "runpy.run_path" else "execfile" if name == "execfile" else "import"
        path = as_path(given[0]) if given else None
        if path is not None:
            self.resolved.add(id(node))
            self._run_path(how, path)
        elif isinstance(self.last_written, (str, bytes)):
            self.resolved.add(id(node))
            self._text(how, self.last_written)
        else:
            self._unclear(node, how, "which file it runs is not a literal")

    def _run_path(self, how: str, path: str) -> None:
        text = self.written.get(posixpath.normpath(path))
        if isinstance(text, (str, bytes)):
            self._text(how, text)
            return
        found = self.host.find(path, self.path)
        name = posixpath.basename(path)
        if found is None and name in _CHALLENGE_TOOLS:
            return
        if found is None:
            self.add(Found(how, problem=f"it runs {name}, which is not a file of this submission"))
        else:
            self.add(Found(how, path=found))

    def _import_module(self, module: str) -> None:
        stem = module.strip(".").replace(".", "/")
        for path in (f"{stem}.py", f"{stem}/__init__.py"):
            found = self.host.find(path, self.path)
            if found is not None:
                self.add(Found("import", path=found))
                return

    def _process(self, args: list[Any]) -> None:
        words = [str(w) if as_path(w) else w for w in _words(args)]
        if not words:
            return
        python = any(
            isinstance(w, str) and posixpath.basename(w).startswith(_PYTHON_COMMANDS) for w in words[:2]
        )
        for before, word in zip([None, *words], words, strict=False):
            if not isinstance(word, str):
                continue
            if before == "-c" and python:
                self._text("python -c", word)
            elif before == "-m" and python:
                self._import_module(word)
            elif word.endswith(".py") and python:
                self._run_path("subprocess", word)
            elif word.endswith(_NATIVE):
                self._compile(word, "cc")
        self._program(words[0])

    def _program(self, word: Any) -> None:
        """A program that is itself a file of the submission."""
        found = self.host.find(word, self.path) if isinstance(word, str) and "/" in word else None
        if found is not None and not found.endswith((".py", ".sh")):
            self.add(Found("subprocess", path=found, language="binary", problem="a program without source"))

    # Native code

    def _compile(self, path: str, tool: str) -> None:
        text = self.written.get(posixpath.normpath(path))
        if isinstance(text, (str, bytes)):
            self.add(Found(f"compile:{tool}", text=text, language=_language(path)))
            return
        found = self.host.find(path, self.path)
        if found is not None:
            self.add(Found(f"compile:{tool}", path=found, language=_language(path)))

    def _native(self, last: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        sources = kwargs.get("sources", args[1] if last == "load" and len(args) > 1 else [])
        for item in sources if isinstance(sources, (list, tuple)) else [sources]:
            path = as_path(item)
            if path is not None and path.endswith(_NATIVE):
                self._compile(path, "cpp_extension" if last.startswith("load") else "cffi")
        if last not in _INLINE:
            return
        language, names, position = _INLINE[last]
        texts = [kwargs[n] for n in names if n in kwargs] or args[position : position + 1]
        for item in texts:
            for text in item if isinstance(item, (list, tuple)) else [item]:
                if isinstance(text, (str, bytes)) and text.strip():
                    kind = "cuda" if b"__global__" in raw_bytes(text) else language
                    self.add(Found(f"compile:{last}", text=text, language=kind))


def _executes(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "exec"


def _words(args: list[Any]) -> list[Any]:
    """The command line that a process call would run; unknown words stay in place."""
    out: list[Any] = []
    for item in args:
        if isinstance(item, (list, tuple)):
            out.extend(item)
        elif isinstance(item, str) and " " in item and len(item) < 100_000:
            try:
                out.extend(shlex.split(item))
            except ValueError:
                out.extend(item.split())
        else:
            out.append(item)
    return out[:1000]


def _language(path: str) -> str:
    return {".c": "c", ".h": "c", ".cu": "cuda", ".cuh": "cuda"}.get(posixpath.splitext(path)[1], "cpp")
