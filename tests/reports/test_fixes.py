"""Corrections: each codemod does its one thing, and nothing is offered that a new audit does not clear."""

import ast
import hashlib
from dataclasses import replace

import pytest
from test_json_v1 import FOLDER, SCRIPT, an_audit

from checkers.finding import Evidence, Finding, Kind, Location, Strength
from harness.unpack import Layer
from reports import fixes
from reports.fixes import guard, order, space
from rules.model import Verdict

REPLACED = """\
def table(sp):
    for i in range(sp.vocab_size()):
        piece = sp.id_to_piece(i)
        sizes[i] = len(piece.replace("\\u2581", " ").encode("utf-8"))  # the table
"""
ADDED = REPLACED.replace('piece.replace("\\u2581", " ").encode("utf-8"))', 'piece[1:].encode("utf-8")) + 1')
LOOP = """\
def evaluate(model, chunks):
    for ci in range(num_chunks):
        x, y = chunk(ci)
        for epoch in range(3):
            loss = model(x, y)
            loss.backward()
            opt.step()
        # the score
        with torch.no_grad():
            total += model(x, y).item()
    return total
"""
FLAT = """\
def evaluate(model, chunks):
    for x, y in chunks:
        loss = model(x, y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        total += score(model, x, y)
"""
PROPER = """\
def adapt(model, ci):
    opt.step()


def evaluate(model):
    for ci in range(len(chunks)):
        total += score(model, ci)
        adapt(model, ci)
"""


def finding(line, *related, rule="score-after-update", path=SCRIPT):
    places = tuple(Location(path, line=n, layer=path) for n in related)
    where = Location(path, line=line, layer=path, excerpt=f"line {line}")
    return Finding(rule, "m", where, Evidence(Kind.STATIC, "s"), Strength.CONVICTS, 0.9, related=places)


def line_of(source, text):
    return source[: source.index(text)].count("\n") + 1


@pytest.mark.parametrize("source", [REPLACED, ADDED])
def test_the_space_leaves_the_table(source):
    edit = space.count_once(source, finding(4))
    changed = [b for a, b in zip(source.split("\n"), edit.text.split("\n"), strict=True) if a != b]
    assert len(changed) == 1
    assert "# the table" in changed[0]
    for piece, size in (("\u2581the", 3), ("the", 3), ("\u2581", 0)):
        if source is REPLACED or piece.startswith("\u2581"):
            sizes = {}
            scope = {"sizes": sizes, "piece": piece, "i": 0}
            exec(changed[0].strip(), scope)
            assert sizes == {0: size}


def test_a_place_may_be_the_whole_function_that_builds_the_table():
    found = finding(40, rule="double-counted-space")
    table = Location(SCRIPT, line=1, end_line=4, layer=SCRIPT)
    assert space.count_once(ADDED, replace(found, related=(table,))) is not None
    assert space.count_once(ADDED + ADDED, replace(found, related=(replace(table, end_line=8),))) is None


def test_an_unmarked_line_is_left_alone():
    assert space.count_once(REPLACED, finding(1, rule="double-counted-space")) is None


def test_the_update_moves_behind_the_score():
    edit = order.update_after_score(LOOP, finding(line_of(LOOP, "total +="), line_of(LOOP, "opt.step")))
    moved = edit.text
    ast.parse(moved)
    assert moved.index("total +=") < moved.index("loss.backward()") < moved.index("return total")
    assert sorted(moved.split()) == sorted(LOOP.split())


def test_a_flat_update_moves_as_a_whole():
    edit = order.update_after_score(FLAT, finding(line_of(FLAT, "total +="), line_of(FLAT, "opt.zero_grad")))
    body = [line.strip() for line in edit.text.strip().split("\n")][2:]
    assert body[0].startswith("total +=")
    assert body[1:] == ["loss = model(x, y)", "loss.backward()", "opt.step()", "opt.zero_grad()"]


def test_a_score_that_needs_the_update_is_not_swapped():
    source = FLAT.replace("score(model, x, y)", "loss.item()")
    assert order.update_after_score(source, finding(7, 6)) is None


