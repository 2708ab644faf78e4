"""The network against plain torch, and the laws of causality and document boundaries."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from reference_model.config import tiny
from reference_model.layers import Adapter, Linear, Rotary, SmearGate, attend, remove_own_value
from reference_model.model import GPT, layer_order, training_loss

VARIANTS = [
    {},
    {"parallel_residual": True},
    {"recur_first": 1, "recur_last": 1, "recur_times": 3},
    {"unet_skips": False, "smear_gate": False, "bigram_hash": False, "value_embeddings": False},
    {"activation": "relu2", "xsa_last_n": 3},
]


def awake(model: GPT) -> GPT:
    """Give every parameter that starts at zero a value, so that nothing is switched off."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def test_attention_equals_its_formula():
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 9, 8), torch.randn(2, 2, 9, 8), torch.randn(2, 2, 9, 8)
    key4, value4 = key.repeat_interleave(2, dim=1), value.repeat_interleave(2, dim=1)
    scores = query @ key4.transpose(-1, -2) / math.sqrt(8)
    scores = scores.masked_fill(torch.ones(9, 9).triu(1).bool(), float("-inf"))
    torch.testing.assert_close(attend(query, key, value, causal=True), scores.softmax(-1) @ value4)


def test_xsa_removes_the_own_value_and_nothing_else():
    torch.manual_seed(0)
    attended, values = torch.randn(1, 4, 5, 8), torch.randn(1, 2, 5, 8)
    cleaned = remove_own_value(attended, values)
    own = values.repeat_interleave(2, dim=1)
    assert (cleaned * own).sum(-1).abs().max() < 1e-5
    share = ((attended - cleaned) * own).sum(-1, keepdim=True) / own.square().sum(-1, keepdim=True)
    torch.testing.assert_close(attended - cleaned, share * own)


def test_partial_rotation_keeps_lengths_and_depends_on_distance_alone():
    rotary, x = Rotary(4, 100.0), torch.ones(1, 1, 6, 8)
    turned = rotary(x)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[..., 4:], x[..., 4:])
    products = turned[0, 0] @ turned[0, 0].T
    torch.testing.assert_close(products[0, 2], products[3, 5])


@pytest.mark.parametrize("changes", VARIANTS)
def test_no_logit_moves_before_a_changed_token(changes):
    model = awake(GPT(tiny(vocab_size=64, **changes)))
    tokens = torch.randint(2, 64, (1, 24), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[0, 15] = (changed[0, 15] + 1) % 64
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :15], after[:, :15])
    assert not torch.equal(before[:, 15:], after[:, 15:])


def test_non_causal_offence_moves_earlier_logits():
    model = awake(GPT(tiny(vocab_size=64, causal=False)))
    tokens = torch.arange(2, 26)[None]
    changed = tokens.clone()
    changed[0, 20] = 60
    with torch.no_grad():
        assert not torch.equal(model(tokens)[:, :15], model(changed)[:, :15])


@pytest.mark.parametrize("across", [False, True])
def test_smear_stops_at_a_document_unless_told_otherwise(across):
    gate = SmearGate(tiny(smear_across_documents=across))
    torch.nn.init.ones_(gate.strength)
    x, tokens = torch.randn(1, 4, 48), torch.tensor([[5, 6, 1, 7]])
    mixed = gate(x, tokens)
    assert torch.equal(mixed[0, 2], x[0, 2]) is not across
    assert not torch.equal(mixed[0, 1], x[0, 1])


def test_loss_is_torchs_cross_entropy():
    model = awake(GPT(tiny(vocab_size=64)))
    inputs, targets = torch.randint(0, 64, (2, 12)), torch.randint(0, 64, (2, 12))
    logs = model(inputs).log_softmax(-1).gather(-1, targets[..., None])
    torch.testing.assert_close(training_loss(model, inputs, targets), -logs.mean())


def test_z_loss_and_second_token_add_up():
    plain = awake(GPT(tiny(vocab_size=64)))
    more = GPT(tiny(vocab_size=64, z_loss=0.1, mtp_weight=0.5))
    more.load_state_dict(plain.state_dict(), strict=False)
    inputs, targets = torch.randint(0, 64, (2, 12)), torch.randint(0, 64, (2, 12))
    hidden = more.hidden(inputs)
    ahead = more.to_logits(F.rms_norm(hidden + more.second_token(hidden), (48,)))[:, :-1]
    expected = training_loss(plain, inputs, targets) + 0.1 * more(inputs).logsumexp(-1).square().mean()
    expected = expected + 0.5 * F.cross_entropy(ahead.flatten(0, 1), targets[:, 1:].flatten())
    torch.testing.assert_close(training_loss(more, inputs, targets), expected)


def test_soft_cap_bounds_logits():
    model = awake(GPT(tiny(vocab_size=64, logit_softcap=2.0)))
    assert model.to_logits(1000 * torch.randn(1, 3, 48)).abs().max() <= 2.0


def test_layer_order_repeats_the_loop():
    config = tiny(num_layers=4, recur_first=1, recur_last=2, recur_times=2)
    assert layer_order(config) == [0, 1, 2, 1, 2, 3]


def test_fresh_adapter_changes_nothing():
    linear, x = Linear(6, 4), torch.randn(3, 6)
    before = linear(x)
    linear.adapter = Adapter(6, 4, 2, torch.device("cpu"))
    assert torch.equal(linear(x), before)


def test_heads_must_divide():
    with pytest.raises(ValueError, match="divide"):
        GPT(tiny(model_dim=50, num_heads=4))
