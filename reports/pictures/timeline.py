"""The timeline: which validation positions were charged, trained on, or charged after that, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.pictures import svg
from reports.pictures.picture import Picture, experiments, thin
from reports.shape_v1 import Audit
from reports.text import plain, shorten

HEIGHT = 320
MOST_EVENTS = 600
_CLASSES = {"scored": "series1", "trained": "series2", "scored again": "bad"}
_NAMES = {"scored": "charged", "trained": "trained on", "scored again": "charged after training on it"}


@dataclass(frozen=True, slots=True)
class Event:
    """Positions ``first..last`` touched in one step of the evaluation."""

    order: int
    what: str
    first: float
    last: float
    stage: str


def draw(audit: Audit) -> Picture | None:
    """Rectangles of validation positions against event order."""
    for data in experiments(audit, "events"):
        events = _events(data["events"])
        if len(events) > 1:
            return _draw(events)
    return None


def _events(raw: object) -> list[Event]:
    found = [e for e in map(_event, raw) if e] if isinstance(raw, list | tuple) else []
    found.sort(key=lambda e: e.order)
    step = max(1, -(-len(found) // MOST_EVENTS))
    return found[::step]


def _event(raw: object) -> Event | None:
    if not isinstance(raw, dict) or raw.get("what") not in _CLASSES:
        return None
    values = [raw.get(key) for key in ("order", "first", "last")]
    if not all(isinstance(v, int | float) and abs(v) < 1e12 for v in values):
        return None
    order, first, last = (float(v) for v in values if v is not None)
    return Event(int(order), str(raw["what"]), first, last, shorten(plain(str(raw.get("stage", ""))), 60))


def _draw(events: list[Event]) -> Picture:
    present = [w for w in _CLASSES if any(e.what == w for e in events)]
    title = "What happened to each validation token"
    x = svg.horizontal([0, len(events)])
    y = svg.vertical([0, *(e.last for e in events)], HEIGHT, pad=0.0)
    width = max((x.end - x.start) / len(events) - 1, 1.0)
    boxes = [_box(e, x(n), y, width) for n, e in enumerate(events)]
    frame = svg.axes(x, y, HEIGHT, "events in order", "validation position")
    key = svg.legend([(_CLASSES[w], _NAMES[w]) for w in present])
    description = _describe(events)
    rows = [(str(e.order), _NAMES[e.what], f"{e.first:,.0f} to {e.last:,.0f}", e.stage) for e in events]
    drawn = svg.drawing("timeline", title, description, HEIGHT, frame, *boxes, key)
    return Picture("timeline", title, description, drawn, ("Event", "What", "Positions", "Stage"), thin(rows))


def _box(event: Event, left: float, y: svg.Scale, width: float) -> str:
    top = y(event.last)
    hint = svg.tag("title", f"{_NAMES[event.what]}: {event.first:,.0f} to {event.last:,.0f}. {event.stage}")
    height = max(y(event.first) - top, 2.0)
    return svg.tag("rect", hint, x=left, y=top, width=width, height=height, class_=_CLASSES[event.what])


def _describe(events: list[Event]) -> str:
    again = _span(e for e in events if e.what == "scored again")
    trained = _span(e for e in events if e.what == "trained")
    said = f"{len(events)} events in the order in which they happened."
    said += f" Positions {trained} were trained on." if trained else ""
    return said + (
        f" Positions {again} were charged after the scorer had learned from them." if again else ""
    )


def _span(events: Iterable[Event]) -> str:
    found = list(events)
    if not found:
        return ""
    return f"{min(e.first for e in found):,.0f} to {max(e.last for e in found):,.0f}"
