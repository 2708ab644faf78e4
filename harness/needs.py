"""Which data a script wants to find: data sets, tokenizers, vocabulary and where it looks for them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sentencepiece import SentencePieceProcessor

from harness import unpack
from harness.arguments import is_argument
from harness.knobs import Knob, Via
from harness.lowering import tree
from harness.submission import Submission, SubmissionError
from harness.unpack import Layer
from harness.world import TRAINING, Stream, WorldSpec

_DATASET = re.compile(r"fineweb10B_[A-Za-z0-9_]+|(?<=datasets/)[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_]+")
_FLAT = re.compile(r"(fineweb_[A-Za-z]+(\d{3,5}))_(?=train|val|\{)")
"""Shards named for the tokenizer, beside one another in the folder of data."""
_TOKENIZER = re.compile(r"[\w.\-]+\.model\b|fineweb_\w+\.json\b")
_ROOT = re.compile(r"[\"'](/[\w./\-]*?data|/[\w./\-]+?(?=/(?:datasets|tokenizers)\b))(?:/|[\"'])")
_RELATIVE = re.compile(r"[\"'](?:\./)?([\w\-][\w./\-]*/data)(?:/|[\"'])")
_BELOW = re.compile(r"[\"'](?:\./)?([\w\-][\w./\-]*?)/(?:datasets|tokenizers)(?:/|[\"'])")
_LOADS = re.compile(
    r"spec_from_file_location|SourceFileLoader|\brun_path\b|\bexec\(|\bsubprocess\b|\bos\.(?:exec|spawn|system)"
)
_SHARDS = re.compile(r"fineweb_(?:train|val)_[\w*?]+\.bin")
"""Shards by name alone: authors write down what they chose, and leave out the folder."""
_SIDECAR = re.compile(r"val_bytes")
"""Scripts that read the byte counts beside the tokens name them; others would take them for tokens."""
_SYSTEM = ("/usr", "/etc", "/proc", "/sys", "/dev", "/bin", "/lib", "/sbin")
_SIZES = range(2, 65536)
BYTE_VOCABULARY = 260


@dataclass(frozen=True)
class Needs:
    """What to build and where to show it. ``models`` are the submission's own tokenizers by name."""

    vocabulary: int
    worlds: tuple[WorldSpec, ...]
    models: dict[str, bytes] = field(default_factory=dict)
    tokenizers: dict[str, int] = field(default_factory=dict)  # file name to vocabulary
    roots: tuple[str, ...] = ()  # absolute folders in which the script looks for data
    folders: tuple[str, ...] = ()  # the same, relative to the script
    flat: tuple[str, ...] = ()  # what shards outside a data set's folder are named, up to their split
    env: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)  # paths that the command line must tell
    choices: int = 1  # vocabularies that the script names
    beside: Submission | None = None  # unchanged scripts of the repository


