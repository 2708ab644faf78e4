"""What tensor libraries do: views, scores, in-place writes, table increments."""

from __future__ import annotations

import ast
from typing import Any

from checkers.facts.events import Did
from checkers.facts.library import Use, effect
from checkers.facts.values import (
    LOGP,
    NOTHING,
    RAW,
    TOKENS,
    VAL,
    Cell,
    Entry,
    Instance,
    Sequence,
    Value,
    flat,
)

_VIEWS = [
    "to",
    "cuda",
    "cpu",
    "float",
    "half",
    "bfloat16",
    "double",
    "long",
    "int",
    "view",
    "reshape",
    "contiguous",
    "numpy",
    "detach",
    "flatten",
    "squeeze",
    "unsqueeze",
    "transpose",
    "permute",
    "expand",
    "expand_as",
    "view_as",
    "astype",
    "pin_memory",
    "type",
    "narrow",
    "chunk",
    "t",
    "as_tensor",
    "from_numpy",
    "asarray",
    "ascontiguousarray",
    "tensor",
    "array",
    "split",
    "unbind",
    "unfold",
    "T",
    "share_memory_",
    "byte",
    "eval",
    "train",
    "type_as",
    "ravel",
    "swapaxes",
    "cast",
    "tensor_split",
    "diagonal",
    "bool",
]


@effect(*_VIEWS)
def _view(machine: Any, use: Use) -> Value | None:
    """The same numbers, seen otherwise: the storage and its rawness are kept."""
    whole = use.operand(0)
    if use.dotted.startswith("builtins."):
        return None
    if not whole.refs:
        return Value(whole.const, whole.bits) if whole.known else whole
    if use.receiver is None and any(isinstance(r, Sequence) for r in whole.refs):
        return Value(bits=machine.content(whole), refs=(Cell(machine.loops, machine.content(whole)),))
    weights = any(
        isinstance(r, (Instance, Entry)) or (isinstance(r, Cell) and r.what == "param") for r in whole.refs
    )
    return _copy(machine, use) if weights and _leaves_device(use) else whole


def _leaves_device(use: Use) -> bool:
    """``p.detach().cpu()``: off the accelerator goes a copy. A bare ``.cpu()`` may move a whole model."""
    device = use.arg(0, "device")
    if use.name != "cpu" and not (use.name == "to" and device is not None and device.const == "cpu"):
        return False
    function = use.node.func if isinstance(use.node, ast.Call) else None
    receiver = function.value if isinstance(function, ast.Attribute) else None
    made = receiver.func if isinstance(receiver, ast.Call) else receiver
    return isinstance(made, ast.Attribute) and made.attr == ("data" if made is receiver else "detach")


@effect(
    "clone",
    "copy",
    "concatenate",
    "cat",
    "stack",
    "hstack",
    "vstack",
    "pad",
    "roll",
    "take",
    "tobytes",
    "index_select",
    "flip",
    "sort",
    "tolist",
    "repeat",
    "deque",
    "masked_select",
)
def _copy(machine: Any, use: Use) -> Value | None:
    if use.dotted.startswith("builtins."):
        return None
    whole = use.operand(0)
    if use.receiver is not None and any(isinstance(r, (Sequence,)) for r in whole.refs):
        return whole
    bits = machine.content(whole)
    for other in use.everything[1:]:
        bits |= flat(other) & ~RAW
    if use.name == "tobytes" and bits & RAW:
        bits |= TOKENS  # however they are joined or packed, these bytes spell out what they are made of
    return Value(bits=bits, refs=(Cell(machine.loops, bits),))


@effect(
    "zeros",
    "ones",
    "empty",
    "full",
    "zeros_like",
    "ones_like",
    "empty_like",
    "full_like",
    "rand",
    "randn",
    "randn_like",
    "rand_like",
    "new_zeros",
    "new_empty",
    "new_full",
    "new_ones",
    "eye",
    "randint",
    "randperm",
    "linspace",
)
def _new(machine: Any, use: Use) -> Value:
    made = Value(refs=(Cell(machine.loops, 0, "new"),))
    machine.differentiate(made, use.keywords.get("requires_grad", NOTHING))
    return made


