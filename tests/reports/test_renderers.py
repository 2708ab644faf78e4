"""Every format: golden output, its own grammar, and nothing hostile gets through."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif
from report_samples import HOSTILE, SAMPLES, assert_golden, sample, with_text

import reports
from reports import github_review, sarif
from reports.shape_v1 import Fix


def rendered(audit, name):
    return reports.render(audit, name)[1]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("form", ["md", "sarif", "json", "junit", "github-review"])
def test_golden(name, form):
    filename, content = reports.render(sample(name), form)
    assert_golden(f"{name}.{filename}", content)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("form", reports.FORMATS)
def test_rendering_twice_gives_the_same_bytes(name, form):
    assert rendered(sample(name), form) == rendered(sample(name), form)


def test_write_all_uses_the_customary_names(tmp_path):
    written = reports.write_all(sample("fail_run"), reports.FORMATS, tmp_path / "new")
    names = ["comment.md", "audit.json", "report.html", "audit.sarif", "review.json", "junit.xml"]
    assert [p.name for p in written] == names
    assert all(p.stat().st_size for p in written)


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="choose from"):
        reports.render(sample("pass_read"), "pdf")


# --- HTML -------------------------------------------------------------------------------------


OUR_TAGS = {
    "html",
    "head",
    "meta",
    "link",
    "title",
    "style",
    "body",
    "a",
    "header",
    "div",
    "span",
    "h1",
    "h2",
    "h3",
    "button",
    "p",
    "dl",
    "dt",
    "dd",
    "code",
    "nav",
    "ul",
    "li",
    "main",
    "section",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "br",
    "kbd",
    "article",
    "pre",
    "strong",
    "details",
    "summary",
    "footer",
    "script",
    "figure",
    "figcaption",
    "svg",
    "desc",
    "g",
    "rect",
    "text",
    "circle",
    "line",
    "polyline",
    "polygon",
}


class Page(HTMLParser):
    """Collects tags, attributes and text; fails on what could run or load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.scripts = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = dict(attrs)
        assert not any(name.startswith("on") for name in attributes), attributes
        assert tag not in {"iframe", "object", "embed", "img", "base", "form", "video", "audio"}
        if tag == "script":
            self.scripts += 1
            assert "src" not in attributes
        if tag == "link":
            assert attributes["href"] == "data:,"
        elif "href" in attributes:
            self.links.append(attributes["href"])


def page(audit):
    return Page(rendered(audit, "html").decode())


def test_hostile_text_in_the_html():
    found = page(with_text(HOSTILE))
    assert found.scripts == 1
    assert all(link.startswith("#") for link in found.links), found.links
    assert b"1235000" not in rendered(with_text("{{ 1235*1000 }}"), "html")


@settings(max_examples=25, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("<>&\"'/=`ascript:! -\n\x00\u202e")), min_size=1, max_size=40))
def test_any_text_in_the_html(text):
    found = page(with_text(text))
    assert found.scripts == 1
    assert set(found.tags) <= OUR_TAGS


@pytest.mark.parametrize("name", SAMPLES)
def test_links_lead_to_the_challenge_or_into_the_page(name):
    found = page(sample(name))
    for link in found.links:
        assert link.startswith(("#", "https://github.com/openai/parameter-golf/")), link


def test_pictures_have_titles_descriptions_and_tables():
    text = rendered(sample("fail_run"), "html").decode()
    assert text.count("<figure") == text.count("<figcaption>") == 7
    assert text.count('role="img"') == text.count("<desc") == 7
    assert text.count("The numbers of") == 7


def test_pictures_are_left_out_without_numbers():
    assert "<figure" not in rendered(sample("inconclusive"), "html").decode()


def test_the_policy_names_exactly_our_style_and_script():
    text = rendered(sample("pass_read"), "html").decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "default-src &#39;none&#39;" in policy
    assert policy.count("sha256-") == 2
    assert "unsafe" not in policy
    assert " style=" not in text


# --- SARIF ------------------------------------------------------------------------------------


def sarif_run(audit):
    log = json.loads(rendered(audit, "sarif"))
    Sarif.model_validate(log)  # generated from the official schema, unknown keys forbidden
    return log["runs"][0]


@pytest.mark.parametrize("name", SAMPLES)
def test_sarif_is_valid(name):
    run = sarif_run(sample(name))
    assert run["tool"]["driver"]["name"] == "golf-audit"
    assert len(run["tool"]["driver"]["rules"]) == len(sample(name).rules)


def test_sarif_levels_follow_verdict_and_strength():
    levels = [(r["ruleId"], r["level"]) for r in sarif_run(sample("fail_run"))["results"]]
    assert levels == [
        ("claim-log-mismatch", "warning"),
        ("kraft-sum-above-one", "error"),
        ("score-after-update", "error"),
        ("score-after-update", "warning"),
        ("target-in-cache-key", "warning"),
    ]


def test_sarif_tells_the_flow_from_training_to_scoring():
    result = next(
        r for r in sarif_run(sample("fail_run"))["results"] if "codeFlows" in r and r["level"] == "error"
    )
    steps = result["codeFlows"][0]["threadFlows"][0]["locations"]
    texts = [s["location"]["message"]["text"] for s in steps]
    assert texts == ["trained there", "called in this order", "scored again here"]
    assert [s["executionOrder"] for s in steps] == [1, 2, 3]


