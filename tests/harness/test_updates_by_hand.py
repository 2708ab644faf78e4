"""Learning without an optimizer: what is written after a backward pass over validation losses."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import harness
from harness.events import Charged, StateWritten, Stepped
from harness.probes import watch
from harness.probes.mode import WatchMode
from harness.probes.positions import Stream

VOCAB = 300
TOKENS = np.random.default_rng(0).integers(4, VOCAB, 2000)
FIRST, LAST = 500, 540


def loss(delta, start=FIRST):
    targets = torch.from_numpy(TOKENS[start : start + LAST - FIRST])
    return F.cross_entropy(torch.randn(LAST - FIRST, VOCAB) + delta, targets)


def subtracted(delta):
    (gradient,) = torch.autograd.grad(loss(delta), delta)
    with torch.no_grad():
        delta -= 0.1 * gradient


def added_to_data(delta):
    loss(delta).backward()
    delta.data.add_(delta.grad, alpha=-0.1)


def data_replaced(delta):
    loss(delta).backward()
    delta.data = delta.data - 0.1 * delta.grad


def all_at_once(delta):
    loss(delta).backward()
    with torch.no_grad():
        torch._foreach_add_([delta], [delta.grad], alpha=-0.1)


def only_computed(delta):
    loss(delta)
    with torch.no_grad():
        delta.mul_(0.5)


def of_other_text(delta):
    F.cross_entropy(torch.randn(40, VOCAB) + delta, torch.randint(0, VOCAB, (40,))).backward()
    with torch.no_grad():
        delta -= 0.1 * delta.grad


def into_an_average(delta):
    loss(delta).backward()
    torch.zeros(VOCAB).lerp_(delta.detach(), 0.5)


def gradients_clipped(delta):
    loss(delta).backward()
    delta.grad.mul_(0.5)


def listened(*acts):
    """The events of functions that are given one tensor that learns."""
    events, delta = [], torch.zeros(VOCAB, requires_grad=True)
    observer = watch.Watch(
        Stream(TOKENS), events.append, watch.is_theirs((os.path.dirname(harness.__file__),))
    )
    with WatchMode(observer.observe):
        for act in acts:
            act(delta) if act is not by_optimizer else act(delta, observer)
        with torch.no_grad():
            loss(delta, 900)
    return events


def by_optimizer(delta, observer):
    optimizer = torch.optim.SGD([delta], lr=0.1)
    loss(delta).backward()
    observer.before_step(optimizer)
    optimizer.step()
    observer.after_step(optimizer)


@pytest.mark.parametrize("update", [subtracted, added_to_data, data_replaced, all_at_once])
def test_an_update_by_hand_is_announced_before_the_next_loss_with_what_it_learned_from(update):
    written, charged = listened(update)
    assert isinstance(written, StateWritten)
    assert written.where().tolist() == list(range(FIRST, LAST))
    assert written.tensors == 1
    assert written.site.startswith(__file__)
    assert isinstance(charged, Charged)


@pytest.mark.parametrize("act", [only_computed, of_other_text, into_an_average, gradients_clipped])
def test_what_is_no_update_on_validation_is_not_announced(act):
    assert [type(e) for e in listened(act)] == [Charged]


def test_optimizers_announce_themselves():
    assert [type(e) for e in listened(by_optimizer)] == [Stepped, Charged]


def test_an_update_by_hand_does_not_count_again_at_the_next():
    first, second, _ = listened(subtracted, subtracted)
    assert first.where().tolist() == second.where().tolist()
    assert [type(e) for e in listened(subtracted, into_an_average)] == [StateWritten, Charged]
