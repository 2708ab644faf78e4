"""Turn records with their places into findings that a reader can follow to the line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checkers.finding import Evidence, Finding, Kind, Location, Strength
from checkers.finding import plural as plural
from harness.logs import Place

_EXCERPT = 240


def location(place: Place, caption: str = "") -> Location:
    """A place in a log or document as the primary or related place of a finding."""
    return Location(path=place.path, line=place.line, caption=caption, excerpt=place.excerpt[:_EXCERPT])


def found(
    rule: str,
    message: str,
    where: Place,
    strength: Strength,
    confidence: float,
    *,
    data: dict[str, Any] | None = None,
    related: Sequence[tuple[Place, str]] = (),
) -> Finding:
    """A finding that rests on a document. ``data`` holds the numbers it was computed from."""
    return Finding(
        rule=rule,
        message=message,
        where=location(where),
        evidence=Evidence(Kind.DOCUMENT, message, data or {}),
        strength=strength,
        confidence=confidence,
        related=tuple(location(place, caption) for place, caption in related),
    )
