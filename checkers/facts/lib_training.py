"""What training libraries do: backward passes, optimizers, states, hooks, wrappers, ranks."""

from __future__ import annotations

import ast
from typing import Any

from checkers.facts.events import Did
from checkers.facts.library import Use, effect
from checkers.facts.values import (
    GRAD,
    NOTHING,
    RANK,
    RAW,
    UNKNOWN,
    Class,
    Entry,
    Instance,
    Mapping,
    Sequence,
    Value,
    children,
    closure,
    deep,
    flat,
)


@effect("backward")
def _backward(machine: Any, use: Use) -> Value | None:
    loss = flat(use.operand(0)) if use.receiver is not None else machine.inputs(use.args, use.keywords)
    if machine.stepped:
        machine.pending, machine.stepped = 0, False
    machine.pending |= loss & ~RAW
    machine.cleared = set()
    return NOTHING


@effect("zero_grad")
def _zero_grad(machine: Any, use: Use) -> Value:
    """A step of these optimizers moves nothing until the next backward pass."""
    machine.cleared |= {r.serial for r in (use.receiver or NOTHING).refs if _is_optimizer(r)}
    return NOTHING


@effect("grad", "value_and_grad", "jacobian")
def _grad(machine: Any, use: Use) -> Value | None:
    if use.receiver is not None:
        return None
    return Value(bits=machine.inputs(use.args[:1], {}) & ~RAW | GRAD)


@effect("step")
def _step(machine: Any, use: Use) -> Value | None:
    targets = [v for v in use.everything if any(_is_optimizer(r) for r in v.refs)]
    if not targets and machine.pending and use.receiver is not None and not use.receiver.refs:
        targets = [use.receiver]
    for closure_function in use.args[:1]:
        if targets and not any(_is_optimizer(r) for r in closure_function.refs) and closure_function.refs:
            machine.call(closure_function, [], {}, use.node)
    for target in targets:
        if target.refs and all(r.serial in machine.cleared for r in target.refs):
            continue
        parameters = tuple(p for r in target.refs if isinstance(r, Instance) for p in _parameters(r))
        machine.update(use.node, Value(refs=parameters))
    if (
        not targets
        and use.receiver is not None
        and not any(isinstance(r, Instance) for r in use.receiver.refs)
    ):
        return None
    return NOTHING


def _is_optimizer(ref: Any) -> bool:
    return isinstance(ref, Instance) and ref.what == "optimizer"


def _parameters(ref: Instance) -> tuple[Any, ...]:
    held = ref.attrs.get("_params", NOTHING)
    more = tuple(r for v in held.refs if isinstance(v, Sequence) for i in (v.items or ()) for r in i.refs)
    return (*held.refs, *more)


@effect(
    "manual_seed",
    "barrier",
    "synchronize",
    "empty_cache",
    "collect",
    "reset_peak_memory_stats",
    "set_grad_enabled",
    "init_process_group",
    "destroy_process_group",
    "seed",
    "manual_seed_all",
    "all_reduce",
    "all_gather",
    "reduce",
    "reduce_scatter",
    "all_gather_into_tensor",
    "clip_grad_norm_",
    "set_device",
)
def _nothing(machine: Any, use: Use) -> Value:
    return NOTHING


@effect("broadcast", "broadcast_object_list", "broadcast_coalesced")
def _broadcast(machine: Any, use: Use) -> Value:
    """All ranks hold the same from here on."""
    machine.emit(Did.SHARED, use.node, 0)
    for value in use.args[:1]:
        for obj in closure(value)[1]:
            obj.state &= ~RANK
    return NOTHING


@effect("get_rank")
def _rank(machine: Any, use: Use) -> Value:
    return Value(bits=RANK)


@effect("get_world_size")
def _world_size(machine: Any, use: Use) -> Value:
    return Value(machine.settings.world_size or UNKNOWN)


@effect("parameters", "modules", "children", "buffers")
def _parts(machine: Any, use: Use) -> Value | None:
    if use.receiver is None:
        return None
    return Value(refs=(Sequence(None, _inside(use.receiver)),))


@effect("named_parameters", "named_modules", "named_children", "named_buffers")
def _named_parts(machine: Any, use: Use) -> Value | None:
    if use.receiver is None:
        return None
    pair = Value(refs=(Sequence([NOTHING, _inside(use.receiver)]),))
    return Value(refs=(Sequence(None, pair),))


@effect("requires_grad_")
def _requires_grad(machine: Any, use: Use) -> Value:
    target = use.operand(0)
    machine.differentiate(target, use.arg(0, "requires_grad") or Value(True))
    return target


