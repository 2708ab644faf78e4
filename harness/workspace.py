"""The private folder of one run: the submission's own files, our data, stand-ins for programs.

Layout below the given root::

    repo/<folder of the record>/...   the submission's files; the script starts here
    repo/**/data -> ../data           where scripts look for shards and tokenizers
    data/{datasets,tokenizers}/       links to cached worlds
    bin/                              nvidia-smi, pyminify, lrzip
    plan.json, status.json, output.txt
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness import supply
from harness.needs import Needs
from harness.submission import Change, Submission, SubmissionError
from harness.supply import link
from harness.world import make
from harness.world.build import tokenizer

MOST_BYTES = 256 << 20
_SMI = "#!/bin/sh\necho 'NVIDIA-SMI 570.00  Driver Version: 570.00  CUDA Version: 12.8 | H100 80GB HBM3'\n"
_CAT = '#!/bin/sh\nfor a in "$@"; do case "$a" in -) ;; -*) ;; *) exec cat "$a";; esac; done\nexec cat\n'
_LRZIP = """#!{python}
import lzma, sys
args = sys.argv[1:]
out = args[args.index("-o") + 1]
data = open(args[-1], "rb").read() if args[-1] != out else open(args[args.index("-o") - 1], "rb").read()
open(out, "wb").write(lzma.decompress(data) if "-d" in args else lzma.compress(data))
"""
_DOWNLOADER = "print('the data are here')\n"
"""In place of the repository's own script, which scripts look for, or start to be sure of their data."""
PROGRAMS = {"nvidia-smi": _SMI, "pyminify": _CAT, "lrzip": _LRZIP}
"""Stand-ins. The last two keep content and change sizes: a run says nothing about artifact sizes."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of a prepared run."""

    root: Path
    repo: Path
    cwd: Path
    script: Path
    data: Path
    worlds: tuple[Path, ...]  # read-only folders the data links into
    links: tuple[tuple[str, Path], ...] = ()  # absolute folder inside -> folder shown there

    @property
    def validation_files(self) -> dict[str, tuple[str, ...]]:
        """Validation shards by data set, as absolute real paths in stream order."""
        found = {}
        for folder in sorted((self.data / "datasets").iterdir()):
            shards = sorted(p for p in folder.glob("fineweb_val_*.bin") if "bytes" not in p.name)
            if shards:
                found[folder.name] = tuple(str(p.resolve()) for p in shards)
        return found


def prepare(root: Path, submission: Submission, needs: Needs, lacking: tuple[str, ...] = ()) -> Workspace:
    """Write everything a run needs below ``root``, with data at the paths that were ``lacking`` before.

    Raises:
        SubmissionError: the entry script cannot be read.
    """
    script = submission.entry_script
    if script is None:
        raise SubmissionError("there is no training script")
    repo = root / "repo"
    if needs.beside is not None:
        _write_files(repo, needs.beside)  # records start other scripts, or import the baseline
    _write_files(repo, submission)
    (repo / script).parent.mkdir(parents=True, exist_ok=True)
    (repo / script).write_bytes(submission.read(script))
    worlds = _link_data(root / "data", needs)
    cwd = (repo / script).parent
    _link_upwards(cwd, repo, root / "data")
    _link_folders(cwd, needs.folders, root / "data")
    _write_programs(root / "bin")
    (root / "tmp").mkdir()
    links = dict.fromkeys(needs.roots, root / "data")
    for path in lacking:
        links = supply.provide(path, needs, root, cwd, links)
    return Workspace(root, repo, cwd, repo / script, root / "data", worlds, tuple(links.items()))


