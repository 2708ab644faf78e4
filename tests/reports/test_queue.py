"""The queue: rows, script families, changes between sweeps, the database and its documented queries."""

import json
import re
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from report_samples import sample, with_text

from reports import json_v1, lineage, write_queue
from reports.queue.rows import read_rows
from reports.shape_v1 import Script

DOCS = Path(__file__).resolve().parents[2] / "docs" / "queue.md"
SOURCE = "\n".join(f"def layer_{n}(x, w):\n    return torch.relu(x @ w[{n}]) * {n}" for n in range(80))


def script(source, oid):
    return Script(path="train_gpt.py", oid=oid, sketch=lineage.sketch(source))


def heads():
    fail, review, passed = sample("fail_run"), sample("review_packed"), sample("pass_read")
    edited = SOURCE.replace("layer_7(", "renamed(")
    return [
        replace(fail, pr=10, head="a" * 40, script=script(SOURCE, "1" * 40)),
        replace(review, pr=11, head="b" * 40, script=script(SOURCE, "1" * 40)),
        replace(passed, pr=12, head="c" * 40, script=script(edited, "2" * 40)),
        replace(passed, pr=13, head="d" * 40, script=script("x = 1\n" * 3 + "other(code, here)", "3" * 40)),
        replace(sample("inconclusive"), pr=14, head="e" * 40),
    ]


def sweep(folder, audits):
    folder.mkdir(exist_ok=True)
    (folder / "results.jsonl").write_bytes(b"".join(json_v1.dump(a, indent=0) for a in audits))
    return write_queue(folder)


def query(folder, sql):
    with sqlite3.connect(folder / "queue.sqlite") as db:
        return db.execute(sql).fetchall()


def data(folder):
    page = (folder / "index.html").read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_a_sweep_leaves_a_page_and_a_database(tmp_path):
    written = sweep(tmp_path, heads())
    assert [p.name for p in written] == ["index.html", "queue.sqlite"]
    assert [row["p"] for row in data(tmp_path)] == [10, 11, 12, 13, 14]


def test_identical_and_similar_scripts_are_one_family(tmp_path):
    sweep(tmp_path, heads())
    families = dict(query(tmp_path, "SELECT pr, lineage FROM audits"))
    assert families[10] == families[11] == families[12] != families[13]
    assert families[14] == 0
    assert query(tmp_path, "SELECT heads, scripts, split FROM lineages LIMIT 1") == [(3, 2, 1)]


def test_the_queue_view_has_the_worst_first(tmp_path):
    sweep(tmp_path, heads())
    assert [v for _, v in query(tmp_path, "SELECT pr, verdict FROM queue")][:2] == ["FAIL", "REVIEW"]


def test_rules_are_counted(tmp_path):
    sweep(tmp_path, heads())
    counts = {r: (f, v) for r, f, v in query(tmp_path, "SELECT rule, fail, review FROM rule_counts")}
    assert counts["score-after-update"] == (1, 0)
    assert counts["double-counted-space"] == (0, 1)


def test_findings_and_experiments_are_stored(tmp_path):
    sweep(tmp_path, heads())
    assert query(tmp_path, "SELECT count(*) FROM findings") == [(6,)]
    assert query(tmp_path, "SELECT result FROM experiments WHERE name = 'kraft'") == [("violated",)]


def test_the_second_sweep_tells_what_changed(tmp_path):
    first = heads()
    sweep(tmp_path, first)
    assert query(tmp_path, "SELECT * FROM changed") == []
    second = [
        replace(first[0], verdict="PASS"),
        replace(first[1], head="f" * 40),
        *first[2:],
        replace(first[2], pr=99),
    ]
    sweep(tmp_path, second)
    changed = query(tmp_path, "SELECT pr, was_verdict, verdict FROM changed")
    assert changed == [(10, "FAIL", "PASS"), (11, "REVIEW", "REVIEW"), (99, "new", "PASS")]
    assert [row["p"] for row in data(tmp_path) if row["c"]] == [10, 11, 99]
    sweep(tmp_path, second)  # a sweep that only repeats the second goes on telling what that changed
    assert query(tmp_path, "SELECT pr, was_verdict, verdict FROM changed") == changed
    sweep(tmp_path, first)
    assert query(tmp_path, "SELECT pr, was_verdict, verdict FROM changed")[0] == (10, "PASS", "FAIL")


def test_a_broken_older_database_is_no_obstacle(tmp_path):
    tmp_path.joinpath("queue.sqlite").write_bytes(b"not a database at all, whatever its name says" * 30)
    sweep(tmp_path, heads())
    assert query(tmp_path, "SELECT count(*) FROM audits") == [(5,)]


def test_the_same_results_give_the_same_page(tmp_path):
    sweep(tmp_path / "one", heads())
    sweep(tmp_path / "two", heads())
    assert (tmp_path / "one/index.html").read_bytes() == (tmp_path / "two/index.html").read_bytes()


