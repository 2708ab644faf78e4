"""``triton.language`` on torch tensors. Names, arguments and results follow Triton's."""

from __future__ import annotations

import builtins
from typing import Any

import torch

from harness.facade.kernels.place import Place, each
from harness.facade.kernels.pointers import Pointer, Window

int1, int8, int16, int32, int64 = torch.bool, torch.int8, torch.int16, torch.int32, torch.int64
uint8, uint16, uint32, uint64 = torch.uint8, torch.uint16, torch.uint32, torch.uint64
float16, float32, float64 = torch.float16, torch.float32, torch.float64
bfloat16 = torch.bfloat16
float8e4nv, float8e5 = torch.float8_e4m3fn, torch.float8_e5m2
tensor = torch.Tensor
dtype = torch.dtype


class constexpr:  # noqa: N801
    """A compile-time value is the value itself; the class serves annotations."""

    def __new__(cls, value: Any = None) -> Any:
        """Return the value."""
        return value


class TensorDescriptor(Window):
    """``TensorDescriptor(base, shape, strides, block_shape)`` made on the host."""

    def __init__(
        self, base: Any, shape: Any, strides: Any, block_shape: Any, *rest: Any, **options: Any
    ) -> None:
        self.base = base
        pointer = Pointer.to(base) if isinstance(base, torch.Tensor) else base
        super().__init__(pointer, shape, strides, block_shape)

    @classmethod
    def from_tensor(cls, tensor: torch.Tensor, block_shape: Any, *rest: Any) -> TensorDescriptor:
        """A descriptor of a whole tensor."""
        return cls(tensor, list(tensor.shape), list(tensor.stride()), block_shape)


def _t(value: Any) -> torch.Tensor:
    block: torch.Tensor = torch.as_tensor(value)
    return block


def _float(value: Any) -> torch.Tensor:
    block = _t(value)
    return block if block.is_floating_point() else block.float()


# ---- programs and shapes ------------------------------------------------------------------------


def program_id(axis: int) -> torch.Tensor:
    """Index of the running program along an axis (int32 scalar)."""
    own = Place.index[axis]
    return own.clone() if isinstance(own, torch.Tensor) else torch.tensor(own, dtype=torch.int32)


def num_programs(axis: int) -> torch.Tensor:
    """Programs along an axis."""
    return torch.tensor(Place.grid[axis], dtype=torch.int32)


def arange(start: int, end: int) -> torch.Tensor:
    """int32 range."""
    return each(torch.arange(int(start), int(end), dtype=torch.int32))


def range(start: Any, end: Any = None, step: Any = 1, **options: Any) -> Any:  # noqa: A001
    """A loop; pipelining hints are ignored."""
    if end is None:
        start, end = 0, start
    return builtins.range(int(start), int(end), int(step))


static_range = range


def full(shape: Any, value: Any, dtype: Any) -> torch.Tensor:
    """A block of one value."""
    value = float(value) if dtype.is_floating_point else int(value)
    return each(torch.full([int(s) for s in shape], value, dtype=dtype))


def zeros(shape: Any, dtype: Any) -> torch.Tensor:
    """A block of zeros."""
    return each(torch.zeros([int(s) for s in shape], dtype=dtype))


def zeros_like(x: torch.Tensor) -> torch.Tensor:
    """Zeros of the same kind."""
    return each(torch.zeros_like(x))


def cdiv(x: Any, div: Any) -> Any:
    """Division rounded up."""
    return (x + div - 1) // div


def _dimensions(args: tuple[Any, ...]) -> list[int]:
    dims = args[0] if len(args) == 1 and isinstance(args[0], (list, tuple)) else args
    return [int(d) for d in dims]


def reshape(x: torch.Tensor, *shape: Any, **options: Any) -> torch.Tensor:
    """Another shape."""
    return x.reshape(_dimensions(shape))


view = reshape


def permute(x: torch.Tensor, *dims: Any) -> torch.Tensor:
    """Another order of dimensions."""
    return x.permute(_dimensions(dims))


def trans(x: torch.Tensor, *dims: Any) -> torch.Tensor:
    """Transpose (the last two dimensions by default)."""
    return x.permute(_dimensions(dims)) if dims else x.transpose(-1, -2)


def ravel(x: torch.Tensor) -> torch.Tensor:
    """One dimension."""
    return x.reshape(-1)


