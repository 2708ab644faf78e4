"""A block whose lines the log of the claimed run lacks is suspected of an offence, not convicted."""

import pytest

from checkers.finding import Strength
from checkers.static import score_after_update
from tests.checkers.static_cases import CASES, subject

SCRIPT = (CASES / "score-after-update/violates_whole_file_first.py").read_text()
TOLD = {
    "def main():": '    print("reading training tokens")',
    "    train(model, ": '    print("training is finished")',
    "    save(model)": '    print("model was serialized")',
    "    model = load()": '    print("model was read back")',
}
RUN = ["reading training tokens", "training is finished", "model was serialized", "model was read back"]
FINAL = "final val_loss:0.800000 val_bpb:1.154156"


def script(adapting="def adapt(model, tokens):"):
    """The case, with a line for every stage; ``adapting`` is the line below which adaptation is announced."""
    lines = []
    for line in SCRIPT.splitlines():
        lines.append(line)
        lines += [said for start, said in TOLD.items() if line.startswith(start)]
        if line == adapting:
            indent = len(line) - len(line.lstrip()) + 4 * line.endswith(":")
            lines.append(" " * indent + 'print(f"adapting on {len(tokens)} tokens")')
    return "\n".join(lines)


def strengths(tmp_path, text, log, bpb=1.154156):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(text)
    (folder / "submission.json").write_text(f'{{"val_bpb": {bpb}}}')
    (folder / "README.md").write_text("# A case of our own")
    if log:
        (folder / "train.log").write_text("\n".join(log))
    return score_after_update.check(subject(folder, tmp_path)).findings


@pytest.mark.parametrize(
    "place", ["def adapt(model, tokens):", "        for start in range(0, len(tokens) - SEQ - 1, SEQ):"]
)
def test_a_block_that_the_log_lacks_is_suspected(tmp_path, place):
    (finding,) = strengths(tmp_path, script(place), [*RUN, FINAL])
    assert finding.strength is Strength.SUSPECT
    assert "has no line" in finding.reach


@pytest.mark.parametrize(
    ("text", "log", "bpb"),
    [
        (script(), [*RUN, "adapting on 62021632 tokens", FINAL], 1.154156),
        (script(), [FINAL], 1.154156),  # an excerpt
        (script(), [], 1.154156),
        (script(), [*RUN, FINAL], 1.1),  # the log of another run
        (script("nowhere"), [*RUN, FINAL], 1.154156),  # nothing is announced
    ],
    ids=["heard", "excerpt", "no log", "another run", "says nothing"],
)
def test_what_the_log_does_not_deny_convicts(tmp_path, text, log, bpb):
    assert [f.strength for f in strengths(tmp_path, text, log, bpb)] == [Strength.CONVICTS]


def test_what_goes_to_the_screen_alone_cannot_be_missed_in_a_log(tmp_path):
    text = (
        script()
        .replace('print("', 'log0("')
        .replace("def report(", "def log0(text):\n    print(text)\n\n\ndef report(")
    )
    assert [f.strength for f in strengths(tmp_path, text, [*RUN, FINAL])] == [Strength.CONVICTS]


def test_a_function_that_is_called_from_elsewhere_too_convicts(tmp_path):
    call = "    adapt(model, tokens)"
    again = f'    if True:\n        print("once more, with feeling")\n    {call}'
    text = script("nowhere").replace(call, f"{call}\n{again}")
    assert [f.strength for f in strengths(tmp_path, text, [*RUN, FINAL])] == [Strength.CONVICTS]
