"""What reaches the disk and the network: data files, artifacts, logs, downloads, command lines."""

from __future__ import annotations

import fnmatch
from typing import Any

from checkers.facts.events import Did
from checkers.facts.library import Use, effect
from checkers.facts.values import (
    ARTIFACT,
    NETWORK,
    NONE,
    NOTHING,
    PATH_TRAIN,
    PATH_VAL,
    RAW,
    SHIPPED,
    TOKENS,
    TRAIN,
    VAL,
    Instance,
    Sequence,
    Value,
    deep,
    flat,
)

_SHARDS = {"fineweb_train_000000.bin": PATH_TRAIN, "fineweb_val_000000.bin": PATH_VAL}
_FETCHERS = ("pip", "wget", "curl", "git clone", "huggingface-cli", "gsutil", "aws s3", "apt")


def opened(machine: Any, path: Value, node: Any, raw: bool = True) -> Value:
    """The content of a file: which split it is, or what was written there before."""
    machine.touched = 0
    name = path.const if isinstance(path.const, str) else None
    bits = flat(path)
    data = (VAL if bits & PATH_VAL else 0) | (TRAIN if bits & PATH_TRAIN else 0)
    if name is not None and name in machine.files:
        return Value(bits=machine.files[name] | ARTIFACT | machine.here())
    if data:
        machine.emit(Did.READ, node, data, path=name or "")
        loops = bits & ~(PATH_VAL | PATH_TRAIN)
        return Value(bits=data | loops | (RAW if raw else 0))
    bits |= machine.here()  # what else a file holds may differ every time it is read
    if name is None and machine.files:
        written = 0
        for content in machine.files.values():
            written |= content
        return Value(bits=(written | bits | ARTIFACT) & ~(RAW | PATH_VAL | PATH_TRAIN))
    return Value(bits=bits & ~(PATH_VAL | PATH_TRAIN) | SHIPPED)


@effect(
    "fromfile",
    "memmap",
    "load",
    "loadtxt",
    "from_file",
    "read_table",
    "read_parquet",
    "load_file",
    "safe_open",
    "genfromtxt",
    "mmap",
)
def _load(machine: Any, use: Use) -> Value | None:
    if use.receiver is not None and use.name not in ("load", "load_file"):
        return None
    source = use.operand(0) if use.receiver is None else (use.args[0] if use.args else NOTHING)
    if use.name == "load" and use.dotted.startswith(("torch", "pickle", "joblib", "dill")):
        _note_pickle(machine, use)
    if use.dotted.startswith("json"):
        return NOTHING
    return _content_of(machine, source, use.node)


def _content_of(machine: Any, source: Value, node: Any) -> Value:
    for ref in source.refs:
        if isinstance(ref, Instance) and ref.what == "file":
            return opened(machine, ref.attrs["_path"], node)
        if isinstance(ref, Instance):
            return Value(bits=source.bits | ref.state)
    return opened(machine, source, node)


def _note_pickle(machine: Any, use: Use) -> None:
    only = use.keywords.get("weights_only")
    if only is None or only.const is not True:
        machine.emit(Did.PICKLE, use.node, flat(use.operand(0)), name=use.dotted)


@effect("loads", "Unpickler")
def _loads(machine: Any, use: Use) -> Value | None:
    if use.dotted.startswith(("pickle", "dill", "marshal", "cloudpickle")):
        machine.emit(Did.PICKLE, use.node, flat(use.operand(0)), name=use.dotted)
    return None


@effect("frombuffer")
def _frombuffer(machine: Any, use: Use) -> Value:
    return Value(bits=machine.content(use.operand(0)))


@effect("open")
def _open(machine: Any, use: Use) -> Value | None:
    path = use.operand(0)
    mode = use.args[-1].const if use.receiver is not None and use.args else None
    if use.receiver is None:
        given = use.arg(1, "mode")
        mode = given.const if given is not None else "r"
    handle = Instance(None, machine.loops, "file")
    handle.attrs["_path"] = path
    handle.attrs["_mode"] = Value(mode)
    return Value(refs=(handle,))


