"""A little repository of the challenge, built commit by commit without a work tree."""

from __future__ import annotations

from pathlib import Path

import pygit2

_BASE_TIME = 1_775_000_000  # 2026-03-31, seconds since 1970, UTC
FILE, LINK, SUBMODULE = 0o100644, 0o120000, 0o160000

TRAINS = """import torch
def main():
    loss = torch.nn.functional.cross_entropy(x, y)
    loss.backward()
    print(f"val_bpb:{loss}")
if __name__ == "__main__":
    main()
"""


class Repo:
    """A bare clone under construction; contents are bytes or text by path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repo = pygit2.init_repository(str(path), bare=True, initial_head="main")
        self.ticks = 0

    def blob(self, content: str | bytes) -> pygit2.Oid:
        return self.repo.create_blob(content.encode() if isinstance(content, str) else content)

    def commit(
        self,
        changes: dict[str, str | bytes | tuple[str | bytes | pygit2.Oid, int] | None],
        *parents: pygit2.Oid,
        ref: str | None = None,
    ) -> pygit2.Oid:
        """Commit ``changes`` (None deletes, a tuple adds a mode) on top of the first parent."""
        index = pygit2.Index()
        if parents:
            index.read_tree(self.repo[parents[0]].peel(pygit2.Commit).tree)
        for path, content in changes.items():
            if content is None:
                index.remove(path)
                continue
            value, mode = content if isinstance(content, tuple) else (content, FILE)
            oid = value if isinstance(value, pygit2.Oid) else self.blob(value)
            index.add(pygit2.IndexEntry(path, oid, pygit2.enums.FileMode(mode)))
        self.ticks += 1
        who = pygit2.Signature("A Person", "a@example.org", _BASE_TIME + 86_400 * self.ticks, 0)
        made = self.repo.create_commit(None, who, who, "a commit", index.write_tree(self.repo), list(parents))
        if ref is not None:
            self.point(ref, made)
        return made

    def point(self, ref: str, oid: pygit2.Oid) -> None:
        self.repo.references.create(ref, oid, force=True)

    def pull(self, number: int, changes: dict, *parents: pygit2.Oid) -> pygit2.Oid:
        return self.commit(changes, *parents, ref=f"refs/pull/{number}/head")
