"""Rule pages and site: generated from the sources, with links that lead somewhere."""

import re
from pathlib import Path

import pytest

from reports import cases, rule_pages
from reports.site import build, links
from rules.rulebook import load

ROOT = Path(__file__).resolve().parents[2]


def test_every_rule_has_a_page_with_all_it_must_say():
    pages = rule_pages.pages()
    for slug, rule in load().rules.items():
        text = pages[f"{slug}.md"]
        for heading in ("## How it is checked", "## Rulings", "## Remedy"):
            assert heading in text
        assert all(r.url in text for r in rule.rulings if "(" not in r.url)
        assert f"`{slug}`" in pages["index.md"]


def test_drift_is_noticed_and_repaired(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rule_pages, "PAGES", tmp_path / "rules")
    rule_pages.write()
    assert rule_pages.main(["--check"]) == 0
    (tmp_path / "rules" / "index.md").write_text("edited")
    (tmp_path / "rules" / "no-longer-a-rule.md").write_text("left over")
    assert rule_pages.main(["--check"]) == 1
    assert "docs/rules/index.md" in capsys.readouterr().out
    assert rule_pages.main([]) == 0
    assert rule_pages.main(["--check"]) == 0


def test_long_cases_are_shown_around_their_marks(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "ROOT", tmp_path)
    monkeypatch.setattr(cases, "CASES", tmp_path)
    folder = tmp_path / "some-rule"
    folder.mkdir()
    lines = [f"x{n} = {n}" for n in range(200)]
    lines[100] = "# expect: some-rule"
    lines[150] = "# todo: some-rule"
    (folder / "violates_far_down.py").write_text("\n".join(lines))
    (folder / "complies_short.py").write_text("# ok: some-rule\nx = 1\n")
    (folder / "notes.txt").write_text("not a case")
    short, far = cases.cases("some-rule")
    assert (short.violates, far.violates, far.gaps, far.name) == (False, True, 1, "far down")
    assert "x101 = 101" in far.text
    assert "x20 = 20" not in far.text
    assert short.text == "# ok: some-rule\nx = 1"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    build.build(out)
    return out


def test_no_link_of_the_site_is_broken(site):
    assert links.broken(site) == []


def test_every_page_is_reachable_from_the_front_page(site):
    seen, todo = set(), [site / "index.html"]
    while todo:
        page = todo.pop().resolve()
        if page in seen:
            continue
        seen.add(page)
        todo += [page.parent / href for href in re.findall(r'href="([^":#]+\.html)', page.read_text())]
    assert {p.resolve() for p in site.rglob("*.html")} == seen


def test_broken_links_are_found(tmp_path):
    (tmp_path / "index.html").write_text(
        '<h1 id="here">x</h1><a href="gone.html">1</a><a href="#there">2</a><a href="#here">ok</a>'
        '<a href="http://plain.example">3</a><a href="https://github.com/a">ok</a>'
        '<a href="javascript:x">4</a><span data-file="no/such/file.py">5</span>'
        '<span data-file="pyproject.toml">ok</span><img src="no.png">'
    )
    faults = links.broken(tmp_path)
    wrong = ["gone.html", "#there", "http://plain.example", "javascript:x", "no.png", "no/such/file.py"]
    assert [f.removeprefix("index.html: ").rpartition(": ")[0] for f in faults] == wrong


def test_headings_get_the_anchors_that_github_gives():
    assert build.slug("What would change: `C1` & more") == "what-would-change-c1--more"


def test_links_between_pages_are_relative_to_the_page():
    source = build.Source("docs/rules/x.md", "docs/rules/x.html")
    parser = build._parser()
    text = "[a](index.md) [b](../json.md#keys) [c](../../README.md) [d](../../checkers/x.py)"
    tokens = parser.parse(text)
    build._rewrite_links(tokens, source, {"docs/rules/index.md", "docs/json.md", "README.md"})
    html = parser.renderer.render(tokens, parser.options, {})
    assert 'href="../../docs/rules/index.html"' in html
    assert 'href="../../docs/json.html#keys"' in html
    assert 'href="../../index.html"' in html
    assert '<span data-file="checkers/x.py">d</span>' in html