def test_places_in_different_functions_are_not_swapped():
    source = "def a():\n    opt.step()\n\n\ndef b():\n    total += score()\n"
    assert order.update_after_score(source, finding(6, 2)) is None


def test_the_last_chunk_is_spared():
    edit = guard.spare_last_chunk(PROPER, finding(line_of(PROPER, "        adapt")))
    assert "        if ci < (len(chunks)) - 1:\n            adapt(model, ci)\n" in edit.text


def test_a_score_is_never_guarded():
    assert guard.spare_last_chunk(PROPER, finding(line_of(PROPER, "total +="))) is None


def test_what_cannot_be_parsed_is_left_alone():
    for codemod in (space.count_once, order.update_after_score, guard.spare_last_chunk):
        assert codemod("def (:", finding(1, 1)) is None


# --- offering ---------------------------------------------------------------------------------


def audited(source, found, layer=SCRIPT):
    audit = an_audit()
    submission = replace(audit.submission, reader=lambda path: source.encode())
    (failed, *others) = audit.decision.rules
    rules = (replace(failed, findings=(found,)), *others)
    return replace(
        audit,
        submission=submission,
        layers=(Layer(layer, SCRIPT, source, source),),
        decision=replace(audit.decision, rules=rules),
    )


def always(verdict, **others):
    """An audit that accuses the submission as it is, and says this about a corrected one."""

    def again(submission):
        if submission.text(SCRIPT).replace("\u202e", "").replace("  ", " ") == LOOP.replace("  ", " "):
            return {"score-after-update": Verdict.FAIL}
        return {"score-after-update": verdict, **others}

    return again


def swapped():
    found = finding(line_of(LOOP, "total +="), line_of(LOOP, "opt.step"))
    return found, audited(LOOP, found)


def test_a_correction_that_clears_the_rule_is_offered():
    _found, audit = swapped()
    seen = []

    def again(submission):
        seen.append(submission)
        return {"score-after-update": Verdict.FAIL if len(seen) == 1 else Verdict.PASS}

    (fix,) = fixes.offer(audit, again).values()
    lines = LOOP.split("\n")
    applied = [*lines[: fix.start_line - 1], *fix.replacement.split("\n"), *lines[fix.end_line :]]
    assert "\n".join(applied) == seen[1].text(SCRIPT)
    assert fix.cleared == ("score-after-update",)
    assert seen[1].text(SCRIPT).index("total +=") < seen[1].text(SCRIPT).index("opt.step")


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.PASS])
def test_a_correction_that_does_not_clear_the_rule_is_not_offered(verdict):
    _, audit = swapped()
    assert fixes.offer(audit, always(verdict)) == {}


def test_a_correction_that_breaks_another_rule_is_not_offered():
    _, audit = swapped()
    assert fixes.offer(audit, always(Verdict.PASS, other=Verdict.REVIEW)) == {}


def test_what_the_second_audit_cannot_see_is_not_called_cleared():
    _, audit = swapped()
    assert fixes.offer(audit, lambda submission: {"score-after-update": Verdict.PASS}) == {}


def test_nothing_is_offered_inside_a_packed_layer():
    found = finding(line_of(LOOP, "total +="), line_of(LOOP, "opt.step"))
    packed = replace(found, where=replace(found.where, layer=f"{SCRIPT}!1"))
    assert fixes.offer(audited(LOOP, packed), always(Verdict.PASS)) == {}


def test_nothing_hidden_is_offered():
    source = LOOP.replace("# the score", "# the \u202e score")
    found = finding(line_of(source, "total +="), line_of(source, "opt.step"))
    assert fixes.offer(audited(source, found), always(Verdict.PASS)) == {}


def test_a_patched_submission_has_the_new_file_with_its_own_identity():
    submission = fixes.patched(an_audit().submission, SCRIPT, "new\n")
    assert submission.text(SCRIPT) == "new\n"
    assert submission.text(f"{FOLDER}/other") != "new\n"
    (entry,) = submission.entries
    assert (entry.size, entry.oid) == (4, hashlib.sha1(b"blob 4\0new\n").hexdigest())
