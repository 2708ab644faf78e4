"""Reading and writing the public JSON, version 1. The shape is in `reports.shape_v1`."""

from __future__ import annotations

import msgspec

from checkers import audit as internal
from reports import adapt
from reports.shape_v1 import Audit, Fix, Run, VerdictName


class ReportError(msgspec.DecodeError):
    """The input is not an audit in JSON version 1; the message says where it differs."""


def to_json(audit: internal.Audit, *, fixes: dict[str, Fix] | None = None) -> bytes:
    """Encode a finished audit in one line of JSON. ``fixes`` maps fingerprints to corrections that
    `reports.fixes.offer` has had audited again."""
    return dump(adapt.from_audit(audit, fixes=fixes), indent=0)


def dump(audit: Audit, *, indent: int = 1) -> bytes:
    """Encode the public form as UTF-8 JSON with a final newline; ``indent=0`` gives one line."""
    raw = msgspec.json.encode(audit)
    return (msgspec.json.format(raw, indent=indent) if indent else raw) + b"\n"


def from_json(raw: bytes | str) -> Audit:
    """Decode and validate; unknown keys are ignored, so that later additions do not break readers.

    Raises:
        ReportError: not JSON, another schema version, or a field of the wrong type.
    """
    try:
        return msgspec.json.decode(raw, type=Audit)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReportError(f"not an audit in JSON version 1: {error}") from None


def unreadable(pr: int | None, head: str | None, why: str) -> bytes:
    """The record of a head that cannot be loaded as a submission."""
    return _without_audit(pr, head, "INCONCLUSIVE", f"cannot be read as a submission: {why}")


def our_error(pr: int | None, head: str | None, why: str) -> bytes:
    """The record of a head on which the auditor itself failed."""
    return _without_audit(pr, head, "ERROR", why)


def _without_audit(pr: int | None, head: str | None, verdict: VerdictName, reason: str) -> bytes:
    label = f"#{pr}" if pr is not None else ""
    record = Audit(
        schema=1,
        pr=pr,
        head=head,
        folder=None,
        verdict=verdict,
        rules=(),
        claims={},
        seconds=0.0,
        run=Run(outcome="skipped", blocker=reason),
        reason=reason,
        label=label,
    )
    return dump(record, indent=0)