@effect("read", "readline", "readlines", "read_bytes", "read_text", "readinto")
def _read(machine: Any, use: Use) -> Value | None:
    receiver = use.receiver
    if receiver is None:
        return None
    handles = [r for r in receiver.refs if isinstance(r, Instance)]
    path = handles[0].attrs.get("_path", receiver) if handles else receiver
    if handles and handles[0].what != "file":
        return None
    content = opened(machine, path, use.node, raw=use.name != "read_text")
    if use.name == "readinto":
        for ref in use.operand(1).refs:
            machine.touch(ref)
            ref.state |= content.bits
    return content


@effect("write", "write_bytes", "write_text", "writelines")
def _write(machine: Any, use: Use) -> Value | None:
    receiver = use.receiver or NOTHING
    content = use.args[0] if use.args else NOTHING
    handle = next((r for r in receiver.refs if isinstance(r, Instance) and r.what == "file"), None)
    binary = use.name == "write_bytes" or (handle is not None and "b" in str(handle.attrs["_mode"].const))
    if not binary:
        report(machine, use, [content])
        return NONE
    path = handle.attrs["_path"] if handle is not None else receiver
    save(machine, use, deep(content), path)
    return NONE


def save(machine: Any, use: Use, bits: int, where: Value | None) -> None:
    """Something was serialized, to a file or into a buffer."""
    machine.emit(Did.SAVE, use.node, bits, name=use.dotted, ranked=bool(machine.ranked))
    if where is None:
        return
    for ref in where.refs:
        if isinstance(ref, Instance) and ref.what == "file":
            where = ref.attrs["_path"]
            break
        ref.state |= bits
    if not where.refs:
        name = where.const if isinstance(where.const, str) else "?"
        machine.files[name] = machine.files.get(name, 0) | bits


@effect("save", "dump", "savez", "savez_compressed", "save_file", "tofile", "dumps", "packb")
def _save(machine: Any, use: Use) -> Value | None:
    if use.dotted.startswith(("json", "yaml")):
        return NONE
    every = use.everything
    if use.dotted.startswith("numpy"):
        where, content = every[:1], [*every[1:], *use.keywords.values()]
    else:
        content, where = every[:1], every[1:2]
    bits = 0
    for value in content:
        bits |= deep(value)
    save(machine, use, bits, where[0] if where else None)
    return Value(bits=bits)


@effect("compress", "b85encode", "b64encode", "compressobj", "ZstdCompressor")
def _compress(machine: Any, use: Use) -> Value | None:
    content = use.args[0] if use.args else NOTHING
    bits = deep(content)
    if use.args and use.name != "ZstdCompressor":
        machine.emit(Did.SAVE, use.node, bits, name=use.dotted, ranked=bool(machine.ranked))
    return Value(bits=bits) if use.name != "ZstdCompressor" else None


@effect("decompress", "b85decode", "b64decode", "getvalue", "getbuffer")
def _decompress(machine: Any, use: Use) -> Value:
    content = use.args[0] if use.args else use.receiver or NOTHING
    bits = deep(content)
    packed = use.name == "decompress" and bits & VAL and bits & TOKENS
    return Value(bits=bits & ~RAW | SHIPPED if packed else bits)  # what the run has packed is to be shipped


@effect("BytesIO", "StringIO")
def _buffer(machine: Any, use: Use) -> Value:
    instance = Instance(None, machine.loops, "io.BytesIO")
    if use.args:
        instance.state = deep(use.args[0])
    return Value(refs=(instance,))


@effect("glob", "iglob", "rglob", "listdir", "iterdir", "scandir")
def _glob(machine: Any, use: Use) -> Value:
    pattern = use.args[0] if use.args else use.receiver or NOTHING
    bits = flat(pattern) | (flat(use.receiver) if use.receiver else 0)
    name = pattern.const.rpartition("/")[2] if isinstance(pattern.const, str) else ""
    found = [p for p in _SHARDS if name and fnmatch.fnmatch(p, name)]
    if len(found) == len(_SHARDS) and name.endswith(".bin"):
        items = [Value(p, bits | way) for p, way in _SHARDS.items()]
        return Value(refs=(Sequence(items, birth=machine.loops),))  # told apart by their names, if at all
    for shard in found:
        bits |= _SHARDS[shard]
    return Value(refs=(Sequence(None, Value(bits=bits), machine.loops),))


