"""The JSON format itself: the public form, indented for people."""

from __future__ import annotations

from reports.json_v1 import dump
from reports.shape_v1 import Audit


def render(audit: Audit) -> bytes:
    """The audit as ``audit.json``."""
    return dump(audit)
