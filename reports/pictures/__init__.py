"""Vector pictures for the HTML report, each only where its numbers are there."""

from __future__ import annotations

from reports.pictures import curves, kraft, losses, pipeline, seeds, timeline, treemap
from reports.pictures.picture import Picture
from reports.shape_v1 import Audit

__all__ = ["Picture", "draw_all"]

_DRAWERS = (timeline.draw, kraft.draw, losses.draw, pipeline.draw, seeds.draw, treemap.draw, curves.draw)


def draw_all(audit: Audit) -> list[Picture]:
    """Every picture that the audit has numbers for, those about the offence first."""
    return [picture for draw in _DRAWERS if (picture := draw(audit)) is not None]
