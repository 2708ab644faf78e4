"""The reference stack under the instrumented run: offences are shown, honest configurations are silent."""

import dataclasses

import pytest

from checkers.runtime import _independence
from harness import runner
from harness.folder import load_folder
from harness.record import Experiment, Holds, Outcome
from harness.unpack import layers
from harness.world import Stream
from reference_model.bundle import bundle
from reference_model.config import Config, tiny
from reference_model.offences import config_of, twin_of

PLACES = {
    "data_path": "./data/datasets/fineweb10B_sp1024",
    "tokenizer_path": "./data/tokenizers/fineweb_1024_bpe.model",
}

# offence -> experiments that show it, each by itself
SHOWN = {
    "update-before-score": {"prefix", "order"},
    "cascade": {"prefix", "order"},
    "best-of-epochs": {"prefix"},
    "prequant-ttt": {"independence"},
    "slot-scored": {"prefix", "order"},
    "slot-scored-lion": {"prefix", "order"},
    "slot-scored-phi": {"prefix"},
    "hashed-cache": {"noise", "kraft"},
    "wrong-denominator": {"noise", "kraft"},
    "entropy-skip": {"noise"},
    "hindsight-gate": {"noise", "kraft"},
    "two-pass-cache": {"noise", "kraft", "prefix"},
    "validation-in-calibration": {"independence"},
    "paid-prefix": {"noise", "kraft"},
    "training-data-at-evaluation": {"budget"},
    "non-causal-layer": {"prefix"},
    "space-counted-twice": {"bytes"},
    "byte-fallback-as-three": {"bytes"},
    "no-space-token": {"bytes"},
    "transformed-bytes": {"bytes"},
}
HONEST = {
    "legal": tiny(),
    "score-first TTT": tiny(score="ttt"),
    "exact n-gram mixture": tiny(score="ngram"),
    "normalized entropy skip": twin_of("entropy-skip", tiny()),
    "bytes of the restored text": twin_of("transformed-bytes", tiny()),
    "context SLOT": tiny(score="slot-context"),
    "prefix gate": tiny(score="prefix-gate"),
    "GPTQ on self-made samples": twin_of("validation-in-calibration", tiny()),
}


def experiments(config: Config, folder, reaching: bool = False) -> dict[str, Experiment]:
    folder.mkdir()
    script = bundle(dataclasses.replace(config, **PLACES), "Reference stack")
    (folder / "train_gpt.py").write_text(script)
    submission = load_folder(folder)
    options = runner.RunOptions(seconds=400.0, val=Stream(tokens=2049, seed=3))
    options = runner.reaching(options) if reaching else options
    record = runner.run(submission, layers(submission), None, options)
    assert record.outcome is Outcome.COMPLETED, record.blocker
    return {e.name: e for e in record.experiments}


def results(found: dict[str, Experiment]) -> dict[str, Holds]:
    return {name: e.result for name, e in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_an_offence_is_shown_by_a_counterexample(name, tmp_path):
    found = results(experiments(config_of(name, tiny()), tmp_path / "record"))
    violated = {k for k, result in found.items() if result is Holds.VIOLATED}
    assert violated >= SHOWN[name], found


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_configuration_holds_everywhere(name, tmp_path):
    found = results(experiments(HONEST[name], tmp_path / "record"))
    assert {k: r for k, r in found.items() if r is not Holds.HOLDS} == {}


@pytest.mark.slow
def test_random_windows_of_validation_are_met_where_training_goes_further(tmp_path):
    found = experiments(config_of("validation-in-training", tiny()), tmp_path / "record", reaching=True)
    assert found["independence"].result is Holds.VIOLATED
    assert _independence.cause(found["independence"]) == "validation-in-training"


@pytest.mark.slow
def test_training_that_goes_further_on_its_own_shards_holds_everywhere(tmp_path):
    found = results(experiments(tiny(), tmp_path / "record", reaching=True))
    assert {k: r for k, r in found.items() if r is not Holds.HOLDS} == {}