@effect(
    "Path",
    "PurePath",
    "PosixPath",
    "fspath",
    "abspath",
    "expanduser",
    "realpath",
    "resolve",
    "as_posix",
    "absolute",
    "with_suffix",
    "normpath",
)
def _path(machine: Any, use: Use) -> Value:
    whole = use.operand(0)
    if len(use.args) > 1:
        return _joined(machine, use.args)
    return whole


@effect("posixpath.join", "os.path.join", "joinpath")
def _join(machine: Any, use: Use) -> Value:
    return _joined(machine, use.everything)


def _joined(machine: Any, parts: list[Value]) -> Value:
    bits = 0
    for part in parts:
        bits |= flat(part)
    if parts and all(isinstance(p.const, str) for p in parts):
        return Value("/".join(p.const.rstrip("/") for p in parts), bits)
    return Value(bits=bits)


@effect("print", "info", "warning", "debug", "error", "critical", "log_metrics")
def _print(machine: Any, use: Use) -> Value | None:
    if use.name != "print" and use.receiver is None and not use.dotted.startswith("logging"):
        return None
    report(machine, use, use.args)
    return NONE


def report(machine: Any, use: Use, values: list[Value]) -> None:
    """Something was printed or written to a text file."""
    machine.touched = 0  # a call that prints is never remembered
    bits, text = 0, []
    for value in values:
        bits |= machine.content(value)
        text += list(value.text) or ([str(value.const)] if value.known else [flat(value)])
        text.append(" ")
    if bits & (machine.scores | VAL):
        machine.emit(Did.REPORT, use.node, bits, text=tuple(text))


@effect("urlopen", "urlretrieve", "hf_hub_download", "snapshot_download", "load_dataset", "create_connection")
def _download(machine: Any, use: Use) -> Value:
    machine.emit(Did.NETWORK, use.node, flat(use.operand(0)), name=use.dotted)
    return Value(bits=NETWORK)


@effect("requests.get", "requests.post", "httpx.get", "requests.request")
def _request(machine: Any, use: Use) -> Value | None:
    return _download(machine, use)


@effect(
    "subprocess.run",
    "subprocess.check_call",
    "subprocess.check_output",
    "subprocess.Popen",
    "subprocess.call",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
)
def _command(machine: Any, use: Use) -> Value:
    words = " ".join(str(c) for c in _constants(use.operand(0)))
    if any(f" {f} " in f" {words} " or words.endswith(f) for f in _FETCHERS):
        machine.emit(Did.NETWORK, use.node, 0, name=use.dotted, command=words[:200])
    return NOTHING


def _constants(value: Value) -> list[Any]:
    if value.known:
        return [value.const] if not isinstance(value.const, tuple) else list(value.const)
    for ref in value.refs:
        if isinstance(ref, Sequence) and ref.items is not None:
            return [i.const if i.known else "?" for i in ref.items]
    return [p for p in value.text if isinstance(p, str)]


@effect("ArgumentParser")
def _parser(machine: Any, use: Use) -> Value:
    return Value(refs=(Instance(None, (), "argparse"),))


@effect("add_argument_group", "add_mutually_exclusive_group")
def _group(machine: Any, use: Use) -> Value:
    return use.operand(0)


@effect("add_argument")
def _argument(machine: Any, use: Use) -> Value:
    names = [a.const for a in use.args if isinstance(a.const, str)]
    long = next((n for n in names if n.startswith("--")), names[0] if names else "")
    given = use.keywords.get("dest")
    name = (
        given.const
        if given is not None and isinstance(given.const, str)
        else long.lstrip("-").replace("-", "_")
    )
    action = use.keywords.get("action")
    default = use.keywords.get("default")
    if default is None:
        default = Value(action.const == "store_false") if action is not None else NONE
    for ref in (use.receiver or NOTHING).refs:
        if isinstance(ref, Instance):
            ref.attrs[name] = machine.option(name, default, use.keywords.get("type"))
    return NOTHING


@effect("parse_args", "parse_known_args")
def _parse(machine: Any, use: Use) -> Value:
    namespace = Instance(None, (), "namespace")
    for ref in (use.receiver or NOTHING).refs:
        if isinstance(ref, Instance):
            namespace.attrs.update(ref.attrs)
    value = Value(refs=(namespace,))
    return Value(refs=(Sequence([value, NOTHING]),)) if use.name == "parse_known_args" else value