def test_documented_queries_run_and_answer(tmp_path):
    sweep(tmp_path, heads())
    queries = re.findall(r"```sql\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(queries) == 3
    assert [len(query(tmp_path, q)) for q in queries] == [1, 1, 0]


def test_a_family_counts_heads_and_not_findings(tmp_path):
    review = sample("review_packed")
    rules = tuple(replace(r, findings=r.findings * 3) for r in review.rules)
    twins = [replace(review, pr=n, rules=rules, script=script(SOURCE, "1" * 40)) for n in (20, 21)]
    sweep(tmp_path, twins)
    first = re.findall(r"```sql\n(.*?)```", DOCS.read_text(), re.DOTALL)[0]
    assert query(tmp_path, first) == [(1, 2, 20, "double-counted-space")]


def test_what_touches_the_score_stands_before_limits_and_form(tmp_path):
    fail = sample("fail_run")

    def failing(pr, condition):
        worst = next(r for r in fail.rules if r.verdict == "FAIL")
        return replace(fail, pr=pr, rules=(replace(worst, rule=f"rule-{pr}", condition=condition),))

    sweep(tmp_path, [failing(1, "FORMAT"), failing(2, "SIZE"), failing(3, "C3_score_before_update")])
    assert query(tmp_path, "SELECT pr FROM queue") == [(3,), (2,), (1,)]
    assert [row["k"] for row in data(tmp_path)] == [2, 1, 0]


def test_a_template_that_says_zero_claims_nothing(tmp_path):
    unset = {"submission.json": {"val_bpb": 0.0}, "log": {"val_bpb": 1.2}}
    sweep(tmp_path, [replace(sample("pass_read"), claims=unset)])
    assert query(tmp_path, "SELECT claimed_bpb FROM audits") == [(1.2,)]


def test_every_table_and_view_is_documented(tmp_path):
    sweep(tmp_path, heads())
    names = [n for (n,) in query(tmp_path, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    text = DOCS.read_text()
    assert all(f"| `{n}` |" in text for n in names if not n.startswith("sqlite_")), names


def test_a_bad_line_is_named(tmp_path):
    (tmp_path / "results.jsonl").write_bytes(b'{"verdict":"PASS"}\n[1]\n')
    with pytest.raises(json_v1.ReportError, match=r"results\.jsonl:2"):
        read_rows(tmp_path / "results.jsonl")


def test_hostile_text_cannot_leave_its_script_element(tmp_path):
    sweep(tmp_path, [with_text("</script><script>alert(1)</script>\u2028<!--")])
    page = (tmp_path / "index.html").read_text()
    assert page.count("<script") == 2
    assert "<!--" not in page
    assert data(tmp_path)[0]["m"].startswith("</script>")


@settings(max_examples=30, deadline=None)
@given(
    st.sets(st.integers(0, 400), min_size=80, max_size=200),
    st.sets(st.integers(0, 400), min_size=80, max_size=200),
)
def test_sketches_estimate_the_share_of_common_code(one, other):
    def words(numbers):
        return "\n".join(f"a{n} b{n} c{n} d{n} e{n} = {n};" for n in sorted(numbers))

    estimate = lineage.similarity(lineage.sketch(words(one)), lineage.sketch(words(other)))
    assert 0.0 <= estimate <= 1.0
    if one == other:
        assert estimate == 1.0


def test_the_estimate_is_near_the_true_similarity():
    tokens = [f"t{n}" for n in range(4000)]
    for kept in (1.0, 0.9, 0.5, 0.1):
        other = tokens[: int(4000 * kept)] + [f"u{n}" for n in range(4000 - int(4000 * kept))]
        truth = kept / (2 - kept)
        estimate = lineage.similarity(lineage.sketch(" ".join(tokens)), lineage.sketch(" ".join(other)))
        assert abs(estimate - truth) < 4 * (truth * (1 - truth) / 64) ** 0.5 + 0.02


def test_comments_and_spacing_do_not_matter():
    commented = SOURCE.replace("\n", "  # said\n\n")
    assert lineage.sketch(commented) == lineage.sketch(SOURCE)


def test_different_scripts_are_not_one_family():
    other = "\n".join(f"class Block{n}:\n    width = {n} + offset[{n}]" for n in range(80))
    assert lineage.group(["a", "b"], [lineage.sketch(SOURCE), lineage.sketch(other)]) == [1, 2]


def test_a_chain_of_small_changes_does_not_join_its_ends():
    """Everybody edits everybody's script; families must not grow together over a thousand edits."""
    tokens = [f"t{n}" for n in range(2000)]
    chain = [" ".join(f"u{n}" if n < 60 * step else t for n, t in enumerate(tokens)) for step in range(12)]
    sketches = [lineage.sketch(text) for text in chain]
    families = lineage.group([str(n) for n in range(12)], sketches)
    assert families[0] == families[1] == 1
    assert families[-1] != 1
    firsts = {family: families.index(family) for family in families}
    for n, family in enumerate(families):
        assert lineage.similarity(sketches[n], sketches[firsts[family]]) >= lineage.SIMILAR


def test_equal_blobs_stay_together_whatever_came_between():
    sketches = [lineage.sketch(SOURCE)] * 3
    assert lineage.group(["a", "b", "b"], [sketches[0], (), ()]) == [1, 2, 2]
