"""Read a submission straight from a clone's git objects, as what the head changes relative to main.

No checkout, no git process: trees are compared by object id and blobs are read one at a time when a
caller asks, so that memory stays bounded by the largest single file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pygit2

from harness.selection import entry_script, primary_folder, record_folders
from harness.submission import Change, FileEntry, Origin, Submission, SubmissionError

_SYMLINK, _SUBMODULE = 0o120000, 0o160000
_MAIN_REFS = (
    "refs/remotes/upstream/HEAD",
    "refs/remotes/upstream/main",
    "refs/remotes/origin/HEAD",
    "refs/heads/main",
    "refs/remotes/origin/main",
    "refs/heads/master",
    "HEAD",
)
_MOST_COMMITS = 500  # of a pull request that are searched for the one that brought a folder in
_USUAL = "refs/pull/"
_PULL_REF = re.compile(r"^refs/(?:remotes/[^/]+/)?(?:pull|pr)/(\d+)(?:/head)?$")
_CHANGES = {
    pygit2.enums.DeltaStatus.ADDED: Change.ADDED,
    pygit2.enums.DeltaStatus.DELETED: Change.DELETED,
}


def pull_numbers(clone: Path | str) -> tuple[int, ...]:
    """List the pull requests whose heads the clone holds, ascending."""
    return tuple(sorted(_pull_refs(_open(clone))))


def heads(clone: Path | str) -> dict[int, str]:
    """Map each pull request that the clone holds to the commit id of its head."""
    repo = _open(clone)
    return {pr: str(repo.references[ref].target) for pr, ref in _pull_refs(repo).items()}


def main_tip(clone: Path | str) -> str:
    """Commit id of the clone's main branch: with a head it decides what the head changed."""
    return str(_main(_open(clone)).id)


def load_pull(clone: Path | str, pr: int) -> Submission:
    """Read pull request ``pr`` of a clone.

    Raises:
        SubmissionError: no clone there, or it does not hold this head.
    """
    repo = _open(clone)
    usual = f"{_USUAL}{pr}/head"  # found without a list of all: a sweep asks for thousands
    ref = usual if usual in repo.references else _pull_refs(repo).get(pr)
    if ref is None:
        raise SubmissionError(
            f"the clone has no head of pull request {pr}; fetch it with "
            f"`git fetch origin 'refs/pull/{pr}/head:refs/pull/{pr}/head'`"
        )
    head = _commit(repo, str(repo.references[ref].target), f"the head of pull request {pr}")
    return _load(repo, head, _base(repo, head, pull=True), Origin.PULL_REQUEST, f"PR #{pr}", pr)


def load_commit(clone: Path | str, sha: str) -> Submission:
    """Read one commit of a clone, named by a full or an unambiguous short id.

    Raises:
        SubmissionError: no clone there, or no such commit in it.
    """
    repo = _open(clone)
    if not re.fullmatch(r"[0-9a-fA-F]{4,40}", sha):
        raise SubmissionError(f"{sha[:60]!r} is not a commit id (4 to 40 hexadecimal digits)")
    head = _commit(repo, sha, f"commit {sha}")
    return _load(
        repo, head, _base(repo, head, pull=False), Origin.COMMIT, f"commit {str(head.id)[:12]}", None
    )


def _open(clone: Path | str) -> pygit2.Repository:
    try:
        return pygit2.Repository(str(clone))
    except (pygit2.GitError, KeyError, ValueError):
        raise SubmissionError(f"{Path(clone).name or clone}: not a git clone") from None


def _pull_refs(repo: pygit2.Repository) -> dict[int, str]:
    """The reference of each pull request, the usual one where there are several."""
    names = sorted(repo.references, key=lambda name: name.startswith(_USUAL))
    return {int(m[1]): m[0] for name in names if (m := _PULL_REF.match(name))}


def _commit(repo: pygit2.Repository, sha: str, what: str) -> pygit2.Commit:
    try:
        return repo[sha].peel(pygit2.Commit)
    except (KeyError, ValueError, pygit2.GitError):
        raise SubmissionError(f"the clone does not hold {what}") from None


def _main(repo: pygit2.Repository) -> pygit2.Commit:
    for name in _MAIN_REFS:
        try:
            return repo.references[name].resolve().peel(pygit2.Commit)
        except (KeyError, pygit2.GitError):
            continue
    raise SubmissionError("the clone has no main branch to compare with")