@effect("bytearray")
def _bytes(machine: Any, use: Use) -> Value:
    """Bytes that can be written to: a copy of what they are made of."""
    return Value(refs=(Cell(machine.loops, machine.inputs(use.args, use.keywords), "new"),))


@effect("arange")
def _positions(machine: Any, use: Use) -> Value:
    """Consecutive positions belong to the iterations that their two ends depend on."""
    bits = machine.inputs(use.args, use.keywords) & machine.iterations
    return Value(bits=bits, refs=(Cell(machine.loops, 0, "new"),))


@effect("Parameter", "Linear", "Embedding", "Conv1d", "Conv2d", "LayerNorm", "RMSNorm", "Buffer")
def _parameter(machine: Any, use: Use) -> Value | None:
    if use.receiver is not None:
        return None
    if use.name in ("Parameter", "Buffer"):
        given = use.operand(0)
        return Value(refs=(Cell(machine.loops, machine.weights_only(flat(given)), "param"),))
    return Value(refs=(Instance(None, machine.loops, f"torch.nn.{use.name}"),))


@effect("ModuleList", "Sequential", "ParameterList", "ModuleDict", "ParameterDict")
def _modules(machine: Any, use: Use) -> Value:
    given = use.operand(0)
    if len(use.args) > 1:
        return Value(refs=(Sequence(list(use.args), birth=machine.loops),))
    if use.name == "Sequential" and use.args and not given.refs:
        return given
    return given if given.refs else Value(refs=(Sequence([], birth=machine.loops),))


@effect(
    "cross_entropy",
    "nll_loss",
    "CrossEntropyLoss",
    "NLLLoss",
    "linear_cross_entropy",
    "fused_cross_entropy",
    "LigerFusedLinearCrossEntropyLoss",
    "cross_entropy_loss",
    "softmax_cross_entropy",
)
def _cross_entropy(machine: Any, use: Use) -> Value | None:
    if use.name[0].isupper() and use.receiver is None:
        return None
    bits = machine.inputs(use.args, use.keywords)
    named = {k: v for k, v in use.keywords.items() if k in ("target", "targets", "labels")}
    told = len(use.args) > 1 or named
    return score(machine, use, bits, machine.inputs(use.args[1:], named) if told else bits)


def score(machine: Any, use: Use, bits: int, targets: int) -> Value:
    """A library call took a log-probability of given targets."""
    taken: Value = machine.score(use.node, bits, targets, name=use.name)
    return taken


@effect("log_softmax", "softmax", "logsumexp", "Softmax", "LogSoftmax")
def _log_softmax(machine: Any, use: Use) -> Value | None:
    bits = flat(use.operand(0)) | machine.inputs(use.args, use.keywords)
    return Value(bits=(bits & ~RAW) | LOGP)


@effect("gather", "take_along_axis", "take_along_dim")
def _gather(machine: Any, use: Use) -> Value | None:
    if use.dotted.startswith(("torch.distributed", "dist.")):
        return NOTHING
    whole = use.operand(0)
    index = use.keywords.get("index") or (use.everything[-1] if len(use.everything) > 1 else NOTHING)
    bits = flat(whole) | flat(index)
    chosen = flat(index) & LOGP  # ``topk(p).indices``: what a distribution itself ranks first, no target
    if flat(whole) & LOGP and flat(index) & VAL and not chosen:
        return score(machine, use, bits, flat(index))
    return Value(bits=bits & ~RAW)


@effect("log", "log2", "logaddexp", "log1p")
def _log(machine: Any, use: Use) -> Value | None:
    bits = flat(use.operand(0)) | machine.inputs(use.args, use.keywords)
    if bits & VAL and bits & (machine.learned | machine.scores | LOGP):
        return score(machine, use, bits, bits)
    return None