def _safe(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and ".." not in parts and not path.startswith("/")


def _write_files(repo: Path, submission: Submission) -> None:
    left = MOST_BYTES
    for entry in submission.entries:
        readable = entry.change is not Change.DELETED and entry.problem is None and not entry.symlink
        if not readable or not _safe(entry.path) or entry.size > left:
            continue
        try:
            content = submission.read(entry.path)
        except SubmissionError:
            continue
        left -= len(content)
        target = repo / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _link_data(data: Path, needs: Needs) -> tuple[Path, ...]:
    for part in ("datasets", "tokenizers"):
        (data / part).mkdir(parents=True)
    worlds = []
    for spec in needs.worlds:
        world = make(spec, needs.models.get(spec.tokenizer))
        worlds.append(world)
        link(data / "datasets" / spec.dataset, world / "datasets" / spec.dataset)
        _link_flat(data, spec.dataset, world / "datasets" / spec.dataset)
        for name in needs.flat if spec.vocabulary == needs.vocabulary else ():
            for shard in sorted((world / "datasets" / spec.dataset).glob("fineweb_*_??????.bin")):
                link(data / shard.name.replace("fineweb", name, 1), shard)
        for file in (world / "tokenizers").iterdir():
            link(data / "tokenizers" / file.name, file)
    worlds += _more_tokenizers(data / "tokenizers", needs)
    (data / "cached_challenge_fineweb.py").write_text(_DOWNLOADER, encoding="utf-8")
    for name in {
        "fineweb10B_sp8192_caseops",
        *(f"{s.dataset.partition('_lossless')[0]}_caseops" for s in needs.worlds),
    }:
        if not (data / "datasets" / name).exists():
            (data / "datasets" / name).mkdir()
            link(data / "datasets" / name / "datasets", data)
    return tuple(dict.fromkeys(worlds))


def _link_flat(data: Path, dataset: str, shards: Path) -> None:
    """One file a split, named for the tokenizer, as some scripts keep their data."""
    tokenizer_name = dataset.rpartition("_")[2]
    for split in ("train", "val"):
        first = shards / f"fineweb_{split}_000000.bin"
        if first.is_file():
            link(data / f"fineweb_{split}_{tokenizer_name}.bin", first)


def _more_tokenizers(folder: Path, needs: Needs) -> list[Path]:
    """Every tokenizer the source names: the submission's own, else one of the size its name tells."""
    sources = []
    for name, size in needs.tokenizers.items():
        if (folder / name).exists():
            continue
        if name in needs.models:
            (folder / name).write_bytes(needs.models[name])
            continue
        source = tokenizer(size)
        link(folder / name, source)
        sources.append(source.parent)
    return sources


def _link_upwards(cwd: Path, repo: Path, data: Path) -> None:
    """Scripts say ./data, ../data or ../../../data: answer at every level up to the repository."""
    for folder in [cwd, *cwd.parents]:
        if not (folder / "data").exists():
            link(folder / "data", data)
        elif (folder / "data").is_dir() and not (folder / "data").is_symlink():
            _merge(folder / "data", data)
        if folder == repo:
            return


def _link_folders(cwd: Path, folders: tuple[str, ...], data: Path) -> None:
    """Folders of other names in which a script looks, relative to where it starts."""
    for folder in folders:
        place = cwd / folder
        if _safe(folder) and not os.path.lexists(place) and place.parent.resolve().is_relative_to(cwd):
            place.parent.mkdir(parents=True, exist_ok=True)
            link(place, data)


def _merge(own: Path, data: Path) -> None:
    """The submission brings its own data folder: add ours inside it."""
    for part in ("datasets", "tokenizers", "cached_challenge_fineweb.py"):
        if not (own / part).exists():
            link(own / part, data / part)
        elif (data / part).is_dir():
            for entry in (data / part).iterdir():
                link(own / part / entry.name, entry.resolve())


def _write_programs(folder: Path) -> None:
    folder.mkdir()
    for name, text in PROGRAMS.items():
        program = folder / name
        program.write_text(text.replace("{python}", sys.executable), encoding="utf-8")
        program.chmod(0o755)


def open_to_all(root: Path) -> None:
    """Give a tree to the unprivileged user that the child runs as."""
    for folder, _, files in os.walk(root):
        os.chmod(folder, 0o777)
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o777)