def split(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The halves along a last dimension of two."""
    return x[..., 0], x[..., 1]


def join(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Two blocks along a new last dimension."""
    return torch.stack([a + torch.zeros_like(b), b + torch.zeros_like(a)], -1)


def interleave(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Alternate along the last dimension."""
    return join(a, b).flatten(-2)


def cat(a: torch.Tensor, b: torch.Tensor, can_reorder: bool = False) -> torch.Tensor:
    """One after the other."""
    return torch.cat([a, b])


def expand_dims(x: torch.Tensor, axis: int) -> torch.Tensor:
    """A dimension of one."""
    return x.unsqueeze(axis)


def broadcast_to(x: Any, *shape: Any) -> torch.Tensor:
    """Repeat to a shape."""
    return _t(x).broadcast_to(_dimensions(shape))


# ---- memory -------------------------------------------------------------------------------------


def load(pointer: Any, mask: Any = None, other: Any = None, **options: Any) -> Any:
    """Read from a pointer, a block of pointers or a block pointer."""
    if isinstance(pointer, Window):
        return pointer.load()
    return pointer.load(mask, other)


def store(pointer: Any, value: Any, mask: Any = None, **options: Any) -> None:
    """Write."""
    if isinstance(pointer, Window):
        pointer.store(pointer.offsets, value)
    else:
        pointer.store(value, mask)


def atomic_add(pointer: Any, value: Any, mask: Any = None, **options: Any) -> Any:
    """Add in memory; programs run one after the other, so the order is fixed."""
    return pointer.accumulate(value, mask)


def make_block_ptr(
    base: Any, shape: Any, strides: Any, offsets: Any, block_shape: Any, order: Any = None
) -> Window:
    """A block pointer."""
    return Window(base, shape, strides, block_shape, offsets)


def make_tensor_descriptor(base: Any, shape: Any, strides: Any, block_shape: Any, **options: Any) -> Window:
    """A descriptor made in the kernel."""
    return Window(base, shape, strides, block_shape)


def advance(window: Window, offsets: Any) -> Window:
    """Move a block pointer."""
    return window.advance(offsets)


# ---- arithmetic ---------------------------------------------------------------------------------


def dot(
    a: torch.Tensor, b: torch.Tensor, acc: Any = None, *args: Any, out_dtype: Any = None, **options: Any
) -> torch.Tensor:
    """Matrix product, accumulated in float32 (integers in int32)."""
    wide = torch.float32 if a.is_floating_point() else torch.int32
    product = a.to(wide) @ b.to(wide)
    product = product if acc is None else acc + product
    return product.to(out_dtype) if out_dtype is not None else product


def where(condition: Any, x: Any, y: Any) -> torch.Tensor:
    """Choose."""
    return torch.where(_t(condition), _t(x), _t(y)) if _mixed(x, y) else torch.where(_t(condition), x, y)


def _mixed(x: Any, y: Any) -> bool:
    return not (isinstance(x, torch.Tensor) or isinstance(y, torch.Tensor))


def maximum(x: Any, y: Any, **options: Any) -> torch.Tensor:
    """The larger of each."""
    kind = torch.result_type(x, y) if not _mixed(x, y) else None
    return torch.maximum(_t(x).to(kind), _t(y).to(kind)) if kind else torch.maximum(_t(x), _t(y))


def minimum(x: Any, y: Any, **options: Any) -> torch.Tensor:
    """The smaller of each."""
    return -maximum(-_t(x), -_t(y))


def clamp(x: torch.Tensor, min: Any, max: Any, **options: Any) -> torch.Tensor:  # noqa: A002
    """Between two bounds."""
    return minimum(maximum(x, min), max)


def fma(x: Any, y: Any, z: Any) -> Any:
    """x * y + z."""
    return x * y + z


def _reduction(name: str) -> Any:
    function = getattr(torch, name)

    def reduce(
        x: Any, axis: int | None = None, keep_dims: bool = False, return_indices: bool = False, **options: Any
    ) -> Any:
        x = _t(x)
        if axis is None:
            return function(x.reshape(-1), 0)
        values = function(x, axis, keepdim=keep_dims)
        if return_indices:
            arg = torch.argmax if name == "amax" else torch.argmin
            return values, arg(x, axis, keepdim=keep_dims).to(torch.int32)
        return values

    return reduce


max = _reduction("amax")  # noqa: A001
min = _reduction("amin")  # noqa: A001
sum = _reduction("sum")  # noqa: A001


def argmax(x: torch.Tensor, axis: int, **options: Any) -> torch.Tensor:
    """Where the largest is."""
    return torch.argmax(x, axis).to(torch.int32)


def argmin(x: torch.Tensor, axis: int, **options: Any) -> torch.Tensor:
    """Where the smallest is."""
    return torch.argmin(x, axis).to(torch.int32)


def cumsum(x: torch.Tensor, axis: int = 0, **options: Any) -> torch.Tensor:
    """Running sums."""
    return torch.cumsum(x, axis).to(x.dtype)


def softmax(x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
    """Along the first dimension, as Triton does."""
    return torch.softmax(x.float(), 0)


def cast(x: Any, dtype: Any, **options: Any) -> torch.Tensor:
    """Another type."""
    return _t(x).to(dtype)


def _unary(name: str) -> Any:
    function = getattr(torch, name)
    return lambda x, *a, **k: function(_float(x))


exp, exp2, log, log2, sqrt, rsqrt = (_unary(n) for n in ("exp", "exp2", "log", "log2", "sqrt", "rsqrt"))
sin, cos, sigmoid, erf, floor, ceil = (_unary(n) for n in ("sin", "cos", "sigmoid", "erf", "floor", "ceil"))


def abs(x: Any) -> torch.Tensor:  # noqa: A001
    """Without the sign."""
    return torch.abs(_t(x))


MATH: dict[str, Any] = {
    n: _unary(n)
    for n in (
        "exp",
        "exp2",
        "log",
        "log2",
        "log1p",
        "expm1",
        "sqrt",
        "rsqrt",
        "sin",
        "cos",
        "tanh",
        "erf",
        "floor",
        "ceil",
    )
}
MATH |= {"abs": abs, "pow": lambda x, y: torch.pow(_float(x), y), "max": maximum, "min": minimum, "fma": fma}
MATH |= {
    "fast_expf": MATH["exp"],
    "fast_logf": MATH["log"],
    "fast_tanhf": MATH["tanh"],
    "rint": _unary("round"),
}


def _hint(x: Any = None, *args: Any, **options: Any) -> Any:
    return x


multiple_of = max_contiguous = max_constancy = assume = debug_barrier = device_assert = _hint
static_assert = static_print = device_print = _hint


def inline_asm_elementwise(*args: Any, **options: Any) -> Any:
    """Refuse: this is GPU assembly."""
    raise NotImplementedError("facade: Triton inline assembly has no CPU equivalent")
