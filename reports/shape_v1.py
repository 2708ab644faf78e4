"""The public shape of an audit, version 1: frozen, documented in ``docs/json.md``.

Nothing here depends on our internal classes: `reports.adapt` fills these structs from an audit, and
every renderer reads only them. A field may be added with a default; none is renamed, removed or
given another meaning before version 2. Fields without a default are always written, the others
only when they differ from it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

VerdictName = Literal["PASS", "REVIEW", "FAIL", "INCONCLUSIVE", "NOT_APPLICABLE", "ERROR"]


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place in a file or in an unpacked layer of it. Lines and columns count from 1; 0: unknown.

    ``excerpt`` begins at ``line``, ``lead`` holds the lines right before it, to read it by. ``step`` is
    when the place matters among those of its finding, from 1; 0 where their order says nothing.
    """

    path: str
    line: int = 0
    layer: str | None = None
    column: int = 0
    end_line: int = 0
    scope: str = ""
    caption: str = ""
    step: int = 0
    excerpt: str = ""
    lead: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What proves a finding; the keys of ``data`` are listed by kind in ``docs/json.md``."""

    kind: str
    summary: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class Fix(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mechanical correction: replace lines ``start_line..end_line`` of ``path`` by ``replacement``.

    It is present only if the corrected file was audited again and ``cleared`` no longer fired.
    """

    path: str
    start_line: int
    end_line: int
    replacement: str
    description: str
    cleared: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One violation: a primary place, captioned related places, and what proves it."""

    message: str
    path: str
    layer: str | None
    line: int
    evidence: Evidence
    column: int = 0
    end_line: int = 0
    scope: str = ""
    caption: str = ""
    step: int = 0
    excerpt: str = ""
    lead: str = ""
    strength: str = "suspect"
    confidence: float = 0.0
    reach: str = ""
    fingerprint: str = ""
    related: tuple[Place, ...] = ()
    fix: Fix | None = None


class Ruling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One public statement behind a rule."""

    authority: str
    text: str
    url: str = ""
    on: str | None = None
    second_hand: bool = False


class RuleResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The verdict on one rule. Its text (``statement``, ``remedy``, ``limits``, ``rulings``) is given
    where the rule was not simply met, so that a report reads without the rulebook."""

    rule: str
    condition: str
    verdict: VerdictName
    confidence: float
    authority: str
    findings: tuple[Finding, ...]
    title: str = ""
    statement: str = ""
    severity: str = "fail"
    standing: str = "settled"
    reason: str = ""
    looked_at: str = ""
    kinds: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    remedy: str = ""
    limits: str = ""
    rulings: tuple[Ruling, ...] = ()
    cleared: tuple[Finding, ...] = ()


class Experiment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One experiment of the instrumented run and its numbers."""

    name: str
    result: str
    summary: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    replay: str | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The instrumented run. ``outcome`` is ``completed``, ``blocked``, ``crashed``, ``timeout``,
    ``refused`` or ``skipped`` (``blocker`` says why)."""

    outcome: str
    blocker: str | None = None
    profile: str = "default"
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    reported: dict[str, float | None] = msgspec.field(default_factory=dict)
    experiments: tuple[Experiment, ...] = ()
    sandbox: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


class LayerInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One source layer that was read, and how it was reached."""

    name: str
    path: str
    how: str = "entry"
    language: str = "python"
    lines: int = 0
    bytes: int = 0
    parent: str | None = None
    problem: str | None = None


class FileInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of the change. ``oid`` is the git blob id; ``change`` as git would say it."""

    path: str
    size: int
    oid: str = ""
    change: str = "present"
    problem: str | None = None


class Seed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The final figures of one seed's log."""

    seed: str
    val_bpb: float
    path: str = ""
    line: int = 0


class Curve(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A series from a log: ``x`` training steps, ``y`` losses in nats per token."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    path: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A share of the artifact in bytes."""

    name: str
    bytes: int
    counted: bool = True


class Stage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of the entry pipeline. ``role`` is ``train``, ``quantize``, ``load``, ``update``,
    ``score``, ``report`` or ``other``; ``fingerprints`` name the findings that lie in it."""

    name: str
    role: str = "other"
    path: str = ""
    line: int = 0
    fingerprints: tuple[str, ...] = ()


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers behind the pictures that do not belong to an experiment. Empty means not known."""

    seeds: tuple[Seed, ...] = ()
    record_bpb: float | None = None
    curves: tuple[Curve, ...] = ()
    artifact: tuple[Part, ...] = ()
    artifact_limit: int = 16_000_000
    pipeline: tuple[Stage, ...] = ()


class Script(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Identity of the audited script, by which the queue groups identical and similar heads.

    ``sketch`` holds the MinHash values of its source (see `reports.lineage`).
    """

    path: str
    oid: str = ""
    sketch: tuple[int, ...] = ()


class Audit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One audited head. ``seconds`` is wall time; ``reason`` words the verdict in one line."""

    schema: Literal[1]
    pr: int | None
    head: str | None
    folder: str | None
    verdict: VerdictName
    rules: tuple[RuleResult, ...]
    claims: dict[str, Any]
    seconds: float
    run: Run
    reason: str = ""
    not_checked: tuple[str, ...] = ()
    label: str = ""
    origin: str = ""
    base: str | None = None
    submitted_on: str | None = None
    as_of: str | None = None
    edition: str = ""
    strict: bool = False
    command: str = ""
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    folders: tuple[str, ...] = ()
    script: Script | None = None
    layers: tuple[LayerInfo, ...] = ()
    files: tuple[FileInfo, ...] = ()
    figures: Figures = msgspec.field(default_factory=Figures)
