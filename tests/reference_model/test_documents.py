"""Offences of size, as the auditor sees them: in the log and the folder that a run leaves."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path

import pytest

from checkers import registry
from checkers.finding import Strength
from checkers.subject import Subject
from harness.folder import load_folder
from harness.logs import read
from harness.unpack import layers
from reference_model.export import (
    Description,
    export_script,
    read_log,
    readme,
    submission_json,
    without_places,
    write_helper,
)
from reference_model.offences import OFFENCES, config_of, twin_of
from reference_model.pipeline import run
from rules.model import Need

# offence -> whether its rule accuses, or only remarks upon it
SHOWN = {"mebibyte-cap": True, "oversize": True, "uncounted-code": False}


def accused(config, folder):
    """Per evidence rule with findings about the folder that a run leaves: whether it accuses."""
    folder.mkdir()
    script = export_script(config, "Reference stack")
    (folder / "train_gpt.py").write_text(script)
    if config.counted_code != "all":
        write_helper(folder)
    run(config, script)
    log = without_places(Path("logs", f"{config.run_id}.txt").read_text(), config)
    (folder / "train_seed1337.log").write_text(log)
    about = Description("Reference stack", "One seed.", track="track_10min_16mb")
    runs = [read_log(1337, log)]
    (folder / "README.md").write_text(readme(about, config, runs))
    (folder / "submission.json").write_text(submission_json(about, runs))
    submission = load_folder(folder)
    peeled = layers(submission)
    subject = Subject(submission, peeled, read(submission, peeled), date(2026, 11, 1))
    checkers = [c for c in registry.discover() if c.kind is Need.EVIDENCE]
    found = [f for checker in checkers for f in checker.check(subject).findings]
    strong = {f.rule for f in found if f.strength is not Strength.REMARK}
    return {f.rule: f.rule in strong for f in found}


@pytest.mark.parametrize("name", SHOWN)
def test_an_offence_of_size_is_seen_in_its_record_and_not_in_its_twins(name, small, tmp_path):
    quick = dataclasses.replace(small, iterations=1, eval_stride=64)
    rule = OFFENCES[name].rule
    assert accused(config_of(name, quick), tmp_path / "offends").get(rule) is SHOWN[name]
    assert rule not in accused(twin_of(name, quick), tmp_path / "honest")