@lru_cache(maxsize=4)
def _main_line(path: str, tip: str) -> tuple[str, ...]:
    """First-parent history of main, newest first."""
    repo, line = pygit2.Repository(path), [tip]
    while True:
        parents = repo[line[-1]].peel(pygit2.Commit).parent_ids
        if not parents or parents[0] not in repo:
            return tuple(line)
        line.append(str(parents[0]))


def _base(repo: pygit2.Repository, head: pygit2.Commit, *, pull: bool) -> pygit2.Commit | None:
    """Find the commit that ``head`` must be compared with.

    That is its merge base with main as main was before it took ``head`` in: afterwards the merge base
    is ``head`` itself and the change would look empty. A head without common history is compared with
    main as of its own date. A pull request that points at one of main's own merges changes nothing.
    """
    tip = _main(repo)
    line = _main_line(repo.path, str(tip.id))
    if str(head.id) in line:
        if not head.parent_ids or (pull and len(head.parent_ids) > 1):
            return head if pull else None
        return repo[head.parent_ids[0]].peel(pygit2.Commit)
    base = _merge_base(repo, line[0], head)
    if base is not None and base.id == head.id:
        base = _merge_base(repo, _before_merge(repo, line, head), head)
    if base is None:
        older = (repo[sha].peel(pygit2.Commit) for sha in line)
        return next((c for c in older if c.commit_time <= head.commit_time), None)
    return base


def _before_merge(repo: pygit2.Repository, line: tuple[str, ...], head: pygit2.Commit) -> str:
    """The newest commit of main's line that does not contain ``head``."""
    low, high = 0, len(line)  # line[:low] contain head, line[high:] do not
    while low < high:
        middle = (low + high) // 2
        if repo.descendant_of(line[middle], head.id):
            low = middle + 1
        else:
            high = middle
    return line[min(low, len(line) - 1)]


def _merge_base(repo: pygit2.Repository, main: str, head: pygit2.Commit) -> pygit2.Commit | None:
    found = repo.merge_base(main, head.id)
    return None if found is None or found not in repo else repo[found].peel(pygit2.Commit)


def _load(
    repo: pygit2.Repository,
    head: pygit2.Commit,
    base: pygit2.Commit | None,
    origin: Origin,
    label: str,
    pr: int | None,
) -> Submission:
    changed = tuple(_changed(repo, head, base))
    folders = record_folders(changed)
    old = _contents(base) if base is not None and len(folders) > 1 else frozenset()
    added = _added(repo, head, base, folders) if len(folders) > 1 else {}
    folder = primary_folder(changed, folders, old, added)
    entries = changed + tuple(_unchanged(repo, head, folder, {e.path for e in changed}))
    entries = tuple(sorted(entries, key=lambda e: e.path))
    reader = GitReader(repo.path, {e.path: e for e in entries})
    date = datetime.fromtimestamp(head.commit_time, tz=UTC).date()
    return Submission(
        origin=origin,
        label=label,
        entries=entries,
        folder=folder,
        folders=folders,
        entry_script=entry_script(entries, folder, reader),
        pr=pr,
        head=str(head.id),
        base=str(base.id) if base is not None else None,
        submitted_on=date.isoformat(),
        reader=reader,
        around=GitSurroundings(repo.path, str(head.id)),
    )


def _changed(repo: pygit2.Repository, head: pygit2.Commit, base: pygit2.Commit | None) -> Iterator[FileEntry]:
    try:
        # swap: without a base every file of the head must count as added, not as deleted
        diff = base.tree.diff_to_tree(head.tree) if base else head.tree.diff_to_tree(swap=True)
    except (KeyError, pygit2.GitError) as error:
        raise SubmissionError(f"the clone lacks a directory of {str(head.id)[:12]}: {error}") from None
    for delta in diff.deltas:
        change = _CHANGES.get(delta.status, Change.MODIFIED)
        side = delta.old_file if change is Change.DELETED else delta.new_file
        yield _entry(repo, _path(side), str(side.id), int(side.mode), change)


def _path(side: Any) -> str:
    """The path of a diff side; names that are not UTF-8 keep their bytes as surrogate escapes."""
    return bytes(side.raw_path).decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()


