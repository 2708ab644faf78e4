"""The view orders and words; everything a reader is told comes from it."""

from msgspec.structs import replace
from report_samples import sample, with_text

from reports import claims, excerpt, view, words
from reports.shape_v1 import Place


def test_worst_comes_first():
    shown = view.build(sample("fail_run"))
    ranks = [words.rank(item.verdict, words.VERDICT_ORDER) for item in shown.items]
    assert ranks == sorted(ranks)
    assert [i.strength for i in shown.items if i.rule == "score-after-update"] == ["violation", "suspicion"]
    assert [i.number for i in shown.items] == list(range(1, len(shown.items) + 1))


def test_order_does_not_depend_on_the_order_of_the_record():
    audit = sample("fail_run")
    backwards = replace(audit, rules=tuple(reversed(audit.rules)))
    assert view.build(backwards) == view.build(audit)


def test_conditions_stand_in_their_own_order_and_tell_the_worst():
    shown = view.build(sample("fail_run"))
    assert [c.short for c in shown.conditions][:3] == ["C1", "C2", "C3"]
    verdicts = {c.short: c.verdict for c in shown.conditions}
    assert verdicts["C3"] == "FAIL"
    assert verdicts["C1"] == "REVIEW"
    assert verdicts["TIME"] == "INCONCLUSIVE"
    assert verdicts["FORMAT"] == "NOT_APPLICABLE"


def test_a_failing_rule_says_what_would_change_the_verdict():
    shown = view.build(sample("fail_run"))
    failed = [r.rule for r in sample("fail_run").rules if r.verdict == "FAIL"]
    assert all(rule in shown.would_change[0] for rule in failed)
    assert "for a counterexample" in shown.would_change[0]


def test_a_pass_without_a_run_says_that_nothing_was_run():
    shown = view.build(sample("pass_read"))
    assert any("only read" in line for line in shown.would_change)
    assert "The submission's code was read, not run." in shown.not_checked


def test_cleared_suspicions_are_shown_apart():
    shown = view.build(sample("fail_run"))
    assert [i.rule for i in shown.cleared] == ["cross-document-smear"]
    assert all(i.rule != "cross-document-smear" for i in shown.items)


def test_plain_lines_link_to_the_commit_and_packed_ones_do_not():
    plain = view.build(sample("fail_run")).items[0].spot
    packed = view.build(sample("review_packed")).items[0].spot
    assert plain.url.endswith("/train_gpt.py#L1187")
    assert packed.url == ""
    assert packed.where == "train_gpt.py!1:1"


def test_a_forged_commit_is_not_linked():
    forged = replace(sample("fail_run"), head='x" onclick="y')
    assert all(i.spot.url == "" for i in view.build(forged).items)


def test_only_a_replay_repeats_a_single_finding():
    items = view.build(sample("fail_run")).items
    assert items[0].rerun.endswith("--replay kraft-3040")
    assert [i.rerun for i in items if i.proof_kind == "read in the code"] == ["", ""]


def test_evidence_does_not_repeat_the_message():
    audit = with_text("The key holds the target.")
    (item,) = view.build(audit).items
    assert (item.message, item.proof) == ("The key holds the target.", "")


def test_a_counterexample_is_told_before_what_was_read():
    audit = sample("fail_run")
    rule = next(r for r in audit.rules if len(r.findings) > 1)
    read, run = (
        replace(f, strength="convicts", confidence=c, evidence=replace(f.evidence, kind=k))
        for f, c, k in zip(rule.findings[:2], (0.99, 0.7), ("static", "counterexample"), strict=True)
    )
    changed = replace(audit, rules=(replace(rule, findings=(read, run)),))
    shown = view.build(changed).items
    assert [i.proof_kind for i in shown] == ["shown by a counterexample", "read in the code"]


def test_findings_of_a_rule_stand_together_and_repeats_are_brief():
    audit = sample("fail_run")
    shown = view.build(audit).items
    slugs = [i.rule for i in shown]
    assert [s for n, s in enumerate(slugs) if s not in slugs[:n]] == list(dict.fromkeys(slugs))
    doubled = replace(audit, rules=tuple(replace(r, findings=r.findings * 2) for r in audit.rules))
    items = view.build(doubled).items
    starts = [n for n, i in enumerate(items) if i.first_of_rule]
    assert len({i.rule for i in items}) == len(starts)
    assert sum(i.brief for i in items) >= len(shown)


def test_a_limit_or_a_form_is_no_accusation_of_the_score():
    assert words.headline("FAIL", {"C1_causality", "SIZE"}) == words.HEADLINE["FAIL"]
    assert words.headline("FAIL", {"SIZE", "FORMAT"}) == words.FAIL_OF_LIMITS
    assert words.headline("FAIL", {"FORMAT", "STATS"}) == words.FAIL_OF_FORM
    assert words.headline("FAIL", set()) == words.HEADLINE["FAIL"]


