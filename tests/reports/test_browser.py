"""The pages in a real Chromium: they work by mouse and keyboard, ask for nothing, and anyone can use them."""

import csv
import io
import os
import random
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from report_samples import SAMPLES, sample, with_text

import reports
from reports import json_v1, write_queue
from reports.shape_v1 import Script
from reports.site import build

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the machine (apt-get install chromium)"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
HEADS = 2_059
SIZES = (390, 1280, 1920)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """Open a file; afterwards fail if it logged an error or asked for anything but itself."""
    contexts, faults = [], []

    def go(path: Path, width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: faults.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda r: faults.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None,
        )
        page.goto(path.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Every sample's HTML report, and a hostile one."""
    out = tmp_path_factory.mktemp("reports")
    audits = {name: sample(name) for name in SAMPLES}
    audits["hostile"] = with_text(
        "</script><script>alert(1)</script><img src=https://evil.example/x> 'x' \"y\""
    )
    for name, audit in audits.items():
        (out / f"{name}.html").write_bytes(reports.render(audit, "html")[1])
    return out


def many_heads():
    draw = random.Random(2059)
    samples = [sample(name) for name in SAMPLES]
    for pr in range(1, HEADS + 1):
        audit = draw.choice(samples)
        script = audit.script and Script(path="train_gpt.py", oid=f"{draw.randrange(1500):040x}")
        claims = (
            {"submission.json": {"val_bpb": round(draw.uniform(1.05, 1.3), 4)}} if draw.random() < 0.8 else {}
        )
        day = f"2026-04-{draw.randrange(1, 29):02}"
        yield replace(audit, pr=pr, head=f"{pr:040x}", script=script, claims=claims, submitted_on=day)


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    """A queue of 2,059 heads, in its second sweep: #5 changed its verdict."""
    out = tmp_path_factory.mktemp("queue")
    heads = list(many_heads())
    heads[4] = replace(heads[4], verdict="ERROR")
    for _ in range(2):
        (out / "results.jsonl").write_bytes(b"".join(json_v1.dump(a, indent=0) for a in heads))
        write_queue(out)
        heads[4] = replace(heads[4], verdict="PASS", rules=())
    return out / "index.html"


def shown(page):
    return int(page.locator("#status").inner_text().split()[0].replace(",", ""))


def column(page, number, rows=60):
    return page.eval_on_selector_all(
        f"#rows tr td:nth-child({number})", f"cells => cells.slice(0, {rows}).map(c => c.innerText.trim())"
    )


def assert_accessible(page):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    serious = [
        (v["id"], v["nodes"][0]["html"][:160]) for v in found if v["impact"] in {"serious", "critical"}
    ]
    assert serious == []


# --- the report -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SAMPLES, "hostile"])
@pytest.mark.parametrize("width", SIZES)
def test_reports_fit_their_window(visit, pages, name, width):
    page = visit(pages / f"{name}.html", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}-{width}.png", full_page=True)


@pytest.mark.parametrize("name", [*SAMPLES, "hostile"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_reports_are_accessible(visit, pages, name, scheme):
    page = visit(pages / f"{name}.html", color_scheme=scheme)
    page.eval_on_selector_all("details", "all => all.forEach(d => d.open = true)")
    assert_accessible(page)


def test_findings_are_walked_by_keyboard(visit, pages):
    page = visit(pages / "fail_run.html")
    focused = "document.activeElement.id"
    page.keyboard.press("j")
    assert page.evaluate(focused) == "finding-1"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate(focused) == "finding-2"


def test_every_picture_can_be_reached_and_read_without_eyes(visit, pages):
    page = visit(pages / "fail_run.html")
    images = page.get_by_role("img").all()
    assert len(images) == 7
    for number in range(7):
        details = page.locator("figure details").nth(number)
        details.locator("summary").focus()
        page.keyboard.press("Enter")
        assert details.locator("tbody tr").first.is_visible()


def test_dark_and_light_can_be_chosen(visit, pages):
    page = visit(pages / "fail_run.html", color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(background)
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(background) != before


def test_the_report_prints(visit, pages):
    page = visit(pages / "fail_run.html")
    page.emulate_media(media="print")
    assert not page.get_by_role("button", name="Light or dark").is_visible()
    assert page.pdf()[:5] == b"%PDF-"


def test_the_report_works_without_scripts(visit, pages):
    page = visit(pages / "fail_run.html", java_script_enabled=False)
    assert page.locator("article").count() == 5
    assert not page.locator("#theme").is_visible()


# --- the queue --------------------------------------------------------------------------------


REACTION = """(action) => {
  const start = performance.now();
  if (action === 'search') {
    const field = document.getElementById('search');
    field.value = field.value ? '' : 'kraft';
    field.dispatchEvent(new Event('input'));
  } else document.querySelector('[data-sort=b]').click();
  document.body.getBoundingClientRect();
  return performance.now() - start;
}"""


def test_2059_heads_are_usable_within_a_second(visit, queue):
    """The best of three, because other work on the machine must not decide."""
    loads, reactions = [], []
    for _ in range(3):
        page = visit(queue)
        loads.append(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
        assert shown(page) == HEADS
        reactions.append(max(page.evaluate(REACTION, action) for action in ("search", "sort", "search")))
        page.close()
    print(f"table usable after {min(loads):.0f} ms, slowest reaction {min(reactions):.0f} ms")
    assert min(loads) < 1_000
    assert min(reactions) < 1_000


def test_every_row_is_drawn_in_the_end(visit, queue):
    page = visit(queue)
    page.locator("#rows tr").nth(HEADS - 1).wait_for(state="attached", timeout=30_000)
    assert page.locator("#rows tr").count() == HEADS


def test_sorting_goes_both_ways(visit, queue):
    page = visit(queue)
    page.click("[data-sort=b]")
    up = [float(v) for v in column(page, 5) if v]
    assert up == sorted(up)
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Claimed")
    page.click("[data-sort=p]")
    page.click("[data-sort=p]")
    assert column(page, 1)[0] == f"#{HEADS}"
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Pull request")


def test_filters_work_together_and_are_remembered(visit, queue):
    page = visit(queue)
    page.click("[data-verdict=FAIL]")
    fails = shown(page)
    assert 0 < fails < HEADS
    assert set(column(page, 2)) == {"✗ fail"}
    page.click("[data-verdict=REVIEW]")
    assert shown(page) > fails
    page.select_option("#rule", "double-counted-space")
    reviews = shown(page)
    assert set(column(page, 2)) == {"? review"}
    page.fill("#search", "packed #4")
    assert 0 < shown(page) < reviews
    kept, url = shown(page), page.url
    page.goto("about:blank")
    page.goto(url)
    assert shown(page) == kept
    page.click("#clear")
    assert shown(page) == HEADS


def test_families_can_be_folded_and_opened(visit, queue):
    page = visit(queue)
    page.check("#grouped")
    assert 0 < shown(page) < HEADS
    first = page.locator("#rows button.link").first
    size = int(first.inner_text().split()[0])
    first.click()
    assert shown(page) == size > 1


def test_what_changed_can_be_shown_alone(visit, queue):
    page = visit(queue)
    page.check("#changed")
    assert (shown(page), column(page, 1), column(page, 8)) == (1, ["#5"], ["auditor error"])


def test_a_row_opens_its_findings(visit, queue):
    page = visit(queue)
    button = page.locator("#rows td button[aria-expanded]").first
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    assert page.locator("#rows ul.notes li").count() > 1
    page.keyboard.press("Enter")
    assert page.locator("#rows ul.notes li").count() == 0


def test_the_keyboard_reaches_the_search(visit, queue):
    page = visit(queue)
    page.keyboard.press("/")
    page.keyboard.type("#2059")
    assert shown(page) == 1
    page.keyboard.press("Escape")
    assert shown(page) == HEADS


def test_the_export_is_what_is_shown(visit, queue):
    page = visit(queue)
    page.click("[data-verdict=FAIL]")
    with page.expect_download() as started:
        page.click("#csv")
    rows = list(csv.DictReader(io.StringIO(Path(started.value.path()).read_text())))
    assert len(rows) == shown(page)
    assert {row["verdict"] for row in rows} == {"FAIL"}
    assert all(row["rules"] for row in rows)


@pytest.mark.parametrize("width", SIZES)
def test_the_queue_fits_and_is_accessible(visit, queue, width):
    page = visit(queue, width)
    page.fill("#search", "#10")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)


def test_hostile_rows_stay_text(visit, tmp_path):
    evil = with_text("</script><script>alert(1)</script><img src=x onerror=alert(2)> =1+1")
    (tmp_path / "results.jsonl").write_bytes(json_v1.dump(evil, indent=0))
    page = visit(write_queue(tmp_path)[0])
    assert page.locator("#rows img, #rows script").count() == 0
    assert "<img src=x" in page.locator("#rows").inner_text()


# --- the site ---------------------------------------------------------------------------------


def test_the_site_is_accessible(visit, tmp_path):
    build.build(tmp_path)
    for name in ("index.html", "docs/reading.html", "docs/rules/index.html", "docs/json.html"):
        page = visit(tmp_path / name, 390)
        assert_accessible(page)