def _entry(repo: pygit2.Repository, path: str, oid: str, mode: int, change: Change) -> FileEntry:
    if mode == _SUBMODULE:
        return FileEntry(path, 0, oid, change, problem="a submodule; its files are elsewhere")
    try:
        size = repo.odb.read_header(oid)[1]
    except KeyError:
        return FileEntry(path, 0, oid, change, mode == _SYMLINK, "the clone does not hold its content")
    return FileEntry(path, size, oid, change, mode == _SYMLINK)


def _present(repo: pygit2.Repository, path: str, item: Any) -> FileEntry:
    """A file that the head keeps as it was."""
    return _entry(repo, path, str(item.id), int(item.filemode), Change.PRESENT)


def _added(
    repo: pygit2.Repository, head: pygit2.Commit, base: pygit2.Commit | None, folders: tuple[str, ...]
) -> dict[str, int]:
    """For each folder the place of the last commit that brought it in, higher ones being later."""
    walker = repo.walk(head.id, pygit2.enums.SortMode.TOPOLOGICAL)
    if base is not None:
        walker.hide(base.id)
    found: dict[str, int] = {}
    for place, commit in enumerate(islice(walker, _MOST_COMMITS)):
        parents = [p.tree for p in commit.parents]
        for folder in folders:
            if folder in commit.tree and not any(folder in tree for tree in parents):
                found.setdefault(folder, _MOST_COMMITS - place)
        if len(found) == len(folders):
            break
    return found


def _contents(commit: pygit2.Commit) -> frozenset[str]:
    """Ids of every blob below ``records`` in a commit."""
    if "records" not in commit.tree:
        return frozenset()
    return frozenset(str(item.id) for _, item in _walk(commit.tree["records"], "records"))


def _unchanged(
    repo: pygit2.Repository, head: pygit2.Commit, folder: str | None, known: set[str]
) -> Iterator[FileEntry]:
    """Files of the record folder that the head keeps as they were: an updated record needs them too."""
    if folder is None:
        return
    tree = head.tree[folder]
    for path, item in _walk(tree, folder):
        if path not in known:
            yield _present(repo, path, item)


def _walk(tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for item in tree:
        path = f"{prefix}/{item.name}"
        if isinstance(item, pygit2.Tree):
            yield from _walk(item, path)
        else:
            yield path, item


def _folders(tree: Any) -> Iterator[Any]:
    return (item for item in tree if isinstance(item, pygit2.Tree))


@dataclass(frozen=True)
class GitReader:
    """Reads blobs by path. Reopens the clone per process, so it can be pickled."""

    clone: str
    entries: dict[str, FileEntry] = field(repr=False)

    def __call__(self, path: str) -> bytes:
        """Return the content of ``path``.

        Raises:
            SubmissionError: it is not part of the head, was deleted, or its content is missing.
        """
        entry = self.entries.get(path)
        if entry is None or entry.change is Change.DELETED:
            raise SubmissionError(f"{path}: not a file of this submission")
        if entry.problem is not None:
            raise SubmissionError(f"{path}: {entry.problem}")
        return bytes(_shared_repository(self.clone).odb.read(entry.oid)[1])


@dataclass(frozen=True)
class GitSurroundings:
    """Python files that a head keeps as they were and that a script may import or read."""

    clone: str
    head: str

    def __call__(self, text: str) -> Submission:
        """Return those of the root, whose baseline records import, and of records named in ``text``."""
        repo = _shared_repository(self.clone)
        tree = repo[self.head].peel(pygit2.Commit).tree
        found = [(str(item.name), item) for item in tree if not isinstance(item, pygit2.Tree)]
        for track in _folders(tree["records"]) if "records" in tree else ():
            for folder in (f for f in _folders(track) if f.name in text):
                found += _walk(folder, f"records/{track.name}/{folder.name}")
        entries = {path: _present(repo, path, item) for path, item in found if path.endswith(".py")}
        reader = GitReader(self.clone, entries)
        what = f"unchanged scripts of {self.head[:12]}"
        return Submission(Origin.COMMIT, what, tuple(entries.values()), None, (), None, reader=reader)


@lru_cache(maxsize=2)
def _shared_repository(path: str) -> pygit2.Repository:
    return pygit2.Repository(path)