def test_sarif_flow_follows_the_steps_of_the_places():
    audit = sample("fail_run")
    rule = next(r for r in audit.rules if any(len(f.related) > 1 for f in r.findings))
    found = next(f for f in rule.findings if len(f.related) > 1)
    places = tuple(
        replace(p, step=s, caption=f"turn {s}") for p, s in zip(found.related, (3, 1), strict=False)
    )
    turned = replace(found, step=2, caption="turn 2", related=places)
    log = sarif_run(replace(audit, rules=(replace(rule, findings=(turned,)),)))
    steps = log["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [s["location"]["message"]["text"] for s in steps] == ["turn 1", "turn 2", "turn 3"]


def test_sarif_draws_no_flow_through_documents():
    results = {r["ruleId"]: r for r in sarif_run(sample("fail_run"))["results"]}
    assert "relatedLocations" in results["claim-log-mismatch"]
    assert "codeFlows" not in results["claim-log-mismatch"]


def test_sarif_paths_are_relative_and_quoted():
    run = sarif_run(with_text("/etc/pass wd#1%?"))
    uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert uri == {"uri": "etc/pass%20wd%231%25%3F", "uriBaseId": "SRCROOT"}


def test_sarif_points_at_the_packed_file_itself():
    place = sarif_run(sample("review_packed"))["results"][0]["locations"][0]
    assert place["physicalLocation"]["region"] == {"startLine": 1}
    assert place["logicalLocations"][0]["fullyQualifiedName"].endswith("train_gpt.py!1::build_tables")


def test_sarif_fingerprints_are_those_of_the_findings():
    audit = sample("fail_run")
    wanted = {f.fingerprint for r in audit.rules for f in r.findings}
    assert {r["partialFingerprints"]["golfAudit/v1"] for r in sarif_run(audit)["results"]} == wanted


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_sarif_is_valid_whatever_the_text(text):
    audit = with_text(text)
    if not text.strip():
        return
    Sarif.model_validate(json.loads(sarif.render(audit)))


# --- GitHub review ----------------------------------------------------------------------------

FIX = Fix(
    path="records/track_10min_16mb/2026-03-30_Cascade/train_gpt.py",
    start_line=1185,
    end_line=1187,
    replacement="\tscore()\n\ttrain()",
    description="The update now follows the score.",
    cleared=("score-after-update",),
)


def with_fix(audit):
    rules = [
        replace(r, findings=tuple(replace(f, fix=FIX) for f in r.findings))
        if r.rule == "score-after-update"
        else r
        for r in audit.rules
    ]
    return replace(audit, rules=tuple(rules))


def test_the_review_has_the_shape_that_github_takes():
    audit = sample("fail_run")
    review = github_review.review(audit)
    assert set(review) == {"commit_id", "event", "body", "comments"}
    assert review["event"] == "COMMENT"
    assert len(review["body"]) <= 65_000
    for comment in review["comments"]:
        assert set(comment) <= {"path", "line", "side", "body", "start_line", "start_side"}
        assert comment["path"] in {f.path for f in audit.files}
        assert comment["line"] >= 1


def test_findings_on_one_line_share_a_remark():
    review = github_review.review(sample("fail_run"))
    places = [(c["path"], c["line"]) for c in review["comments"]]
    assert len(places) == len(set(places))
    assert "kraft-sum-above-one" in review["comments"][0]["body"]
    assert "score-after-update" in review["comments"][0]["body"]


def test_only_added_files_and_plain_layers_get_inline_remarks():
    assert github_review.review(sample("review_packed"))["comments"] == []
    audit = sample("fail_run")
    modified = replace(audit, files=tuple(replace(f, change="modified") for f in audit.files))
    assert github_review.review(modified)["comments"] == []


def test_a_fix_becomes_a_suggestion_over_its_lines():
    comment = github_review.review(with_fix(sample("fail_run")))["comments"][0]
    assert (comment["start_line"], comment["line"]) == (1185, 1187)
    assert "```suggestion\n\tscore()\n\ttrain()\n```" in comment["body"]
    assert "no longer fires" in comment["body"]


def test_a_remark_is_posted_inline_only_with_its_correction():
    plain = sample("fail_run")
    rules = tuple(
        replace(r, verdict="PASS", findings=tuple(replace(f, strength="remark") for f in r.findings))
        for r in with_fix(plain).rules
    )
    corrected = replace(plain, verdict="PASS", rules=rules)
    bare = tuple(replace(r, findings=tuple(replace(f, fix=None) for f in r.findings)) for r in rules)
    assert "```suggestion" in github_review.review(corrected)["comments"][0]["body"]
    assert github_review.review(replace(corrected, rules=bare))["comments"] == []


def test_a_fix_is_in_sarif_too():
    run = sarif_run(with_fix(sample("fail_run")))
    fixes = [r["fixes"] for r in run["results"] if "fixes" in r]
    assert (
        fixes[0][0]["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"]
        == "\tscore()\n\ttrain()"
    )


# --- JUnit ------------------------------------------------------------------------------------


def test_junit_counts_add_up():
    suite = ET.fromstring(rendered(sample("fail_run"), "junit"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("10", "2", "2")
    assert len(suite.findall("testcase")) == 10
    assert len(suite.findall("testcase/failure")) == 2


def test_review_does_not_break_a_build():
    suite = ET.fromstring(rendered(sample("review_packed"), "junit"))
    assert suite.get("failures") == "0"
    assert "REVIEW" in suite.find("testcase/system-out").text


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=40))
def test_junit_is_well_formed_whatever_the_text(text):
    ET.fromstring(rendered(with_text(text), "junit"))