def _inside(receiver: Value) -> Value:
    """A part of a model stands for the model: what is done to one part is done to it."""
    return Value(UNKNOWN, receiver.bits, receiver.refs)


@effect(
    "get_submodule",
    "get_parameter",
    "apply",
    "compile",
    "DistributedDataParallel",
    "DDP",
    "FullyShardedDataParallel",
    "script",
    "wraps",
    "get_peft_model",
    "lru_cache",
    "DataParallel",
    "fullgraph",
    "jit",
    "inference_mode",
    "no_grad",
    "disable",
    "autocast",
    "unwrap_model",
    "cache",
    "contextmanager",
    "to_empty",
)
def _same(machine: Any, use: Use) -> Value | None:
    """Wrappers and parts that stand for what they wrap."""
    if use.name == "apply" and use.receiver is not None:
        return _apply(machine, use)
    whole = use.operand(0)
    if use.receiver is None and not use.args:
        return Value(refs=machine.library("functools.identity").refs)
    return whole


@effect("functools.identity", "identity")
def _identity(machine: Any, use: Use) -> Value:
    return use.operand(0)


def _apply(machine: Any, use: Use) -> Value:
    """``Function.apply`` of an autograd function runs its ``forward``."""
    receiver = use.receiver or NOTHING
    for ref in receiver.refs:
        if isinstance(ref, Class) and (found := ref.find("forward")):
            ran: Value = machine.call(found[0], [NOTHING, *use.args], use.keywords, use.node)
            return ran
    return receiver


@effect("register_buffer", "register_parameter", "add_module")
def _register(machine: Any, use: Use) -> Value:
    """A tensor or module becomes an attribute."""
    if use.receiver is not None and len(use.args) > 1 and isinstance(use.args[0].const, str):
        target = ast.Attribute(value=ast.Name("self"), attr=use.args[0].const, ctx=ast.Store())
        machine.set_attribute(use.receiver, ast.copy_location(target, use.node), use.args[1])
    return NOTHING


@effect("state_dict")
def _state_dict(machine: Any, use: Use) -> Value | None:
    if use.receiver is None or any(_is_optimizer(r) for r in use.receiver.refs):
        return NOTHING
    mapping = Mapping(machine.loops)
    learned = machine.learned_in(use.receiver)
    mapping.rest = Value(bits=learned, refs=(Entry(machine.loops, learned, use.receiver.refs),))
    return Value(refs=(mapping,))


@effect("load_state_dict", "functional_call")
def _load_state(machine: Any, use: Use) -> Value | None:
    if use.receiver is None or any(_is_optimizer(r) for r in use.receiver.refs):
        return None
    source = use.arg(0, "state_dict") or NOTHING
    machine.load(use.receiver, deep(source) & ~RAW, use.node)
    return NOTHING


def _modules_of(value: Value) -> list[Instance]:
    """The modules that a value stands for: itself, or the members of a list of modules."""
    refs = [r for r in value.refs if isinstance(r, Instance)]
    for ref in value.refs:
        if isinstance(ref, Sequence):
            refs += [r for item in children(ref) for r in item.refs if isinstance(r, Instance)]
    return refs


@effect("register_forward_hook", "register_forward_pre_hook")
def _hook(machine: Any, use: Use) -> Value:
    modules = _modules_of(use.receiver or NOTHING)
    for ref in modules:
        machine.touch(ref)
        if use.args and len(ref.hooks) < 4:
            ref.hooks.append(use.args[0])
    handle = Instance(None, machine.loops, "hook")
    handle.attrs["_of"] = Value(refs=tuple(modules))
    return Value(refs=(handle,))


@effect("remove")
def _remove(machine: Any, use: Use) -> Value | None:
    """``handle.remove()`` takes the hooks off again."""
    for ref in (use.receiver or NOTHING).refs:
        if isinstance(ref, Instance) and ref.what == "hook":
            for model in ref.attrs["_of"].refs:
                if isinstance(model, Instance):
                    machine.touch(model)
                    model.hooks.clear()
    return NOTHING


@effect("deepcopy")
def _deepcopy(machine: Any, use: Use) -> Value:
    copied: Value = machine.clone(use.operand(0))
    return copied


@effect("checkpoint")
def _checkpoint(machine: Any, use: Use) -> Value | None:
    return machine.call(use.args[0], use.args[1:], {}, use.node) if use.args else None


@effect("parameters_to_vector")
def _vector(machine: Any, use: Use) -> Value:
    return Value(bits=machine.learned_in(use.operand(0)))