def test_rules_that_share_a_reason_share_a_line():
    audit = sample("fail_run")
    first, second = (r.rule for r in audit.rules[:2])
    lines = (f"{first}: no run", f"{second}: no run", "The code was read.", "a: b")
    shown = view.build(replace(audit, not_checked=lines))
    assert shown.not_checked == (f"{first} and {second}: no run", "The code was read.", "a: b")


def test_the_lead_stands_before_the_excerpt_and_has_no_caret():
    place = Place(path="a.py", line=9, column=5, lead="  a = 1\n    b = 2", excerpt="    b.step()")
    lines = excerpt.excerpt_lines(place)
    assert [(x.number, x.text, x.caret) for x in lines] == [
        (7, "a = 1", -1),
        (8, "  b = 2", -1),
        (9, "  b.step()", 2),
    ]


def test_remarks_stand_apart():
    audit = sample("fail_run")
    rules = tuple(
        replace(r, findings=tuple(replace(f, strength="remark") for f in r.findings)) for r in audit.rules
    )
    shown = view.build(replace(audit, rules=rules))
    assert shown.items == ()
    assert len(shown.remarks) == 5


def test_long_lines_are_cut_around_the_column():
    place = Place(path="x", line=1, column=3001, excerpt="  " + "a" * 2998 + "HERE" + "b" * 3000)
    (line,) = excerpt.excerpt_lines(place)
    assert len(line.text) == excerpt.WIDTH
    assert line.text[line.caret :].startswith("HERE")


def test_common_indentation_is_dropped_and_the_caret_follows():
    place = Place(path="x", line=9, column=13, excerpt="        x = y\n            z")
    first, second = excerpt.excerpt_lines(place)
    assert (first.text, first.caret, second.text) == ("x = y", 4, "    z")


def test_an_excerpt_of_a_mere_expression_is_marked_at_its_start():
    (line,) = excerpt.excerpt_lines(Place(path="x", line=9, column=30, excerpt="table[key]"))
    assert line.caret == 0


def test_claims_stand_side_by_side():
    table = claims.table(sample("fail_run").claims)
    assert table.head == ("submission.json", "README", "log", "recomputed")
    assert table.rows[0] == ("val_bpb", "1.0713", "1.0713", "1.0731", "1.0731")


def test_commands_are_repeated_without_report_options_and_posted_without_paths():
    command = "golf-audit check --repo /home/me/clone --pr 5 --out x --format md,html --strict -q"
    assert words.repeatable(command) == "golf-audit check --repo /home/me/clone --pr 5 --strict"
    assert words.public(command).startswith("golf-audit check --repo CLONE --pr 5")


def test_words_count_and_list():
    assert words.count(1, "rule") == "1 rule"
    assert words.count(2059, "head") == "2,059 heads"
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.listed(list("abcdefgh"), limit=2) == "a, b and 6 more"


def test_every_condition_of_the_rulebook_has_words():
    from rules.model import Condition, Verdict

    assert set(words.CONDITIONS) == {c.value for c in Condition}
    assert set(words.VERDICT_ORDER) == set(words.HEADLINE) == set(words.SYMBOL) == {v.value for v in Verdict}


def test_paths_keep_their_first_letter_and_lose_the_folder():
    audit = sample("fail_run")
    rule = next(r for r in audit.rules if r.findings)
    found = replace(rule.findings[0], message=f"{audit.folder}/train_gpt.py does not parse")
    (item,) = view.build(replace(audit, rules=(replace(rule, findings=(found,)),))).items
    assert item.message == "train_gpt.py does not parse."


def test_an_experiment_and_its_rule_share_their_reason():
    audit = sample("fail_run")
    slug, name = audit.rules[0].rule, audit.run.experiments[0].name
    lines = (f"Experiment {name}: out of time", f"{slug}: out of time")
    shown = view.build(replace(audit, not_checked=lines))
    assert shown.not_checked == (f"Experiment {name} and {slug}: out of time",)


def test_a_pass_says_what_would_change_it():
    audit = replace(sample("fail_run"), verdict="PASS", rules=())
    assert "counterexample" in view.build(audit).would_change[0]
    assert "instrumented run" in view.build(sample("pass_read")).would_change[0]


def test_seeds_stand_in_the_same_order_in_every_column():
    table = claims.table(
        {"submission.json": {"s": {"42": 1.0, "7": 2}}, "log": {"s": {"7": 2, "42": 1.08123}}}
    )
    assert table.rows == (("s", "7: 2, 42: 1", "7: 2, 42: 1.08123"),)


def test_one_quantity_has_one_row_however_a_source_spells_it():
    table = claims.table({"submission.json": {"train_seconds": 600}, "log": {"train seconds": 599.8}})
    assert table.rows == (("train seconds", "600", "599.8"),)


def test_findings_are_counted_by_their_strength():
    assert view.build(sample("fail_run")).counted == "2 violations, 3 suspicions"
    assert view.build(sample("pass_read")).counted == ""
