"""The pictures of the documentation, taken from real reports: ``make pictures CLONE=...``.

Needs the ``dev`` extra (Playwright) and a Chromium on the machine; nothing is fetched.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTH = 1280
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_SHOWN = ("timeline", "kraft", "losses")  # of the pictures; more would be too small to read


def main() -> None:
    """Take ``report.png`` and ``pictures.png`` from a report, ``queue.png`` from the page of a sweep."""
    parser = argparse.ArgumentParser(prog="python -m reports.site.shots", description=__doc__)
    parser.add_argument("--report", type=Path, required=True, help="report.html of a run")
    parser.add_argument("--queue", type=Path, help="index.html of a sweep")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    with sync_playwright() as driver:
        found = next((path for path in map(shutil.which, _CHROMIUM) if path), None)
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000}, color_scheme="light")
        page.goto(options.report.resolve().as_uri())
        _report(page, options.out)
        if options.queue:
            page.goto(options.queue.resolve().as_uri())
            page.wait_for_selector("#rows tr")
            page.screenshot(path=options.out / "queue.png", timeout=120_000)
        browser.close()


def _report(page: Page, out: Path) -> None:
    """The report down to its first finding, then some of its pictures one below the other."""
    end = page.locator("article").first.bounding_box()
    assert end is not None
    height = min(end["y"] + 460, 1700)
    page.screenshot(
        path=out / "report.png",
        clip={"x": 0, "y": 0, "width": WIDTH, "height": height},
        full_page=True,
    )
    page.evaluate(
        "names => { for (const figure of document.querySelectorAll('figure'))"
        " if (!names.includes(figure.id.replace('picture-', ''))) figure.remove(); }",
        list(_SHOWN),
    )
    page.locator("section[aria-labelledby=pictures]").screenshot(path=out / "pictures.png")


if __name__ == "__main__":
    main()
