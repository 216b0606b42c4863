"""Tensors as memory that the kernels may point at."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from elman.kernels import Held, Rows

_LARGEST_SCRATCH = 1 << 24  # elements; more than this is given back after the call
_own = threading.local()
_held: Any = WeakTensorKeyDictionary()


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
    key = f"{name} {like.dtype}"
    memory: Tensor | None = getattr(_own, key, None)
    if memory is None or memory.numel() < count:
        memory = like.new_empty(count)
        setattr(_own, key, memory)
    return memory[:count].view(rows, width)


def held_by(weight: Tensor) -> Held:
    """Panels that live as long as a weight does, for calls without gradients."""
    if weight not in _held:
        _held[weight] = {}
    held: Held = _held[weight]
    return held


def address(tensor: Tensor | None) -> int:
    """Where a tensor lies; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def rows_of(tensor: Tensor) -> Rows:
    """The rows of a tensor [N, size]."""
    return Rows(tensor.data_ptr(), tensor.stride(0))
