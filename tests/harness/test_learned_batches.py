"""Optimizer steps on batches that hold some windows of validation among training text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.events import Stepped
from harness.probes import watch
from harness.probes.mode import WatchMode
from harness.probes.positions import Stream

VOCAB = 300
ROWS, LENGTH = 8, 64


@pytest.fixture
def tokens():
    return np.random.default_rng(0).integers(4, VOCAB, 2000)


def batch(tokens, start, size):
    """Eight rows of other text; ``size`` tokens of validation from ``start`` on begin the third."""
    ids = np.random.default_rng(1).integers(4, VOCAB, (ROWS, LENGTH))
    ids[2, :size] = tokens[start : start + size]
    return torch.from_numpy(ids)


def events(tokens, act):
    seen = []
    observer = watch.Watch(Stream(tokens), seen.append, watch.is_theirs(("/nowhere",)))
    with WatchMode(observer.observe):
        act()
    observer.after_step(torch.optim.SGD([torch.zeros(3, requires_grad=True)], lr=0.1))
    return seen


LOSSES = {
    "cross entropy": lambda logits, ids: F.cross_entropy(logits.reshape(-1, VOCAB), ids.reshape(-1)),
    "cross entropy, each": lambda logits, ids: F.cross_entropy(
        logits.reshape(-1, VOCAB), ids.reshape(-1), reduction="none"
    ).mean(),
    "nll": lambda logits, ids: F.nll_loss(
        logits.log_softmax(-1).reshape(-1, VOCAB), ids.reshape(-1), reduction="none"
    ).mean(),
    "gather": lambda logits, ids: -logits.log_softmax(-1).gather(-1, ids[..., None]).mean(),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_one_window_of_validation_in_a_batch_of_training_is_seen(tokens, loss):
    ids, logits = batch(tokens, 700, LENGTH), torch.randn(ROWS, LENGTH, VOCAB, requires_grad=True)
    (step,) = events(tokens, lambda: loss(logits, ids).backward())
    assert isinstance(step, Stepped)
    assert step.where().tolist() == list(range(700, 700 + LENGTH))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_text_that_agrees_with_validation_for_a_few_tokens_is_training(tokens, loss):
    ids, logits = batch(tokens, 700, 24), torch.randn(ROWS, LENGTH, VOCAB, requires_grad=True)
    (step,) = events(tokens, lambda: loss(logits, ids).backward())
    assert step.where().tolist() == []


def test_a_mixed_batch_that_nobody_learns_from_is_not_charged(tokens):
    ids, logits = batch(tokens, 700, LENGTH), torch.randn(ROWS, LENGTH, VOCAB)
    (step,) = events(tokens, lambda: LOSSES["cross entropy"](logits, ids))
    assert step.where().tolist() == []
