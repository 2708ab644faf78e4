"""Launches small kernels and prints their results as JSON: emulated or by Triton's interpreter."""

import json
import sys

import torch

if sys.argv[1] == "emulated":
    from harness.facade import cuda, dtypes, kernels

    dtypes.install("alias")
    cuda.install()
    kernels.install()

import triton
import triton.language as tl


@triton.jit
def double(x):
    return x * 2


@triton.jit
def add_kernel(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    pid = tl.program_id(axis=0)
    offsets = pid * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask, other=0.0)
    y = tl.load(y_ptr + offsets, mask=mask)
    tl.store(out_ptr + offsets, double(x) + y, mask=mask)


@triton.jit
def softmax_kernel(x_ptr, out_ptr, stride, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    offsets = tl.arange(0, BLOCK)
    mask = offsets < columns
    x = tl.load(x_ptr + row * stride + offsets, mask=mask, other=-float("inf"))
    e = tl.exp(x - tl.max(x, axis=0))
    tl.store(out_ptr + row * stride + offsets, e / tl.sum(e, axis=0), mask=mask)


@triton.jit
def matmul_kernel(
    a_ptr,
    b_ptr,
    c_ptr,
    M,
    N,
    K,
    sam,
    sak,
    sbk,
    sbn,
    scm,
    scn,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    pid = tl.program_id(0)
    columns = tl.cdiv(N, BN)
    i, j = pid // columns, pid % columns
    om, on, ok = i * BM + tl.arange(0, BM), j * BN + tl.arange(0, BN), tl.arange(0, BK)
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    for k in range(tl.cdiv(K, BK)):
        left = K - k * BK
        a = tl.load(
            a_ptr + om[:, None] * sam + (ok[None, :] + k * BK) * sak,
            mask=(om[:, None] < M) & (ok[None, :] < left),
            other=0.0,
        )
        b = tl.load(
            b_ptr + (ok[:, None] + k * BK) * sbk + on[None, :] * sbn,
            mask=(ok[:, None] < left) & (on[None, :] < N),
            other=0.0,
        )
        acc += tl.dot(a, b)
    acc = tl.where(acc > 0, acc, 0.5 * acc)
    tl.store(c_ptr + om[:, None] * scm + on[None, :] * scn, acc, mask=(om[:, None] < M) & (on[None, :] < N))


@triton.jit
def histogram_kernel(x_ptr, counts_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    bucket = tl.load(x_ptr + offsets, mask=mask, other=0)
    tl.atomic_add(counts_ptr + bucket, 1, mask=mask)


@triton.jit
def halves_kernel(x_ptr, out_ptr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, N))
    first, second = tl.split(tl.permute(tl.reshape(x, (2, N // 2)), (1, 0)))
    value = tl.sigmoid(first) + tl.maximum(second, 0.25) - tl.log(1.0 + tl.abs(first))
    tl.store(out_ptr + tl.arange(0, N // 2), value)


torch.manual_seed(0)
x, y = torch.randn(100), torch.randn(100)
out = torch.zeros(100)
add_kernel[(triton.cdiv(100, 32),)](x, y, out, 100, BLOCK=32)
rows = torch.randn(5, 20)
soft = torch.zeros(5, 20)
softmax_kernel[(5,)](rows, soft, rows.stride(0), 20, BLOCK=32)
a, b, c = torch.randn(33, 24), torch.randn(20, 24).T, torch.zeros(33, 20)
grid = lambda meta: (triton.cdiv(33, meta["BM"]) * triton.cdiv(20, meta["BN"]),)  # noqa: E731
matmul_kernel[grid](a, b, c, 33, 20, 24, *a.stride(), *b.stride(), *c.stride(), BM=16, BN=16, BK=16)
counts = torch.zeros(8, dtype=torch.int32)
histogram_kernel[(4,)](torch.arange(50, dtype=torch.int32) % 8, counts, 50, BLOCK=16)
halves = torch.zeros(32)
halves_kernel[(1,)](torch.linspace(-2, 2, 64), halves, N=64)
product = a @ b
exact = {
    "add": 2 * x + y,
    "softmax": torch.softmax(rows, 1),
    "matmul": torch.where(product > 0, product, 0.5 * product),
    "histogram": torch.bincount(torch.arange(50) % 8, minlength=8),
}
results = {"add": out, "softmax": soft, "matmul": c, "histogram": counts, "halves": halves}
print(
    json.dumps(
        {
            "results": {k: v.tolist() for k, v in results.items()},
            "exact": {k: v.tolist() for k, v in exact.items()},
        }
    )
)
