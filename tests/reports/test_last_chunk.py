"""The last chunk of test-time training: remarked upon, corrected, and the correction audited again."""

from pathlib import Path

import pytest

import audit
from harness.folder import load_folder

CASES = Path(__file__).resolve().parents[1] / "cases" / "score-after-update"
OPTIONS = audit.Options(run=False)
WALK = """def walk(model, tokens):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    total, count = torch.zeros(()), 0
    chunks = (len(tokens) - 1) // SEQ
    for chunk in range(chunks):
        start = chunk * SEQ
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            total += F.cross_entropy(model(x), y, reduction="sum")
        count += SEQ
        adapt(model, optimizer, x, y)
    return float(total / count)


def adapt(model, optimizer, x, y):
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()


"""
GUARDED = WALK.replace(
    "        adapt(", "        last = chunk == chunks - 1\n        if not last:\n            adapt("
)
LEFT = WALK.replace("        adapt(", "        if chunk + 1 == chunks:\n            break\n        adapt(")
WITHOUT = WALK.replace("        adapt(model, optimizer, x, y)\n", "")


def submission(tmp_path, walk):
    source = (CASES / "violates_train_then_score_each_chunk.py").read_text()
    before, _, rest = source.partition("def walk(")
    folder = tmp_path / "2026-04-01_Chunks"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(before + walk + "def main(" + rest.partition("def main(")[2])
    return load_folder(folder)


def remarks(done):
    (rule,) = [r for r in done.decision.rules if r.rule.slug == "score-after-update"]
    return rule.verdict.value, [f.where.line for f in rule.findings]


def test_training_on_the_last_chunk_is_remarked_upon_and_corrected(tmp_path):
    done = audit.audit(submission(tmp_path, WALK), OPTIONS)
    verdict, (line,) = remarks(done)
    assert verdict == "PASS"
    (fix,) = audit.corrections(done, OPTIONS).values()
    assert (fix.start_line, fix.end_line, fix.cleared) == (line, line, ("score-after-update",))
    assert fix.replacement == ("        if chunk < chunks - 1:\n            adapt(model, optimizer, x, y)")


@pytest.mark.parametrize("walk", [GUARDED, LEFT, WITHOUT], ids=["guarded", "left", "no training"])
def test_a_guarded_loop_gets_no_remark(tmp_path, walk):
    assert remarks(audit.audit(submission(tmp_path, walk), OPTIONS)) == ("PASS", [])
