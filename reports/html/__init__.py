"""The HTML report: one self-contained file that opens anywhere and asks the network for nothing."""

from __future__ import annotations

from reports import pictures, templating, view
from reports.html import highlight, page
from reports.shape_v1 import Audit


def render(audit: Audit) -> bytes:
    """The report as one UTF-8 file with its style, script and pictures inside."""
    shown = view.build(audit)
    body = templating.html().get_template("report.html.j2")
    text = body.render(
        view=shown,
        pictures=pictures.draw_all(audit),
        code=highlight.block,
        ruling_url=page.ruling_url,
        **page.assets("report.css", "report.js"),
    )
    return text.encode("utf-8", "backslashreplace")
