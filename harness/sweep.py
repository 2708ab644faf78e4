"""Run one job per head over many heads: in parallel, resumable, cached by content, in bounded memory.

The parent alone writes: every finished record goes into ``cache.sqlite`` under a key made of the
tool's own sources, the head, the base and the options, so a killed sweep continues where it
stopped and an unchanged one costs a look-up. ``results.jsonl`` is written at the end, by number.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import joblib

from harness import collector, gitsource
from harness.submission import SubmissionError

ROOT = Path(__file__).resolve().parent.parent
_SOURCES = ("rules", "harness", "checkers", "reports")


@dataclass(frozen=True, slots=True)
class Task:
    """One head to audit: its pull request, its commit, and the key its result is cached under."""

    pr: int
    head: str
    key: str


@dataclass(frozen=True, slots=True)
class Finished:
    """One audited head as JSON, and the peak resident memory of its worker so far, in MB."""

    task: Task
    record: bytes
    peak_mb: float


class HeadTimeout(Exception):  # noqa: N818 - an event, handled by the job
    """One head took longer than its share."""


def tool_digest() -> str:
    """Hash of every source and rule file of the tool: results of another edition are never reused."""
    digest = hashlib.sha256((ROOT / "audit.py").read_bytes())
    for folder in _SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".toml", ".json", ".j2"}:
                digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def task_key(*parts: str) -> str:
    """Join what determines a result into one key."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


class Cache:
    """Finished records by key, on disk. Safe to kill at any moment."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS record (key TEXT PRIMARY KEY, json BLOB NOT NULL)")

    def get(self, key: str) -> bytes | None:
        """Return the record stored under a key, or None."""
        row = self._db.execute("SELECT json FROM record WHERE key = ?", (key,)).fetchone()
        return bytes(row[0]) if row else None

    def put(self, key: str, record: bytes) -> None:
        """Store a record and make it durable."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO record VALUES (?, ?)", (key, record))

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def sweep(
    tasks: Sequence[Task],
    job: Callable[[Task], bytes],
    out: Path,
    *,
    jobs: int,
    on_finished: Callable[[Task, bytes, bool], None] = lambda task, record, cached: None,
) -> float:
    """Audit every task not in the cache and write ``results.jsonl`` sorted by number.

    ``on_finished`` is told of each record and whether it came from the cache. Returns the peak
    resident memory in MB of the hungriest process.
    """
    peak = 0.0
    with closing(Cache(out / "cache.sqlite")) as cache:
        todo = []
        for task in tasks:
            known = cache.get(task.key)
            if known is None:
                todo.append(task)
            else:
                on_finished(task, known, True)
        for finished in _parallel(todo, job, jobs):
            cache.put(finished.task.key, finished.record)
            peak = max(peak, finished.peak_mb)
            on_finished(finished.task, finished.record, False)
        write_results(out / "results.jsonl", (cache.get(t.key) or b"{}" for t in tasks))
    return max(peak, _peak_mb())


def write_results(path: Path, records: Iterable[bytes]) -> None:
    """Write one JSON object a line, atomically."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        for record in records:
            file.write(record.strip() + b"\n")
    partial.replace(path)


def _parallel(tasks: Sequence[Task], job: Callable[[Task], bytes], jobs: int) -> Iterator[Finished]:
    if jobs == 1 or len(tasks) < 2:
        with collector.rarely():
            yield from (_run(job, task) for task in tasks)
        return
    pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="4*n_jobs")
    yield from pool(joblib.delayed(_run_in_worker)(job, task) for task in tasks)


def _run_in_worker(job: Callable[[Task], bytes], task: Task) -> Finished:
    collector.rarely_from_now_on()  # back to the usual thresholds between two heads, it would pass there
    return _run(job, task)


def _run(job: Callable[[Task], bytes], task: Task) -> Finished:
    return Finished(task, job(task), _peak_mb())


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def plan(repo: Path, prs: str | None, options: str) -> list[Task]:
    """The heads to audit, by number: those listed, or all that the clone holds.

    Raises:
        SubmissionError: the clone has no such head, or the list cannot be read.
    """
    heads = gitsource.heads(repo)
    wanted = sorted(heads) if prs is None else numbers(prs)
    missing = [n for n in wanted if n not in heads]
    if missing:
        raise SubmissionError(f"{repo}: no pull request #{missing[0]} in this clone (refs/pull/N/head)")
    edition = (tool_digest(), gitsource.main_tip(repo), options)
    return [Task(n, heads[n], task_key(*edition, heads[n], str(n))) for n in wanted]


def numbers(text: str) -> list[int]:
    """Read a list like ``1,5-9`` into sorted numbers.

    Raises:
        SubmissionError: a part is neither a number nor a range.
    """
    wanted: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise SubmissionError(f"--prs {text}: {part!r} is neither a number nor a range like 5-9")
        if dash and int(last) < int(first):
            raise SubmissionError(f"--prs {text}: the range {part!r} is empty; give {last}-{first}")
        wanted.update(range(int(first), int(last or first) + 1))
    return sorted(wanted)


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise HeadTimeout in the main thread after ``seconds``; without effect elsewhere.

    A pathological script must cost its own record, not the sweep.
    """

    def ring(signum: int, frame: FrameType | None) -> None:
        raise HeadTimeout(f"took longer than {seconds} s")

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except ValueError:  # not in the main thread
        yield
        return
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def default_jobs() -> int:
    """One worker a core that this process may use."""
    return max(1, len(os.sched_getaffinity(0)))
