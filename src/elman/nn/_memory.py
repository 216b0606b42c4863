"""Tensors as memory that the kernels may point at."""

from __future__ import annotations

import threading
import weakref

import torch
from torch import Tensor

from elman.kernels import Held, Rows

_LARGEST_SCRATCH = 1 << 24  # elements; more than this is given back after the call
_own = threading.local()
_held: dict[int, tuple[weakref.ref[Tensor], Held]] = {}  # by the weight's identity


def readable(tensor: Tensor) -> Tensor:
    """The tensor, or a copy of one whose memory does not hold its values or lies where its element type must not."""
    if tensor.is_neg() or tensor.data_ptr() % tensor.element_size():
        return tensor.clone(memory_format=torch.contiguous_format)
    return tensor


def widened(tensor: Tensor) -> Tensor:
    """The same values in float32, where it is bfloat16."""
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor


def in_rows(tensor: Tensor) -> Tensor:
    """Readable, the elements of a row side by side; rows may lie anywhere."""
    tensor = readable(tensor)
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def in_one_piece(tensor: Tensor | None) -> Tensor | None:
    """Readable, row behind row."""
    return None if tensor is None else readable(tensor).contiguous()


def scratch(name: str, rows: int, width: int, like: Tensor) -> Tensor:
    """[rows, width] for one call at a time of this thread, kept for the next: fresh pages cost as much as the work."""
    count = rows * width
    if count > _LARGEST_SCRATCH:
        return like.new_empty(rows, width)
    kept: dict[tuple[str, torch.dtype], Tensor] = _own.__dict__.setdefault("scratch", {})
    key = name, like.dtype
    if key not in kept or kept[key].numel() < count:
        kept[key] = like.new_empty(count)
    return kept[key][:count].view(rows, width)


def held_by(weight: Tensor) -> Held:
    """Panels that live as long as a weight does, for calls without gradients."""
    key = id(weight)
    found = _held.get(key)
    if found is None or found[0]() is not weight:
        found = _held[key] = weakref.ref(weight, lambda _: _held.pop(key, None)), {}
    return found[1]


def address(tensor: Tensor | None) -> int:
    """Where a tensor lies; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def rows_of(tensor: Tensor) -> Rows:
    """The rows of a tensor [N, size]."""
    return Rows(tensor.data_ptr(), tensor.stride(0))
