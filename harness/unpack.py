"""Source layers: what a training script really executes, peeled without running it.

The entry script comes first. Payloads that it unpacks and executes, and files of the same submission
that it imports, executes, compiles or loads, follow breadth first. Limits: ``MAX_LAYERS`` layers,
``MAX_NESTING`` payloads inside each other, 16 MiB per value and the steps of
:class:`harness.unpack_values.Budget` for the whole submission; what lies beyond is reported in
``Layer.problem`` and not followed.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.lowering import lower, statements, tree
from harness.submission import Change, Submission, SubmissionError

if TYPE_CHECKING:
    from harness.unpack_sinks import Found

MAX_LAYERS = 64
MAX_NESTING = 8
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]{1,200})"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Layer:
    """One piece of source the entry script runs.

    ``name`` is unique in the audit and printable: the path, or ``path!1`` for the first payload
    peeled out of it, ``path!1!1`` for a payload in that one. ``lowered`` is the same program in
    syntax that the running interpreter's ``ast`` accepts (equal to ``text`` when none was needed);
    lowering keeps every token on its line. ``how`` says how it was reached: ``entry``,
    ``exec:lzma+b85``, ``import``, ``execfile``, ``compile:cffi``, ...
    """

    name: str
    path: str
    text: str
    lowered: str
    parent: str | None = None
    how: str = "entry"
    language: str = "python"
    problem: str | None = None  # parsed by nobody: why


def layers(submission: Submission) -> tuple[Layer, ...]:
    """Return the source layers of a submission, the entry script first; empty without a script.

    Total: whatever the files hold, an answer comes back, and what could not be followed says why.
    """
    if submission.entry_script is None:
        return ()
    walk = _Walk(submission)
    walk.add_file(submission.entry_script, None, "entry", "python")
    while walk.queue:
        walk.expand(walk.queue.popleft())
    return tuple(walk.followed())


class SubmissionFiles:
    """The files a script may read: those of its own submission, found the ways scripts name them."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        self._paths = {
            e.path for e in submission.entries if e.change is not Change.DELETED and e.problem is None
        }
        self.python = [p for p in self._paths if p.endswith(".py")]

    def find(self, name: str, near: str) -> str | None:
        """Map a path or a module file as the script ``near`` names it to a path of the submission."""
        if "\0" in name or len(name) > 1000:
            return None
        folders = (posixpath.dirname(near), self._submission.folder or "", "")
        if not name.startswith("/"):
            places = [posixpath.normpath(posixpath.join(folder, name)) for folder in (*folders[:2], "")]
            return next((p for p in places if p in self._paths), None)
        parts = name.strip("/").split("/")
        for start in range(len(parts)):
            rest = "/".join(parts[start:])
            for folder in folders:
                place = posixpath.normpath(posixpath.join(folder, rest))
                if place in self._paths and place != near:
                    return place
        return None

    def elsewhere(self, name: str) -> str | None:
        """The only file of the record folder that a path ends at: authors put away what their script imports,
        and had its folder on the path of modules."""
        folder = f"{self._submission.folder}/" if self._submission.folder else None
        ends = [p for p in self.python if folder and p.startswith(folder) and p.endswith(f"/{name}")]
        return ends[0] if len(ends) == 1 else None

    def load(self, path: str) -> bytes:
        """Return the content of a file that :meth:`find` gave; empty when it cannot be read."""
        try:
            return self._submission.read(path)
        except SubmissionError:
            return b""


