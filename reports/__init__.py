"""Reports: everything a reader sees, made from the public JSON alone.

`json_v1` is the contract; `view` words and orders it; the renderers only lay it out.
"""

from __future__ import annotations

from reports.queue import write_queue
from reports.render import FORMATS, render, write_all

__all__ = ["FORMATS", "render", "write_all", "write_queue"]
