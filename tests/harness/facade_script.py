"""Runs in a process of its own under the façade and prints what it saw as one line of JSON."""

import io
import json
import pickle
import sys
import threading
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F

from harness.facade import FacadeConfig, install

NATIVE = torch.bfloat16
install(FacadeConfig(steps=4, wall_seconds=600.0))
seen: dict[str, object] = {}


def devices() -> None:
    device = torch.device("cuda", 0)
    tensors = [
        torch.zeros(3, device="cuda"),
        torch.ones(3).to(device),
        torch.ones(3).cuda(non_blocking=True),
        torch.ones(3).pin_memory().to(0),
        torch.empty(0).new_zeros((3,), device="cuda:0"),
        torch.arange(3, device=device, pin_memory=False),
        torch.nn.Linear(2, 2).to(device).weight,
        torch.nn.Linear(2, 2, device="cuda").cuda().weight,
        torch.randn(3, generator=torch.Generator(device="cuda"), device="cuda"),
    ]
    seen["devices"] = sorted({str(t.device) for t in tensors})
    found: list[str] = []

    def work() -> None:
        found.append(str(torch.zeros(2, device="cuda").device))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    seen["thread_device"] = found
    seen["cuda"] = [
        torch.cuda.is_available(),
        torch.cuda.device_count(),
        torch.cuda.get_device_capability()[0],
    ]
    seen["is_cuda"] = torch.zeros(1, device="cuda").is_cuda
    seen["recorded"] = torch.zeros(1, device="cuda").record_stream(torch.cuda.current_stream())
    with torch.autocast(device_type="cuda", dtype=torch.bfloat16):
        seen["autocast_dtype"] = str((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
    seen["alias"] = torch.bfloat16 is torch.float32 and torch.ones(1).bfloat16().dtype is torch.float32


def aside() -> None:
    """What is brought from the GPU keeps its values while the weights move on."""
    weights = torch.ones(2, device="cuda")
    kept = [weights.cpu(), weights.to("cpu"), weights.detach().to(device="cpu", dtype=torch.float32)]
    weights.add_(1)
    seen["kept"] = [k.tolist() for k in kept]
    seen["host"] = [kept[0].is_cuda, kept[0].cpu() is kept[0], weights.is_cuda]


class Odd:
    """Something that is no tensor."""


def loading() -> None:
    """Of what is no tensor: a plain call could until torch 2.6, none can that asks for weights alone."""
    held = io.BytesIO()
    torch.save({"odd": Odd(), "w": torch.ones(2)}, held)
    held.seek(0)
    seen["loaded"] = torch.load(held, map_location="cuda")["w"].tolist()
    held.seek(0)
    try:
        torch.load(held, weights_only=True)
    except pickle.UnpicklingError:
        seen["refused"] = True


def collectives() -> None:
    dist.init_process_group(backend="nccl", device_id=torch.device("cuda", 0))
    x = torch.arange(4.0)
    out = torch.zeros(4)
    handle = dist.all_reduce(x, op=dist.ReduceOp.AVG, async_op=True)
    handle.wait()
    dist.all_gather_into_tensor(out, x)
    seen["gathered"] = out.tolist()
    dist.reduce_scatter_tensor(out, x * 2)
    seen["scattered"] = out.tolist()
    parts = [torch.zeros(4)]
    dist.all_gather(parts, x)
    objects = [None]
    dist.all_gather_object(objects, {"a": 1})
    dist.barrier()
    seen["lists"] = [parts[0].tolist(), objects]
    seen["rank_of_world"] = [dist.get_rank(), dist.get_world_size(), dist.is_initialized()]
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1), device_ids=[0])
    seen["ddp"] = list(model(torch.ones(1, 2)).shape)
    dist.destroy_process_group()
    seen["destroyed"] = not dist.is_initialized()


def clock() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    leader = torch.optim.AdamW([weight], lr=0.1, fused=True)
    follower = torch.optim.SGD([weight], lr=0.1)
    start = time.perf_counter()
    steps = 0
    while time.perf_counter() - start < 600 and steps < 50:
        weight.grad = torch.ones(2)
        leader.step()
        follower.step()
        steps += 1
    seen["steps_in_budget"] = steps
    start = time.perf_counter()
    by_hand = 0
    while by_hand < 1000:
        if time.perf_counter() - start > 300:
            break
        (weight * weight).sum().backward()
        weight.data -= 0.1 * weight.grad
        by_hand += 1
    seen["updates_by_hand"] = by_hand
    start = time.monotonic()
    tried = 0
    while time.monotonic() - start < 60 and tried < 1000:
        tried += 1
    seen["tried_while_there_is_time"] = tried
    a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    a.record()
    time.sleep(5.0)
    b.record()
    seen["slept_ms"] = round(a.elapsed_time(b))
    start = time.perf_counter()
    beside = threading.Thread(target=lambda: [time.perf_counter() for _ in range(50)] + [time.sleep(30)])
    beside.start()
    beside.join()
    seen["beside_ms"] = round(1000 * (time.perf_counter() - start), 3)


def compiling() -> None:
    @torch.compile(options=dict(torch._inductor.list_mode_options("max-autotune")), fullgraph=True)
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    seen["compiled"] = twice(torch.ones(1)).item()
    layer = torch.nn.Linear(1, 1)
    compiled = torch.compile(layer)
    innermost, seen["unwrapped"] = compiled, [compiled._orig_mod is layer, hasattr(compiled, "_orig_mod")]
    while hasattr(innermost, "_orig_mod"):
        innermost = innermost._orig_mod
    with torch.inference_mode():
        cache = torch.ones(2)
    weight = torch.ones(2, requires_grad=True)
    (cache * weight).sum().backward()
    seen["inference_cache_in_training"] = weight.grad is not None
    import torch._dynamo as dynamo

    dynamo.config.cache_size_limit = 64
    seen["compiled_before"] = torch._dynamo.utils.counters["stats"].get("calls_captured", 0)
    kept = torch.utils.checkpoint.checkpoint(lambda x: x * 3, torch.ones(1), use_reentrant=False)
    seen["checkpoint"] = kept.item()


