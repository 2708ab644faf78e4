"""Optimizers and averages: what Newton-Schulz promises, and what each variant changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reference_model.averaging import WeightAverage
from reference_model.config import tiny
from reference_model.model import GPT
from reference_model.optim import Muon, build_optimizers, orthogonalize, set_learning_rates
from reference_model.train import run_progress, warmdown_scale


@pytest.mark.parametrize("shape", [(8, 8), (4, 12), (12, 4)])
def test_singular_values_become_about_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    values = torch.linalg.svdvals(orthogonalize(matrix, 6))
    assert values.min() > 0.6
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    cosine = torch.nn.functional.cosine_similarity(
        orthogonalize(matrix, 6).flatten(), (left @ right).flatten(), dim=0
    )
    assert cosine > 0.95


def direction(variant: str) -> torch.Tensor:
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.zeros(6, 10))
    optimizer = Muon([parameter], tiny(muon_variant=variant))
    parameter.grad = torch.randn(6, 10) * torch.logspace(0, 3, 6)[:, None]
    optimizer.step()
    return parameter.detach()


def test_row_equalizing_gives_every_row_its_say():
    plain, equal = direction("muon"), direction("muoneq-r")
    assert (
        equal.norm(dim=1).min() / equal.norm(dim=1).max() > plain.norm(dim=1).min() / plain.norm(dim=1).max()
    )


def test_neomuon_takes_three_steps():
    assert Muon([nn.Parameter(torch.zeros(2, 2))], tiny(muon_variant="neomuon")).steps == 3
    assert Muon([nn.Parameter(torch.zeros(2, 2))], tiny()).steps == 5


def test_every_parameter_has_exactly_one_optimizer():
    model = GPT(tiny())
    held = [p for o in build_optimizers(model, tiny()) for g in o.param_groups for p in g["params"]]
    assert len(held) == len({id(p) for p in held})
    assert {id(p) for p in held} == {id(p) for p in model.parameters()}


def test_rates_scale_from_their_base():
    optimizers = build_optimizers(GPT(tiny()), tiny())
    set_learning_rates(optimizers, 0.5)
    set_learning_rates(optimizers, 0.5)
    assert all(g["lr"] == 0.5 * g["base_lr"] for o in optimizers for g in o.param_groups)


def averaged(kind: str) -> float:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, tiny(averaging=kind, ema_decay=0.5, swa_start_frac=0.5))
    for step, value in enumerate([1.0, 2.0, 3.0, 4.0]):
        nn.init.constant_(model.weight, value)
        average.update(model, progress=step / 4)
    average.copy_to(model)
    return float(model.weight.detach())


def test_averages_by_hand():
    assert averaged("swa") == pytest.approx((3 + 4) / 2)
    assert averaged("ema") == pytest.approx(0.5 * (0.5 * 1.5 + 0.5 * 3) + 0.5 * 4)


def test_warmdown_and_budget():
    assert warmdown_scale(0.2, 0.5) == 1.0
    assert warmdown_scale(0.75, 0.5) == 0.5
    assert warmdown_scale(1.5, 0.5) == 0.0
    config = tiny(iterations=100, max_wallclock_seconds=10.0)
    assert run_progress(10, 5.0, config) == 0.5
    assert run_progress(70, 5.0, config) == 0.7
