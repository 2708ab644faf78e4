"""Memory as kernels see it: pointers, block pointers and tensor descriptors."""

from __future__ import annotations

import types
from typing import Any

import torch

from harness.facade.kernels.place import Place, each, of_all

Index = Any  # an int or an integer tensor


def flat(tensor: torch.Tensor) -> torch.Tensor:
    """The storage from a tensor's first element on, as one dimension."""
    tensor = tensor.detach()
    length = tensor.untyped_storage().nbytes() // tensor.element_size() - tensor.storage_offset()
    return torch.as_strided(tensor, (length,), (1,), tensor.storage_offset())


def _together(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both at their common shape; most blocks have it already."""
    if a.shape == b.shape:
        return a, b
    a, b = torch.broadcast_tensors(a, b)  # type: ignore[no-untyped-call]
    return a, b


class Pointer:
    """``memory[offset]``: an address, or a block of addresses when the offset is a tensor."""

    def __init__(self, memory: torch.Tensor, offset: Index = 0) -> None:
        self.memory, self.offset = memory, offset

    @classmethod
    def to(cls, tensor: torch.Tensor) -> Pointer:
        """The address of a tensor's first element."""
        return cls(flat(tensor))

    @property
    def dtype(self) -> Any:
        """A pointer type: it knows its element type."""
        return types.SimpleNamespace(element_ty=self.memory.dtype, is_ptr=lambda: True)

    @property
    def shape(self) -> Any:
        """Shape of the block of addresses."""
        return getattr(self.offset, "shape", ())

    def __add__(self, by: Index) -> Pointer:
        return Pointer(self.memory, self.offset + by)

    __radd__ = __add__

    def __sub__(self, by: Index) -> Pointer:
        return Pointer(self.memory, self.offset - by)

    def __getitem__(self, item: Any) -> Pointer:
        return Pointer(self.memory, torch.as_tensor(self.offset)[item])

    def load(self, mask: Any = None, other: Any = None) -> torch.Tensor:
        """Read; where the mask is false, ``other`` (zero)."""
        offset = torch.as_tensor(self.offset).long()
        if Place.zero is not None:
            return self._load_together(offset, mask, other)
        if mask is None:
            return self._read(offset)
        offset, mask = _together(offset, torch.as_tensor(mask, dtype=torch.bool))
        if bool(mask.all()):  # as for most blocks: no fill, no stand-in for what lies outside
            return self._read(offset)
        if not bool(mask.any()):
            values = torch.zeros(offset.shape, dtype=self.memory.dtype)
        else:
            values = self.memory[torch.where(mask, offset, offset[mask][0])]
        fill = torch.as_tensor(0 if other is None else other).to(values.dtype)
        return torch.where(mask, values, fill)

    def _load_together(self, offset: torch.Tensor, mask: Any, other: Any) -> torch.Tensor:
        """As ``load``, of many programs, whose masks differ."""
        if mask is None:
            return each(torch.ops.aten.index(self.memory, [offset]))
        offset, mask = _together(offset, torch.as_tensor(mask, dtype=torch.bool))
        values = torch.ops.aten.index(self.memory, [torch.where(mask, offset, 0)])
        fill = torch.as_tensor(0 if other is None else other).to(values.dtype)
        return each(torch.where(mask, values, fill))

    def _read(self, offset: torch.Tensor) -> torch.Tensor:
        """A value, which later stores leave as it is: torch answers a single index with a view."""
        return self.memory[offset].clone() if offset.dim() == 0 else self.memory[offset]

    def store(self, value: Any, mask: Any = None) -> None:
        """Write where the mask is true."""
        offset, value = self._block(value)
        if Place.zero is not None:
            self._store_together(offset, value, mask)
            return
        if mask is not None:
            mask = torch.as_tensor(mask, dtype=torch.bool)
            if not bool(mask.all()):
                mask = mask.broadcast_to(offset.shape)
                offset, value = offset[mask], value[mask]
        self.memory[offset] = value

    def _store_together(self, offset: torch.Tensor, value: torch.Tensor, mask: Any) -> None:
        """As ``store``, of many programs."""
        places, values = of_all(offset), of_all(value)
        if mask is not None:
            mask = of_all(torch.as_tensor(mask, dtype=torch.bool).broadcast_to(offset.shape))
            places, values = places[mask], values[mask]
        self.memory[places] = values

    def accumulate(self, value: Any, mask: Any = None) -> torch.Tensor:
        """Atomic addition; returns what was there before.

        Raises:
            NotImplementedError: many programs run together: what was there before depends on their order.
        """
        if Place.zero is not None:
            raise NotImplementedError("facade: atomic addition of many programs")
        offset, value = self._block(value)
        old = self.load(mask)
        if mask is not None:
            mask = torch.as_tensor(mask, dtype=torch.bool).broadcast_to(offset.shape)
            offset, value = offset[mask], value[mask]
        self.memory.index_add_(0, offset.reshape(-1), value.reshape(-1))
        return old

    def _block(self, value: Any) -> tuple[torch.Tensor, torch.Tensor]:
        offset = torch.as_tensor(self.offset).long()
        value = torch.as_tensor(value).to(self.memory.dtype)
        offset, value = _together(offset, value)
        return offset, value


class Window:
    """A rectangular view of memory by shape, strides and block shape (block pointers, descriptors)."""

    def __init__(
        self, pointer: Pointer, shape: Any, strides: Any, block_shape: Any, offsets: Any = None
    ) -> None:
        self.pointer, self.shape, self.strides = pointer, [int(s) for s in shape], [int(s) for s in strides]
        self.block_shape = [int(b) for b in block_shape]
        self.offsets = [int(o) for o in offsets] if offsets is not None else [0] * len(self.shape)

    @property
    def dtype(self) -> Any:
        """Element type (a descriptor's ``dtype`` is no pointer type)."""
        return self.pointer.memory.dtype

    @property
    def block_type(self) -> Any:
        """What ``desc.block_type.element_ty`` asks for."""
        return types.SimpleNamespace(element_ty=self.dtype, shape=self.block_shape)

    def advance(self, by: Any) -> Window:
        """The same window further on."""
        moved = [o + int(b) for o, b in zip(self.offsets, by, strict=True)]
        return Window(self.pointer, self.shape, self.strides, self.block_shape, moved)

    def inside(self, offsets: Any) -> tuple[torch.Tensor, tuple[slice, ...]]:
        """The memory under the block at ``offsets`` inside the shape, and its place in the block."""
        start, sizes, place = int(self.pointer.offset), [], []
        for axis, (offset, size) in enumerate(zip(offsets, self.block_shape, strict=True)):
            first, last = max(int(offset), 0), min(int(offset) + size, self.shape[axis])
            start += first * self.strides[axis]
            sizes.append(max(last - first, 0))
            place.append(slice(first - int(offset), first - int(offset) + sizes[-1]))
        memory = self.pointer.memory
        if 0 in sizes:
            return memory.new_empty(sizes), tuple(place)
        return torch.as_strided(memory, sizes, self.strides, memory.storage_offset() + start), tuple(place)

    def load(self, offsets: Any = None, *args: Any, **options: Any) -> torch.Tensor:
        """Read a block; zeros outside the shape."""
        part, place = self.inside(self.offsets if offsets is None else offsets)
        if list(part.shape) == self.block_shape:
            return part.clone()
        block = torch.zeros(self.block_shape, dtype=self.dtype)
        block[place] = part
        return block

    def store(self, offsets: Any, value: Any) -> None:
        """Write the part of a block that lies inside the shape."""
        part, place = self.inside(offsets)
        part.copy_(value[place])

    def atomic_add(self, offsets: Any, value: Any) -> None:
        """Add the part of a block that lies inside the shape."""
        part, place = self.inside(offsets)
        part.add_(value[place].to(part.dtype))
