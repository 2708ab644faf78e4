"""``torch.cuda``: one H100 that has nothing to wait for."""

from __future__ import annotations

import contextlib
import os
import types
from collections import defaultdict
from typing import Any

import torch

from harness.facade.patching import Anything, constant, nothing, replace, zero

NAME = "NVIDIA H100 80GB HBM3"
_GIB = 1 << 30
PROPERTIES = types.SimpleNamespace(
    name=NAME,
    major=9,
    minor=0,
    total_memory=80 * _GIB,
    # Persistent kernels start one program a multiprocessor; a small number keeps them short here.
    multi_processor_count=2,
    max_threads_per_multi_processor=2048,
    warp_size=32,
    shared_memory_per_block_optin=232448,
    regs_per_multiprocessor=65536,
    L2_cache_size=50 << 20,
    gcnArchName="",
    max_threads_per_block=1024,
    uuid="GPU-00000000-0000-0000-0000-000000000000",
)


class Event(Anything):
    """Times are the virtual clock's."""

    moment = 0.0

    def record(self, *args: Any) -> None:
        """Note the time."""
        import time

        self.moment = time.perf_counter()

    def elapsed_time(self, other: Event) -> float:
        """Milliseconds until ``other``."""
        return (other.moment - self.moment) * 1e3

    def query(self) -> bool:
        """Everything has always finished."""
        return True


class Stream(Anything):
    """Work is done when it is asked for, so order holds by itself."""

    cuda_stream = 0
    device = torch.device("cuda", 0)

    def query(self) -> bool:
        """Everything has always finished."""
        return True

    def record_event(self, event: Event | None = None) -> Event:
        """Record on the only stream."""
        event = event or Event()
        event.record()
        return event


class Context(contextlib.ContextDecorator):
    """A context manager and decorator without effect."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *exc: Any) -> None:
        pass


class Graph(Anything):
    """Capturing runs the body once; replaying cannot be imitated and says so."""

    def replay(self) -> None:
        """Refuse: the captured body cannot be run again."""
        raise NotImplementedError("facade: CUDA graph replay has no CPU equivalent")


class GradScaler:
    """Loss scaling by 1."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def scale(self, loss: Any) -> Any:
        """Unchanged."""
        return loss

    def unscale_(self, optimizer: Any) -> None:
        """Nothing to undo."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Step the optimizer."""
        return optimizer.step(*args, **kwargs)

    def update(self, *args: Any) -> None:
        """Nothing to adapt."""

    def get_scale(self) -> float:
        """Always 1."""
        return 1.0

    def is_enabled(self) -> bool:
        """Never."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""


def _answers() -> dict[str, Any]:
    return {
        "is_available": constant(True),
        "device_count": constant(int(os.environ.get("LOCAL_WORLD_SIZE", "1"))),
        "current_device": zero,
        "is_initialized": constant(True),
        "get_device_properties": constant(PROPERTIES),
        "get_device_capability": constant((9, 0)),
        "get_device_name": constant(NAME),
        "is_bf16_supported": constant(True),
        "mem_get_info": constant((79 * _GIB, 80 * _GIB)),
        "memory_stats": lambda *a, **k: defaultdict(int),
        "memory_summary": constant(""),
        "get_rng_state": lambda *a, **k: torch.get_rng_state(),
        "get_rng_state_all": lambda: [torch.get_rng_state()],
        "is_current_stream_capturing": constant(False),
        "get_arch_list": lambda: ["sm_90"],
        "current_stream": lambda *a, **k: Stream(),
        "default_stream": lambda *a, **k: Stream(),
        "can_device_access_peer": constant(True),
        "get_allocator_backend": constant("native"),
        "initial_seed": lambda *a, **k: torch.initial_seed(),
        "default_generators": (torch.default_generator,),
    }


_SILENT = """
set_device synchronize empty_cache init reset_peak_memory_stats reset_max_memory_allocated
reset_accumulated_memory_stats set_per_process_memory_fraction ipc_collect manual_seed
manual_seed_all seed seed_all set_rng_state set_rng_state_all set_stream graph_pool_handle
_lazy_init set_sync_debug_mode
"""
_ZERO = """
max_memory_allocated max_memory_reserved memory_allocated memory_reserved utilization temperature power_draw
clock_rate get_sync_debug_mode current_blas_handle
"""
_TYPES = "Float Double Half BFloat16 Byte Char Short Int Long Bool"


def install() -> None:
    """Replace ``torch.cuda`` and what hangs on it."""
    cuda: Any = torch.cuda
    replace(cuda, **_answers())
    replace(cuda, **dict.fromkeys(_SILENT.split(), nothing), **dict.fromkeys(_ZERO.split(), zero))
    replace(cuda, Event=Event, Stream=Stream, stream=Context, device=Context, CUDAGraph=Graph, graph=Context)
    replace(cuda, **{f"{kind}Tensor": getattr(torch, f"{kind}Tensor") for kind in _TYPES.split()})
    replace(cuda.nccl, version=constant((2, 27, 3)))
    replace(cuda.profiler, start=nothing, stop=nothing)
    replace(cuda.memory, _record_memory_history=nothing, _dump_snapshot=nothing)
    replace(cuda.amp, GradScaler=GradScaler)
    replace(torch.amp, GradScaler=GradScaler)
    replace(cuda.nvtx, range_push=nothing, range_pop=nothing, range=Context, mark=nothing)
    replace(torch.version, cuda="12.8")
    backends: Any = torch.backends
    replace(backends.cudnn, version=constant(91002), is_available=constant(True))
    switches = ("cudnn", "flash", "math", "mem_efficient")
    replace(backends.cuda, **{f"enable_{name}_sdp": nothing for name in switches}, sdp_kernel=Context)
    replace(backends.cuda, preferred_linalg_library=nothing, preferred_blas_library=nothing)
    replace(torch.accelerator, synchronize=nothing)
    replace(torch.autograd.graph, save_on_cpu=Context)
    import torch.nn.attention as attention

    replace(attention, sdpa_kernel=Context)