def attention() -> None:
    from flash_attn_interface import flash_attn_func, flash_attn_varlen_func

    torch.manual_seed(0)
    q, k, v = torch.randn(2, 6, 4, 8), torch.randn(2, 6, 2, 8), torch.randn(2, 6, 2, 8)
    ours = flash_attn_func(q, k, v, causal=True)
    wide = [x.transpose(1, 2) for x in (q, k.repeat_interleave(2, 2), v.repeat_interleave(2, 2))]
    seen["flash_is_sdpa"] = torch.allclose(
        ours.transpose(1, 2), F.scaled_dot_product_attention(*wide, is_causal=True), atol=1e-5
    )
    early, norm = flash_attn_func(q, k, v, causal=True)
    told, same, nothing = flash_attn_func(q, k, v, causal=True, return_attn_probs=True)
    seen["flash_pair"] = torch.equal(early, ours) and torch.equal(told, ours) and torch.equal(norm, same)
    kept = flash_attn_func(q, k, v, causal=True, return_attn_probs=True)
    seen["flash_triple"] = (len(kept), nothing) == (3, None)
    packed = [x.flatten(0, 1) for x in (q, k, v)]
    bounds = torch.tensor([0, 6, 12], dtype=torch.int32)
    varlen = flash_attn_varlen_func(*packed, bounds, bounds, 6, 6, causal=True)
    seen["varlen_is_batch"] = torch.allclose(varlen.view(2, 6, 4, 8), ours, atol=1e-5)
    windowed = flash_attn_func(q, k, v, causal=True, window_size=(2, 0))
    scores = (wide[0] @ wide[1].transpose(-1, -2)) / 8**0.5
    i, j = torch.arange(6)[:, None], torch.arange(6)[None]
    allowed = (j <= i) & (j >= i - 2)
    exact = torch.softmax(scores.masked_fill(~allowed, float("-inf")), -1) @ wide[2]
    seen["window_is_masked"] = torch.allclose(windowed.transpose(1, 2), exact, atol=1e-5)


def sources() -> None:
    from harness.facade.sources import SourceBook
    from harness.facade.sources import install as install_sources

    install_sources(
        SourceBook(constants={"WIDTH": 8, "Config.depth": 2, "calibrate(num_seqs)": 3}), "/nowhere"
    )
    text = (
        "WIDTH = 512\nclass Config:\n    depth: int = 11\n    half = depth / 2\n"
        "def calibrate(x, num_seqs=64):\n    WIDTH = 5\n    return num_seqs, WIDTH\n"
        "found = [WIDTH, Config.depth, Config.half, calibrate(0), calibrate(0, num_seqs=99)]\n" + "#" * 2000
    )
    space: dict[str, object] = {}
    exec(text, space)
    seen["constants"] = space["found"]
    import inspect

    seen["source_found"] = "num_seqs=64" in inspect.getsource(space["calibrate"])


def questions() -> None:
    """What scripts ask a node beside their training: each answer is one that an H100 could give."""
    cuda = torch.cuda
    device = cuda.get_device_properties(0)
    seen["answers"] = {
        "memory_stats": cuda.memory_stats()["allocated_bytes.all.peak"],
        "nccl": cuda.nccl.version() >= (2, 0, 0),
        "generator": cuda.default_generators[0].initial_seed() == cuda.initial_seed(),
        "sensors": [cuda.temperature(), cuda.power_draw(), cuda.clock_rate()],
        "device": [device.max_threads_per_block, device.uuid[:3]],
        "type": cuda.FloatTensor([1.0, 2.0]).sum().item(),
        "graphs": torch._inductor.config.triton.cudagraphs,
        "supported": torch._dynamo.is_dynamo_supported(),
        "limit": max(getattr(torch._dynamo.config, "cache_size_limit", 4), 2),  # torch's own, by its old name
    }
    cuda.set_sync_debug_mode("warn")
    cuda.profiler.start()
    torch.backends.cuda.preferred_linalg_library("magma")
    torch._functorch.config.donated_buffer = False
    torch._dynamo.mark_static_address(torch.ones(1))
    with torch.compiler.set_stance("force_eager"):
        matrix = torch.diag(torch.tensor([3.0, 2.0], device="cuda"))
        seen["singular"] = torch.linalg.svd(matrix, driver="gesvd")[1].tolist()
    weight = torch.ones(2, requires_grad=True)
    with torch.autograd.graph.save_on_cpu(pin_memory=True):
        (weight**2).sum().backward()
    seen["saved_gradient"] = weight.grad.tolist()
    scripted = torch.jit.script(torch.nn.Linear(2, 1))
    parallel = torch.nn.DataParallel(scripted.cuda())
    seen["parallel"] = [parallel.module is scripted, list(parallel(torch.ones(3, 2, device="cuda")).shape)]
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
    model.register_comm_hook(None, None)
    with model.join():
        seen["joined"] = [*model(torch.ones(1, 2)).shape, *torch.distributed.get_process_group_ranks(None)]


for check in (questions, devices, aside, loading, collectives, clock, compiling, attention, sources):
    check()
sys.stdout.write(json.dumps(seen) + "\n")
