"""The forms in which sequences come, made one: rows, and how they make sequences; and back again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman.errors import DtypeError, ShapeError
from elman.nn.plans import BATCH_FIRST, DENSE, PACKED, RAGGED, PlanSpec
from elman.sequences.ragged import Ragged

Form = Tensor | PackedSequence | Ragged


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of one or more inputs, and their plan.

    `values` holds float [N, size], or int64 [N] for tokens in the first place. `like` is the first input as it came.
    """

    values: tuple[Tensor, ...]
    plan: PlanSpec
    like: Form
    unbatched: bool = False

    def restore(self, output: Tensor) -> Any:
        """Rows [N, size] in the form of the input."""
        if isinstance(self.like, PackedSequence):
            p = self.like
            return PackedSequence(output, p.batch_sizes, p.sorted_indices, p.unsorted_indices)
        if isinstance(self.like, Ragged):
            return self.like.with_values(output)
        if self.unbatched:
            return output
        return output.reshape(*self.like.shape[:2], output.shape[-1])

    def sort(self, rows: Tensor | None) -> Tensor | None:
        """States [B, size] of the caller's sequences in the order of the plan."""
        order = self.like.sorted_indices if isinstance(self.like, PackedSequence) else None
        return rows if rows is None or order is None else rows.index_select(0, order)

    def unsort(self, rows: Tensor) -> Tensor:
        """States of the plan's sequences in the caller's order."""
        order = self.like.unsorted_indices if isinstance(self.like, PackedSequence) else None
        return rows if order is None else rows.index_select(0, order)


def read_batch(name: str, inputs: Sequence[Form], sizes: Sequence[int], batch_first: bool) -> Batch:
    """The batch that `inputs` make, one for each input of the cell, of `sizes` each.

    Raises ShapeError or DtypeError, naming the layer, where they do not fit.
    """
    first = inputs[0]
    if isinstance(first, PackedSequence):
        batch = Batch((), PlanSpec(PACKED, len(first.batch_sizes), int(first.batch_sizes[0]), edges=first.batch_sizes), first)
    elif isinstance(first, Ragged):
        edges = torch.tensor(first.offsets)
        batch = Batch((), PlanSpec(RAGGED, len(first.values), len(edges) - 1, edges=edges), first)
    elif isinstance(first, Tensor):
        batch = _dense(name, first, batch_first)
    else:
        raise DtypeError(f"{name}: a tensor, a PackedSequence or a Ragged expected, got {type(first).__name__}")
    values = tuple(_rows(name, batch, form, size, k == 0) for k, (form, size) in enumerate(zip(inputs, sizes, strict=True)))
    steps = {len(v) for v in values}
    if len(steps) > 1:
        raise ShapeError(f"{name}: all inputs must have the same steps, got {sorted(steps)} rows")
    return replace(batch, values=values)


def _dense(name: str, tensor: Tensor, batch_first: bool) -> Batch:
    tokens = not tensor.is_floating_point()
    axes = tensor.dim() + tokens  # of the one-hot form
    if axes not in (2, 3):
        expected = "[T, B] or [T]" if tokens else "[T, B, D] or [T, D]"
        raise ShapeError(f"{name}: input must be {expected} ([B, T, …] with batch_first), got {list(tensor.shape)}")
    if axes == 2:
        return Batch((), PlanSpec(DENSE, tensor.shape[0], 1), tensor, unbatched=True)
    if batch_first:
        return Batch((), PlanSpec(BATCH_FIRST, tensor.shape[1], tensor.shape[0]), tensor)
    return Batch((), PlanSpec(DENSE, tensor.shape[0], tensor.shape[1]), tensor)


def _rows(name: str, batch: Batch, form: Form, size: int, first: bool) -> Tensor:
    """One input as [N, size], or int64 [N] for tokens."""
    values = form.data if isinstance(form, PackedSequence) else form.values if isinstance(form, Ragged) else form
    if not isinstance(values, Tensor):
        values = torch.as_tensor(values)
    lead = 1 if batch.plan.edges is not None or batch.unbatched else 2
    if not values.is_floating_point():
        return _tokens(name, values, size, first, lead)
    if values.dim() == lead and size == 1:
        values = values.unsqueeze(-1)
    if values.dim() != lead + 1 or values.shape[-1] != size:
        raise ShapeError(f"{name}: input must end in {size} features, got shape {list(values.shape)}")
    return values.reshape(-1, size) if lead == 2 else values


def _tokens(name: str, values: Tensor, size: int, first: bool, lead: int) -> Tensor:
    if values.dtype in (torch.bool, torch.complex64, torch.complex128) or not first:
        raise DtypeError(f"{name}: inputs are floats, or integer tokens in the first place; got {values.dtype}")
    if values.dim() != lead:
        raise ShapeError(f"{name}: tokens must be [T, B] or [T], got {list(values.shape)}; floats have a last axis of features")
    flat = values.reshape(-1).to(torch.int64)
    if flat.numel() and not torch.compiler.is_compiling():
        low, high = (int(edge) for edge in flat.aminmax())
        if low < 0 or high >= size:
            raise ShapeError(f"{name}: tokens must be 0 … {size - 1}, got {low} … {high}")
    return flat
