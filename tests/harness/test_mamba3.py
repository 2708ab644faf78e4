"""Mamba 3 in plain torch, against its recurrence step by step in double precision."""

import math

import pytest
import torch
import torch.nn.functional as F

from harness.facade.recurrence import mamba3, trapezoid

LENGTH, HEADS, GROUPS, RANKS, WIDTH, VALUES, ANGLES = 100, 4, 2, 3, 8, 5, 2


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(7)


def by_steps(q, k, v, adt, dt, trap, angles, state, adjacent):
    """One head: q, k (length, ranks, width), v (length, ranks, values); the readings of each position."""
    turned, h, last_k, last_v = state
    pairs = [(2 * i, 2 * i + 1) if adjacent else (i, i + WIDTH // 2) for i in range(ANGLES)]
    outs = []
    for t in range(len(q)):
        turned = turned + angles[t].tanh() * math.pi * dt[t]
        matrix = torch.eye(WIDTH, dtype=q.dtype)
        for angle, (i, j) in zip(turned, pairs, strict=True):
            matrix[i, i] = matrix[j, j] = angle.cos()
            matrix[i, j], matrix[j, i] = -angle.sin(), angle.sin()
        key, share = k[t] @ matrix.T, trap[t].sigmoid()
        before, now = last_v.T @ last_k, v[t].T @ key
        h = adt[t].exp() * h + (1 - share) * dt[t] * adt[t].exp() * before + share * dt[t] * now
        outs.append((q[t] @ matrix.T) @ h.T)
        last_k, last_v = key, v[t]
    return torch.stack(outs), (turned, h, last_k, last_v)


def drawn(ranks=None, length=LENGTH):
    """Arguments that both kernels take."""
    dt = F.softplus(torch.randn(1, HEADS, length, dtype=torch.float64))
    inner = () if ranks is None else (ranks,)
    return {
        "Q": torch.randn(1, length, *inner, GROUPS, WIDTH),
        "K": torch.randn(1, length, *inner, GROUPS, WIDTH),
        "V": torch.randn(1, length, HEADS, VALUES),
        "ADT": -torch.rand(1, HEADS, length) * dt,
        "DT": dt,
        "Trap": torch.randn(1, HEADS, length),
        "Q_bias": torch.randn(HEADS, *inner, WIDTH),
        "K_bias": torch.randn(HEADS, *inner, WIDTH),
        "Angles": torch.randn(1, length, HEADS, ANGLES),
        "D": torch.randn(HEADS),
        "Z": torch.randn(1, length, HEADS, VALUES),
    }


def of_head(a, head, ranks):
    """What ``by_steps`` takes of one head, in double precision and before the inputs are multiplied."""
    group = head // (HEADS // GROUPS)
    q, k = (
        a[name][0, ..., group, :].reshape(-1, ranks, WIDTH) + a[f"{name}_bias"][head].reshape(ranks, WIDTH)
        for name in "QK"
    )
    rates = (a[name][0, head].double() for name in ("ADT", "DT", "Trap"))
    return q.double(), k.double(), *rates, a["Angles"][0, :, head].double()


def nothing_yet(ranks):
    return tuple(
        torch.zeros(s).double() for s in ((ANGLES,), (VALUES, WIDTH), (ranks, WIDTH), (ranks, VALUES))
    )


def test_one_input_is_the_recurrence_gated_and_skipped_with_the_state_it_leaves():
    a = drawn()
    out, angle, h, k, v = trapezoid.mamba3_siso_combined(**a, return_final_states=True)
    for head in range(HEADS):
        q, key, *rates = of_head(a, head, 1)
        x, z = a["V"][0, :, head].double(), a["Z"][0, :, head].double()
        y, last = by_steps(q, key, x[:, None], *rates, nothing_yet(1), adjacent=True)
        expected = (y[:, 0] + a["D"][head] * x) * F.silu(z)
        torch.testing.assert_close(out[0, :, head], expected.float(), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(h[0, head], last[1].float(), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(k[0, head], last[2][0].float(), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(angle[0, head].cos(), last[0].cos().float(), rtol=1e-3, atol=1e-3)
    assert torch.equal(v, a["V"][:, -1])
    assert angle.min() >= 0
    assert angle.max() < 2 * math.pi


def test_several_inputs_are_the_recurrence_and_turn_halves():
    a = drawn(RANKS)
    up, gate, down = (torch.randn(HEADS, RANKS, VALUES) for _ in range(3))
    out = trapezoid.mamba3_mimo(
        **a, MIMO_V=up, MIMO_Z=gate, MIMO_Out=down, chunk_size=16, rotary_dim_divisor=4, dtype=torch.float32
    )
    for head in range(HEADS):
        q, key, *rates = of_head(a, head, RANKS)
        x = (a["V"][0, :, head, None] * up[head]).double()
        y, _ = by_steps(q, key, x, *rates, nothing_yet(RANKS), adjacent=False)
        gated = (y + a["D"][head] * x) * F.silu(a["Z"][0, :, head, None] * gate[head])
        expected = (gated * down[head]).sum(1)
        torch.testing.assert_close(out[0, :, head], expected.float(), rtol=1e-3, atol=1e-3)


def test_several_inputs_leave_their_state_and_can_be_left_unsummed():
    a = {**drawn(RANKS), "Z": None, "MIMO_V": torch.randn(HEADS, RANKS, VALUES), "MIMO_Z": None}
    fixed = {"chunk_size": 16, "rotary_dim_divisor": 4, "dtype": torch.float32, "return_state": True}
    out, angle, h, k, v = trapezoid.mamba3_mimo(**a, MIMO_Out=None, **fixed)
    assert out.shape == (1, LENGTH, RANKS, HEADS, VALUES)
    assert angle.shape == (1, HEADS, ANGLES)
    assert h.shape == (1, HEADS, VALUES, WIDTH)
    assert k.shape == (1, RANKS, HEADS, WIDTH)
    assert torch.equal(v, a["V"][:, -1])
    down = torch.randn(HEADS, RANKS, VALUES)
    summed = trapezoid.mamba3_mimo(**a, MIMO_Out=down, **fixed)[0]
    torch.testing.assert_close(torch.einsum("blrhp,hrp->blhp", out, down), summed, rtol=1e-4, atol=1e-4)


def cut(a, low, high):
    """The positions from ``low`` to ``high``."""
    later = {name: a[name][:, low:high] for name in ("Q", "K", "V", "Angles", "Z")}
    return {**a, **later, **{name: a[name][:, :, low:high] for name in ("ADT", "DT", "Trap")}}


def test_a_carried_state_continues_the_sequence():
    a = drawn()
    whole = trapezoid.mamba3_siso_combined(**a)
    first, *state = trapezoid.mamba3_siso_combined(**cut(a, 0, 37), return_final_states=True)
    second = trapezoid.mamba3_siso_combined(**cut(a, 37, LENGTH), Input_States=tuple(state))
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-3, atol=1e-4)
    forgotten = trapezoid.mamba3_siso_combined(**cut(a, 37, LENGTH))
    assert not torch.allclose(forgotten, whole[:, 37:], rtol=1e-2, atol=1e-2)


def test_packed_sequences_do_not_see_one_another_and_an_empty_one_does_no_harm():
    a = drawn()
    bounds = torch.tensor([0, 37, 37, LENGTH], dtype=torch.int32)
    out, _, h, *_ = trapezoid.mamba3_siso_combined(**a, cu_seqlens=bounds, return_final_states=True)
    alone, _, last, *_ = trapezoid.mamba3_siso_combined(**cut(a, 37, LENGTH), return_final_states=True)
    assert torch.equal(out[:, 37:], alone)
    assert h.shape[0] == 3
    assert torch.equal(h[2:], last)
    assert not h[1].any()


FORMS = {
    "plain": {},
    "groups": {"ngroups": 2, "rope_fraction": 1.0},
    "norm": {"is_outproj_norm": True},
    "several": {"is_mimo": True, "mimo_rank": 2},
    "several, norm": {"is_mimo": True, "mimo_rank": 2, "is_outproj_norm": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_layer_trains_and_never_looks_ahead(form):
    """To the last bit: an experiment would otherwise accuse the script of our stand-in's leak."""
    layer = mamba3.Mamba3(d_model=16, d_state=8, headdim=8, d_conv=4, **FORMS[form])
    x = torch.randn(2, 90, 16)
    changed = x.clone()
    changed[:, 70:] = torch.randn(2, 20, 16)
    before, after = layer(x), layer(changed)
    assert before.shape == x.shape
    assert torch.equal(before[:, :70], after[:, :70])
    assert not torch.allclose(before[:, 70:], after[:, 70:])
    before.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
    with pytest.raises(NotImplementedError, match="cache"):
        layer(x, inference_params=object())


def test_parameters_and_sizes_are_those_of_the_original():
    layer = mamba3.Mamba3(d_model=16, d_state=8, expand=2, headdim=8, is_mimo=True, mimo_rank=2)
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    assert shapes == {
        "in_proj.weight": (2 * 32 + 2 * 16 + 3 * 4 + 2, 16),
        "dt_bias": (4,),
        "B_bias": (4, 2, 8),
        "C_bias": (4, 2, 8),
        "mimo_x": (4, 2, 8),
        "mimo_z": (4, 2, 8),
        "mimo_o": (4, 2, 8),
        "D": (4,),
        "B_norm.weight": (8,),
        "C_norm.weight": (8,),
        "out_proj.weight": (16, 32),
    }
    plain = mamba3.Mamba3(16, d_state=8, headdim=8, is_outproj_norm=True)
    assert set(shapes) - set(plain.state_dict()) == {"mimo_x", "mimo_z", "mimo_o"}
    assert set(plain.state_dict()) - set(shapes) == {"norm.weight"}
    assert plain.mimo_rank == 1
    assert plain.num_rope_angles == 2
