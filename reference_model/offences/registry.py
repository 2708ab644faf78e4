"""The list of offences: which switches turn each on, which its honest twin, and which rule it breaks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reference_model.config import Config

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Offence:
    """One offence: its name, the slug of the rule it breaks, a sentence, and two sets of switches.

    ``disputed`` repeats that no organizer has ruled on it; ``ranks`` is how many ranks it takes to show.
    """

    name: str
    rule: str
    summary: str
    switches: Changes
    twin: Changes = field(default_factory=dict)
    disputed: bool = False
    ranks: int = 1


TTT: Changes = {"score": "ttt"}
NGRAM: Changes = {"score": "ngram"}
SLOT: Changes = {"score": "slot-context"}

LIST = (
    Offence(
        "update-before-score",
        "score-after-update",
        "train on each chunk, then charge it",
        {"score": "ttt-update-first"},
        TTT,
    ),
    Offence(
        "cascade",
        "rescored-validation",
        "a score-first stage, then charge everything again with its weights (#1246)",
        {"score": "cascade"},
        TTT,
    ),
    Offence(
        "best-of-epochs",
        "best-of-passes",
        "charge each token its least loss over the epochs",
        {"score": "best-of-epochs"},
        TTT,
    ),
    Offence(
        "prequant-ttt",
        "prequant-ttt",
        "train on validation before quantizing",
        {"before_quantization": "train-on-validation"},
    ),
    Offence(
        "slot-scored",
        "scored-region-slot",
        "fit a delta to the positions it then charges, AdamW",
        {"score": "slot-scored"},
        SLOT,
    ),
    Offence(
        "slot-scored-lion", "scored-region-slot", "the same with Lion", {"score": "slot-scored-lion"}, SLOT
    ),
    Offence(
        "slot-scored-phi",
        "scored-region-slot",
        "the same with AdamW, half of the probability given by rank in powers of the golden ratio (#1246)",
        {"score": "slot-scored-phi"},
        SLOT,
    ),
    Offence("slot-context", "context-slot", "fit a delta to positions charged before", SLOT, disputed=True),
    Offence(
        "hashed-cache",
        "target-in-cache-key",
        "look the target up in hashed counts",
        {"score": "ngram-hashed"},
        NGRAM,
    ),
    Offence(
        "wrong-denominator",
        "unnormalized-mixture",
        "divide a hashed count by the context's count",
        {"score": "ngram-wrong-denominator"},
        NGRAM,
    ),
    Offence(
        "entropy-skip",
        "unnormalized-mixture",
        "leave an unsure network out where the target's hashed ratio is high (#1246)",
        {"score": "ngram-entropy-skip"},
        {"score": "ngram", "ngram_weight": "entropy-skip-apm"},
    ),
    Offence(
        "hindsight-gate",
        "hindsight-gate",
        "take whichever expert charges the truth less",
        {"score": "hindsight-gate"},
        NGRAM,
    ),
    Offence(
        "target-gate",
        "target-attribute-gate",
        "mix by whether the target begins a word",
        {"score": "target-gate"},
        {"score": "prefix-gate"},
    ),
    Offence(
        "two-pass-cache",
        "rescored-validation",
        "fill the cache with everything, then charge everything",
        {"score": "two-pass"},
        NGRAM,
    ),
    Offence(
        "validation-in-training",
        "validation-in-training",
        "train on validation shards too",
        {"train_stream": "training-and-validation"},
    ),
    Offence(
        "validation-in-calibration",
        "calibration-on-validation",
        "run GPTQ's calibration on validation",
        {"gptq": True, "calibration": "validation"},
        {"gptq": True},
    ),
    Offence(
        "paid-prefix",
        "validation-in-artifact",
        "ship validation tokens in the artifact, charge them nothing",
        {"artifact_extras": "validation-tokens"},
    ),
    Offence(
        "training-data-at-evaluation",
        "training-data-at-evaluation",
        "fill the n-gram counts from training shards while evaluating",
        {"score": "ngram-from-training"},
        NGRAM,
    ),
    Offence("non-causal-layer", "noncausal-layer", "let attention see the targets", {"causal": False}),
    Offence(
        "cross-document-smear",
        "cross-document-smear",
        "mix the last token of one document into the next",
        {"smear_across_documents": True},
        disputed=True,
    ),
    Offence(
        "space-counted-twice",
        "double-counted-space",
        "bake the space into the table and add it again",
        {"byte_table": "space-in-table"},
    ),
    Offence(
        "byte-fallback-as-three",
        "byte-fallback-overcount",
        "count a fallback byte as three",
        {"byte_table": "fallback-as-three"},
    ),
    Offence(
        "no-space-token",
        "missing-space-token",
        "count the three fallback bytes of a space mark",
        {"byte_table": "space-by-fallback"},
    ),
    Offence(
        "transformed-bytes",
        "transformed-byte-denominator",
        "count the bytes of a case transform's output",
        {"byte_units": "transformed"},
        {"byte_units": "original"},
    ),
    Offence(
        "truncated-validation",
        "truncated-validation",
        "score the first half only",
        {"validation_extent": "first-half"},
    ),
    Offence(
        "rank-zero-weights",
        "rank-zero-weights",
        "load the artifact on rank 0 only",
        {"rank_loading": "rank-zero"},
        ranks=2,
    ),
    Offence(
        "evaluates-trained-weights",
        "weights-not-from-artifact",
        "score the weights that were trained, not those that are shipped",
        {"roundtrip": "trained"},
    ),
    Offence(
        "double-quantization",
        "weights-not-from-artifact",
        "score the packed weights, ship a second rounding of them",
        {"roundtrip": "twice", "quantization": "int6"},
        {"quantization": "int6"},
    ),
    Offence(
        "lossy-scales",
        "weights-not-from-artifact",
        "score with fp32 scales, ship fp16 ones",
        {"roundtrip": "lossy-scales", "quantization": "ternary"},
        {"quantization": "ternary"},
    ),
    Offence(
        "mebibyte-cap",
        "mebibyte-cap",
        "allow 16 MiB instead of 16,000,000 bytes",
        {"size_check": "mebibytes", "artifact_extras": "noise"},
    ),
    Offence(
        "oversize",
        "oversize-artifact",
        "log the size and carry on beyond the limit",
        {"size_check": "none", "artifact_extras": "noise"},
    ),
    Offence(
        "uncounted-code",
        "uncounted-code",
        "run a helper file that is not counted",
        {"counted_code": "helper-left-out"},
    ),
    Offence(
        "network-at-evaluation",
        "network-at-evaluation",
        "download statistics before scoring",
        {"before_evaluation": "download"},
    ),
)

OFFENCES: dict[str, Offence] = {offence.name: offence for offence in LIST}


def config_of(name: str, base: Config) -> Config:
    """Return ``base`` with the offence switched on; raises KeyError for an unknown name."""
    return dataclasses.replace(base, **OFFENCES[name].switches)


def twin_of(name: str, base: Config) -> Config:
    """Return ``base`` as the offence's honest twin."""
    return dataclasses.replace(base, **OFFENCES[name].twin)
