"""Torch equivalents of the kernels that most submissions share: minutes of emulation saved.

An equivalent is trusted only after it has agreed with the kernel's own source, on the data at hand,
in the first launches of each variant: some programs of the grid are run from source, and what they
wrote is compared. A kernel of the same name that computes anything else keeps being emulated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

Arguments = dict[str, Any]
Results = dict[str, torch.Tensor]

CHECKS = 2
"""Launches of a variant that must agree before it is trusted."""
PROGRAMS = 6
"""Programs of the grid that are run from source in a check."""
TOLERANCE = 1e-3


def _base(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else value.base


def _linear_leaky_relu_square(a: Arguments) -> Results:
    """c = a b'; forward also (leaky_relu(c, 1/2))^2, backward c times its derivative at ``aux``."""
    product = _base(a["a_desc"]).float() @ _base(a["b_desc"]).float().T
    if a["FORWARD"]:
        return {"c_desc": product, "aux_desc": F.leaky_relu(product, 0.5).square()}
    before = _base(a["aux_desc"]).float()
    return {"c_desc": product * torch.where(before > 0, 2 * before, 0.5 * before)}


def _softcapped_ce_forward(a: Arguments) -> Results:
    """Cross entropy of z = 2 C sigmoid(2 x / C) against the targets, and its log-sum-exp."""
    cap = a["softcap"]
    z = 2 * cap * torch.sigmoid(a["logits_ptr"].float() * (2 / cap))
    lse = torch.logsumexp(z, 1)
    return {"lse_ptr": lse, "losses_ptr": lse - z.gather(1, a["targets_ptr"].long()[:, None])[:, 0]}


def _softcapped_ce_backward(a: Arguments) -> Results:
    """Gradient of the same with respect to the logits."""
    cap = a["softcap"]
    s = torch.sigmoid(a["logits_ptr"].float() * (2 / cap))
    p = torch.exp(2 * cap * s - a["lse_ptr"][:, None])
    p.scatter_add_(1, a["targets_ptr"].long()[:, None], torch.full((p.size(0), 1), -1.0))
    return {"grad_logits_ptr": a["grad_losses_ptr"].float()[:, None] * p * (4 * s * (1 - s))}


EQUIVALENTS: dict[str, Callable[[Arguments], Results]] = {
    "linear_leaky_relu_square_kernel": _linear_leaky_relu_square,
    "_softcapped_ce_fwd_kernel": _softcapped_ce_forward,
    "_softcapped_ce_bwd_kernel": _softcapped_ce_backward,
}

STATE: dict[tuple[str, Any], int] = {}
"""Agreements so far by kernel and variant; -1: it disagreed once and is never trusted."""


def launch(name: str, arguments: Arguments, emulate: Callable[[int | None], None]) -> None:
    """Run one launch; ``emulate(n)`` runs ``n`` programs of the grid from source, None all of them."""
    equivalent = EQUIVALENTS.get(name)
    variant = (name, arguments.get("FORWARD"))
    agreed = STATE.get(variant, 0)
    results = _try(equivalent, arguments) if equivalent is not None and agreed >= 0 else None
    if results is None:
        emulate(None)
        return
    if agreed < CHECKS and not _agree(results, arguments, emulate):
        STATE[variant] = -1
        emulate(None)
        return
    STATE[variant] = agreed + 1
    for key, value in results.items():
        _base(arguments[key]).copy_(value)


def _try(equivalent: Callable[[Arguments], Results], arguments: Arguments) -> Results | None:
    """The equivalent's results; None when the kernel takes other arguments."""
    try:
        results = equivalent(arguments)
        same = all(_base(arguments[key]).shape == value.shape for key, value in results.items())
    except (KeyError, AttributeError, TypeError, RuntimeError):
        return None
    return results if same else None


def _agree(results: Results, arguments: Arguments, emulate: Callable[[int | None], None]) -> bool:
    """Let some programs write over NaN and compare what they wrote."""
    for key in results:
        _base(arguments[key]).fill_(float("nan"))
    emulate(PROGRAMS)
    for key, expected in results.items():
        written = ~torch.isnan(_base(arguments[key]))
        if not bool(written.any()):
            return False
        got = _base(arguments[key])[written]
        allowed = TOLERANCE if got.dtype == torch.float32 else 20 * TOLERANCE
        if not torch.allclose(got.float(), expected[written].float(), rtol=allowed, atol=allowed):
            return False
    return True
