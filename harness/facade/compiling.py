"""``torch.compile``, checkpointing and inference mode: the eager program itself."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from typing import Any

import torch

from harness.facade.cuda import Context
from harness.facade.patching import Anything, constant, heads_a_loop, lenient, module, nothing, replace
from harness.facade.settings import configure


def _compile(model: Any = None, **options: Any) -> Any:
    return (lambda given: given) if model is None else model


def _mark(function: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Markers such as ``torch.compiler.disable``: with or without arguments."""
    return (lambda given: given) if function is None else function


def _checkpoint(function: Any, *args: Any, **kwargs: Any) -> Any:
    own = {"use_reentrant", "context_fn", "determinism_check", "preserve_rng_state", "debug", "early_stop"}
    return function(*args, **{k: v for k, v in kwargs.items() if k not in own})


def _original(model: torch.nn.Module) -> torch.nn.Module:
    """The module that a compiled one stands for, itself; to a loop that looks for the innermost it is that.

    Raises:
        AttributeError: the head of a ``while`` asks, which would never end.
    """
    frame = sys._getframe(1)
    if heads_a_loop(frame.f_code, frame.f_lineno):
        raise AttributeError("_orig_mod")
    return model


class InferenceMode(torch.no_grad):
    """``no_grad`` in its place.

    Compiled GPU code hides that rotary caches made in inference mode are used in training later;
    eager code would refuse them.
    """

    def __new__(cls, mode: Any = True) -> Any:
        """Decorate when given a function, switch off when given False."""
        if callable(mode):
            return torch.no_grad()(mode)
        return super().__new__(cls) if mode else Context()

    def __init__(self, mode: Any = True) -> None:
        super().__init__()


class _Triton(Anything):
    """Settings of its kernels; the profiler asks for graphs."""

    cudagraphs = False
    patch = Context


def _dynamo_functions() -> dict[str, Any]:
    silent = (
        "mark_static_address",
        "reset",
        "mark_dynamic",
        "maybe_mark_dynamic",
        "mark_static",
        "reset_code_caches",
        "graph_break",
    )
    return {
        **dict.fromkeys(silent, nothing),
        "disable": _mark,
        "allow_in_graph": _mark,
        "disallow_in_graph": _mark,
        "optimize": lambda *a, **k: _mark,
        "is_compiling": constant(False),
        "is_dynamo_supported": constant(True),
        "set_stance": Context,
    }


def _stand_in() -> None:
    """The real package takes seconds to import and every optimizer imports it; nothing here compiles."""
    module("torch._dynamo", **_dynamo_functions())
    lenient(module("torch._dynamo.utils", counters=defaultdict(Counter)))
    configure("_dynamo")
    inductor = {"list_mode_options": lambda mode=None, dynamic=None: {}, "list_options": list}
    lenient(module("torch._inductor", **inductor))
    configure("_inductor", triton=_Triton())
    configure("_functorch")
    module("torch._dynamo.eval_frame", OptimizedModule=type("OptimizedModule", (torch.nn.Module,), {}))


def install(real_dynamo: bool = False) -> None:
    """Make compilation the identity. ``real_dynamo`` for scripts that need its insides (flex attention)."""
    import torch.utils.checkpoint as checkpointing

    if real_dynamo:
        import torch._dynamo as dynamo

        replace(dynamo, **_dynamo_functions())
    else:
        _stand_in()
    compiler: Any = torch.compiler
    replace(torch, compile=_compile, inference_mode=InferenceMode)
    replace(torch.autograd.grad_mode, inference_mode=InferenceMode)
    replace(torch.nn.Module, compile=nothing, _orig_mod=property(_original))
    replace(compiler, disable=_mark, allow_in_graph=_mark, assume_constant_result=_mark)
    replace(compiler, set_stance=Context)
    replace(torch.jit, script=_mark)
    replace(compiler, reset=nothing, is_compiling=constant(False), cudagraph_mark_step_begin=nothing)
    replace(checkpointing, checkpoint=_checkpoint)