@effect(
    "add_",
    "sub_",
    "mul_",
    "div_",
    "addcmul_",
    "addcdiv_",
    "lerp_",
    "index_copy_",
    "masked_fill_",
    "clamp_",
    "index_put_",
    "baddbmm_",
    "addmm_",
    "clip_",
    "sign_",
    "neg_",
    "pow_",
)
def _in_place(machine: Any, use: Use) -> Value:
    target = use.receiver or NOTHING
    bits = machine.inputs(use.args, use.keywords)
    charge = machine.charge(use.node, Value(bits=bits))
    if charge:
        bits &= ~machine.iterations
    wrote = machine.in_place(target, bits & ~RAW, use.node)
    if wrote and charge:
        for ref in target.refs:
            ref.state |= charge
    return target if wrote else Value(bits=target.bits | bits & ~RAW | charge)


@effect(
    "copy_",
    "zero_",
    "fill_",
    "normal_",
    "uniform_",
    "kaiming_uniform_",
    "xavier_uniform_",
    "zeros_",
    "ones_",
    "trunc_normal_",
    "orthogonal_",
    "constant_",
    "kaiming_normal_",
    "set_",
    "copyto",
)
def _replace(machine: Any, use: Use) -> Value:
    target = use.operand(0)
    rest = use.everything[1:]
    bits = 0
    for value in rest:
        bits |= machine.content(value)
    machine.in_place(target, bits & ~RAW, use.node, strong=True)
    return target


@effect(
    "scatter_add_",
    "index_add_",
    "scatter_",
    "scatter_reduce_",
    "add.at",
    "numpy.add.at",
    "at",
    "index_add",
    "scatter_add",
)
def _increment(machine: Any, use: Use) -> Value:
    every = use.everything
    if use.receiver is not None and use.name == "at":
        every = use.args
    target = every[0] if every else NOTHING
    along = "index" in use.name or "scatter" in use.name  # an axis comes before the index
    place = 2 if along else 1
    index = use.keywords.get("index", every[place] if place < len(every) else NOTHING)
    named = [use.keywords[name] for name in ("src", "source", "value") if name in use.keywords]
    added = [*every, *named][-1] if every or named else NOTHING
    key = machine.content(index)
    bits = machine.inputs(use.args, use.keywords) & ~RAW
    charge = machine.charge(use.node, Value(bits=flat(added)))
    if charge:
        machine.in_place(target, bits & ~machine.iterations | charge, use.node)
    elif key & VAL and not flat(added) & VAL and ("add" in use.name or use.name == "at"):
        machine.counted(use.node, target, key)
    else:
        machine.in_place(target, bits, use.node)
    return target


@effect("bincount", "Counter")
def _histogram(machine: Any, use: Use) -> Value | None:
    """Counts of data are a table that has learned from them."""
    data = machine.content(use.operand(0))
    if not data & VAL:
        return None
    cell = Cell(machine.loops, 0, "counts")
    machine.counted(use.node, Value(refs=(cell,)), data)
    return Value(bits=0, refs=(cell,))


@effect("sum", "mean", "item", "max", "amax", "argmax", "norm", "abs", "square")
def _reduce(machine: Any, use: Use) -> Value | None:
    if use.receiver is None and not use.dotted.startswith(("torch", "numpy")):
        return None
    return Value(bits=(machine.inputs(use.args, use.keywords) | flat(use.operand(0))) & ~RAW)


@effect("minimum", "fmin")
def _minimum(machine: Any, use: Use) -> Value | None:
    a, b = flat(use.operand(0)), flat(use.operand(1))
    if not (a & machine.scores and b & machine.scores):
        return None
    event = machine.emit(Did.BEST, use.node, a | b, parts=(a, b))
    return Value(bits=((a | b) & ~RAW) | machine.event_bit(event))


@effect(
    "multinomial",
    "size",
    "numel",
    "stride",
    "ndimension",
    "dim",
    "element_size",
    "nelement",
    "nbytes",
    "is_available",
    "get_device_properties",
    "device",
    "isfinite",
    "isinf",
    "allclose",
    "equal",
    "memory_allocated",
)
def _layout(machine: Any, use: Use) -> Value:
    if use.name == "multinomial":
        return Value(bits=machine.weights_only(flat(use.operand(0))))
    return NOTHING
