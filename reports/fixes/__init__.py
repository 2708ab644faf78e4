"""Mechanical corrections as suggestions, each audited again before anybody sees it."""

from __future__ import annotations

from reports.fixes.offer import offer, patched, verdicts

__all__ = ["offer", "patched", "verdicts"]