@dataclass
class _Walk:
    submission: Submission
    done: list[Layer] = field(default_factory=list)
    queue: deque[Layer] = field(default_factory=deque)
    names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        from harness.unpack_values import Budget

        self.files = SubmissionFiles(self.submission)
        self.budget = Budget()

    def add_file(
        self, path: str, parent: str | None, how: str, language: str, problem: str | None = None
    ) -> None:
        """Add a file of the submission as a layer, once."""
        if path in self.names:
            return
        try:
            text = "" if language == "binary" else self.submission.text(path)
        except SubmissionError as error:
            text, problem = "", str(error)
        self._add(Layer(path, path, text, text, parent, how, language, problem))

    def add_found(self, parent: Layer, number: int, found: Found) -> None:
        """Add what a layer runs: a file, a payload, or the reason why it stays unknown."""
        if found.path is not None:
            self.add_file(found.path, parent.name, found.how, found.language, found.problem)
            return
        name, text, problem = f"{parent.name}!{number}", "", found.problem
        if parent.name.count("!") >= MAX_NESTING:
            problem = f"packed more than {MAX_NESTING} times; deeper payloads are not followed"
        elif found.text is not None:
            text, problem = _decode(found.text)
        self._add(Layer(name, parent.path, text, text, parent.name, found.how, found.language, problem))

    def followed(self) -> list[Layer]:
        """The layers; a module loaded from an unknown path matters only if it may be one of ours."""
        rest = set(self.files.python) - self.names
        return [la for la in self.done if rest or la.how != "import" or la.text or la.problem is None]

    def _add(self, layer: Layer) -> None:
        if len(self.names) >= MAX_LAYERS:
            last = self.done[-1] if self.done else None
            if last is not None and last.problem is None:
                self.done[-1] = replace(
                    last, problem=f"more than {MAX_LAYERS} layers; the rest is not followed"
                )
            return
        if layer.language == "python" and layer.problem is None:
            lowered, problem = lower(layer.text)
            layer = replace(layer, lowered=lowered, problem=problem)
        self.names.add(layer.name)
        self.done.append(layer)
        self.queue.append(layer)

    def expand(self, layer: Layer) -> None:
        """Add everything that one layer runs."""
        if layer.language in {"c", "cpp", "cuda"}:
            for name in _INCLUDE.findall(layer.text):
                header = self.files.find(name, layer.path)
                if header is not None:
                    self.add_file(header, layer.name, "include", layer.language)
        if layer.language != "python" or layer.problem is not None:
            return
        module = tree(layer.lowered)
        number = 0
        for found in self._run(layer, module):
            number += found.path is None
            self.add_found(layer, number, found)
        for path in _imports(module, layer.path, self.files):
            self.add_file(path, layer.name, "import", "python")

    def _run(self, layer: Layer, module: ast.Module) -> list[Found]:
        from harness.unpack_sinks import runs_code

        if not runs_code(layer.lowered):
            return []
        from harness.unpack_run import Runner

        runner = Runner(self.files, layer.path, self.budget)
        runner.walk(module, layer.lowered)
        return runner.results()


def _decode(payload: str | bytes) -> tuple[str, str | None]:
    if isinstance(payload, str):
        printable = payload.encode("utf-8", "replace").decode()  # half a surrogate pair fits in no report
        return printable.removeprefix("\ufeff"), None
    try:
        return payload.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        if payload[:4].endswith(b"\r\n"):
            return "", "the payload is compiled bytecode"
        return payload.decode("latin-1"), None


def _imports(module: ast.Module, path: str, files: SubmissionFiles) -> list[str]:
    """Files of the submission that the module imports anywhere in it, in order."""
    if not any(p != path for p in files.python):
        return []
    out: dict[str, None] = {}
    for node in statements(module):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * max(node.level - 1, 0) + "/" if node.level else ""
            stem = base.replace(".", "../") + (node.module or "")
            names = [
                stem,
                *(f"{stem}.{alias.name}" if node.module else base + alias.name for alias in node.names),
            ]
        else:
            continue
        for name in names:
            for found in _module_files(name, path, files):
                out[found] = None
    return [p for p in out if p != path]


def _module_files(name: str, near: str, files: SubmissionFiles) -> list[str]:
    """The file of a dotted module and the ``__init__`` files of the packages around it."""
    prefix, _, dotted = name.rpartition("/")
    parts = dotted.split(".")
    found = []
    for length in range(1, len(parts) + 1):
        stem = "/".join(filter(None, [prefix, *parts[:length]]))
        for path in (f"{stem}.py", f"{stem}/__init__.py"):
            place = files.find(path, near)
            if place is None and not prefix and parts[0] not in sys.stdlib_module_names:
                place = files.elsewhere(path)
            if place is not None:
                found.append(place)
    return found