def loaded(submission: Submission, layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The unchanged scripts that a submission imports, loads or starts by their path, and what these unpack:
    their settings are its own."""
    text = "\n".join(layer.text for layer in layers if layer.language == "python")
    beside = submission.around(text)
    if beside is None:
        return ()
    by_path = _LOADS.search(text) is not None
    paths = [e.path for e in beside.entries if _imports(text, e.path) or (by_path and _names(text, e.path))]
    found: dict[str, Layer] = {}
    for path in paths:
        for layer in unpack.layers(replace(beside, entry_script=path)):
            found.setdefault(layer.name, replace(layer, how="beside"))
    return tuple(found.values())


def _imports(text: str, path: str) -> bool:
    module = re.escape(path[:-3])
    return "/" not in path and re.search(rf"^\s*(?:import|from) {module}\b", text, re.MULTILINE) is not None


def _names(text: str, path: str) -> bool:
    """Whether a script is named in quotes; of those in folders only the named ones were brought along."""
    return "/" in path or re.search(rf"[\"'/]{re.escape(path)}[\"']", text) is not None


_DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def starts_nothing(submission: Submission, text: str) -> bool:
    """Whether a script only defines functions and classes, for others to import: no run of it has a score."""
    try:
        body = tree(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if any(_imports(text, e.path.rpartition("/")[2]) for e in submission.files(".py")):
        return False  # what it imports may run as it is loaded
    defined = any(isinstance(node, _DEFINES[2:]) for node in body)
    return defined and all(isinstance(node, _DEFINES) or _is_plain(node) for node in body)


def _is_plain(node: ast.stmt) -> bool:
    """A docstring, or a name for a value that no call makes."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    calls = (ast.Call, ast.Await)
    assigns = isinstance(node, (ast.Assign, ast.AnnAssign))
    return assigns and not any(isinstance(part, calls) for part in ast.walk(node))


def find(
    submission: Submission,
    layers: Iterable[Layer],
    knobs: Iterable[Knob],
    env: Mapping[str, str],
    val: Stream,
    choice: int = 0,
    train: Stream = TRAINING,
) -> Needs:
    """Read the needs off the source and the environment and arguments that the run will have.

    ``choice`` picks among the vocabularies that the script names, likeliest first: its setting counts
    a mask token or padding that its tokenizer lacks, or is left over from another data set.
    """
    sources = "\n".join(layer.text for layer in layers if layer.language == "python")
    text = "\n".join([sources, *env.values()])
    knobs = tuple(knobs)
    vocabularies = _vocabularies(knobs, env, text)
    vocabulary = vocabularies[min(choice, len(vocabularies) - 1)]
    found = {n.rstrip("_") for n in _DATASET.findall(text)} - {"fineweb10B_sp", "fineweb10B"}
    names = {n for n in found if not n.endswith("_caseops")}  # such a folder holds data sets
    names.add("fineweb10B_byte260" if vocabulary == BYTE_VOCABULARY else f"fineweb10B_sp{vocabulary}")
    models = _own_models(submission)
    tokenizers = set(_TOKENIZER.findall(text)) | {f"fineweb_{vocabulary}_bpe.model"}
    sidecar = bool(_SIDECAR.search(sources))
    worlds = tuple(
        replace(_world(name, vocabulary, sorted(tokenizers), val, sidecar), train=train)
        for name in sorted(names, key=lambda n: (not n.startswith("fineweb"), len(n), n))[:8]
    )
    roots = tuple(sorted({r for r in _ROOT.findall(text) if is_free(r)}))[:6]
    folders = tuple(sorted({*_BELOW.findall(sources), *_RELATIVE.findall(sources)} - {"data"}))[:8]
    named = {t: size_in(t, vocabulary) for t in tokenizers}
    return Needs(
        vocabulary=vocabulary,
        worlds=worlds,
        models=models,
        tokenizers=named,
        roots=roots,
        folders=folders,
        flat=tuple(sorted({name for name, size in _FLAT.findall(sources) if int(size) == vocabulary})),
        env=_paths(knobs, {k: v for k, v in env.items() if not is_argument(k)}, vocabulary),
        arguments=_options(knobs, env, vocabulary),
        choices=len(vocabularies),
        beside=submission.around(sources),
    )


def is_free(root: str) -> bool:
    """Whether an absolute folder can be shown inside without hiding the system or the run itself."""
    return not root.startswith(_SYSTEM) and root.rstrip("/") not in ("", "/tmp") and ".." not in root


def _vocabularies(knobs: Iterable[Knob], env: Mapping[str, str], text: str) -> tuple[int, ...]:
    """The sizes that settings tell, then those that data sets and tokenizers are named for."""
    told = [str(env.get(k.name, k.default)) for k in knobs if k.topic in ("VOCAB_SIZE", "VOCAB", "N_VOCAB")]
    named = re.findall(r"(?:fineweb10B_(?:sp|byte)|fineweb_(?=\d+_bpe))(\d+)", text)
    flat = [size for _, size in _FLAT.findall(text)]
    sizes = [int(s) for s in (*told, *named, *flat) if s.isdigit()]
    return tuple(dict.fromkeys(s for s in sizes if s in _SIZES)) or (1024,)


def size_in(name: str, vocabulary: int) -> int:
    """The vocabulary that a data set or tokenizer name tells, if it tells one."""
    if "byte" in name and "260" in name:
        return BYTE_VOCABULARY
    found = re.search(r"(?:sp|custom|v|_)(\d{3,5})(?!\d)", name)
    return int(found[1]) if found and int(found[1]) in _SIZES else vocabulary


def _world(
    name: str, vocabulary: int, tokenizers: list[str], val: Stream, sidecar: bool = False
) -> WorldSpec:
    size = size_in(name, vocabulary)
    cased = "case" in name or "caps" in name
    fits = [t for t in tokenizers if size_in(t, vocabulary) == size and cased == ("case" in t or "caps" in t)]
    byte = size == BYTE_VOCABULARY
    usual = "fineweb_pure_byte_260.json" if byte else f"fineweb_{size}_bpe.model"
    fits = [t for t in fits if t.endswith(".json") == byte]  # bytes are no sentencepiece model
    return WorldSpec(
        vocabulary=size,
        dataset=name,
        tokenizer=next((t for t in fits if t != usual), usual),
        val=val,
        sidecar=cased and sidecar,
        lower=cased,
    )


def _own_models(submission: Submission) -> dict[str, bytes]:
    models: dict[str, bytes] = {}
    for entry in submission.files(".model"):
        if entry.size < 4 << 20:
            try:
                content = submission.read(entry.path)
            except SubmissionError:
                continue
            if _is_tokenizer(content):
                models[entry.path.rpartition("/")[2]] = content
    return models


def _is_tokenizer(content: bytes) -> bool:
    """Whether sentencepiece reads it: submissions also bring pointers to large files by that name."""
    try:
        return bool(content) and SentencePieceProcessor(model_proto=content).vocab_size() > 0
    except RuntimeError:
        return False


def _inside(value: str) -> str | None:
    """A path of the author's machine as it is called here, or None when it is no data path."""
    for part in ("datasets/", "tokenizers/"):
        if part in value:
            return f"./data/{part}{value.partition(part)[2]}"
    return "./data/" if value.rstrip("/").endswith("data") else None


def _paths(knobs: Iterable[Knob], env: Mapping[str, str], vocabulary: int) -> dict[str, str]:
    """Point path settings at our data where the default would look elsewhere."""
    paths: dict[str, str] = {}
    knobs = tuple(knobs)
    for name, value in env.items():
        if _SHARDS.fullmatch(value):
            paths[name] = f"{_data_path(knobs, env, vocabulary)}/{value}"
        elif value.startswith(("/", "~", "$", "..")) or "data/" in value:
            paths[name] = _inside(value) or ""
    usual = _usual_settings(vocabulary)
    for knob in knobs:
        if knob.via is not Via.ENVIRONMENT or knob.name in env or knob.name not in usual:
            continue
        if knob.default is None and knob.required:
            paths[knob.name] = usual[knob.name]
        elif isinstance(knob.default, str):
            size = size_in(knob.default.rpartition("/")[2], vocabulary)
            if size != vocabulary or knob.default.startswith(("/", "~")):
                paths[knob.name] = usual[knob.name]
    return paths


_SPLIT = re.compile(r"(TRAIN|VAL|EVAL)\w*_(?:PATTERN|FILES|GLOB|SHARDS)S?")


def _options(knobs: Iterable[Knob], env: Mapping[str, str], vocabulary: int) -> dict[str, str]:
    """What a script insists on being told on its command line, as far as an option's name says what it is."""
    knobs, told = tuple(knobs), {}
    usual = _usual_settings(vocabulary)
    for knob in knobs:
        if knob.via is Via.ARGUMENT and knob.required and knob.name not in env:
            if split := _SPLIT.fullmatch(knob.topic):
                which = "train" if split[1] == "TRAIN" else "val"
                told[knob.name] = f"{_data_path(knobs, env, vocabulary)}/fineweb_{which}_*.bin"
            elif knob.topic in ("OUT_DIR", "OUTPUT_DIR"):
                told[knob.name] = "./out"
            elif knob.topic in usual:
                told[knob.name] = usual[knob.topic]
    return told


def _usual_settings(vocabulary: int) -> dict[str, str]:
    file = "pure_byte_260.json" if vocabulary == BYTE_VOCABULARY else f"{vocabulary}_bpe.model"
    return {
        "DATA_PATH": _usual(vocabulary),
        "TOKENIZER_PATH": f"./data/tokenizers/fineweb_{file}",
    }


def _usual(vocabulary: int) -> str:
    """The folder of the data set of a vocabulary."""
    kind = "byte260" if vocabulary == BYTE_VOCABULARY else f"sp{vocabulary}"
    return f"./data/datasets/fineweb10B_{kind}"


def _data_path(knobs: Iterable[Knob], env: Mapping[str, str], vocabulary: int) -> str:
    """The folder in which the run will find its shards, as far as its settings tell it."""
    told = [env.get("DATA_PATH"), *(k.default for k in knobs if k.name == "DATA_PATH")]
    inside = (_inside(path) for path in told if isinstance(path, str) and "datasets/" in path)
    return (next(inside, None) or _usual(vocabulary)).rstrip("/")
