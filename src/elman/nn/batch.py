"""The forms in which sequences come, made one: rows, and how they make sequences; and back again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman.errors import DtypeError, ShapeError
from elman.nn.plans import BATCH_FIRST, DENSE, PACKED, RAGGED, PlanSpec
from elman.sequences.ragged import Ragged

Form = Tensor | PackedSequence | Ragged
TOKENS = frozenset({
    torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64,
})  # fmt: skip


class Batch(NamedTuple):
    """Rows of one or more inputs, and their plan.

    `values` holds float [N, size], or int64 [N] for tokens in the first place. `like` is the first input as it came.
    """

    values: tuple[Tensor, ...]
    plan: PlanSpec
    like: Form
    unbatched: bool

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


def values_of(name: str, form: Any) -> Tensor:
    """The tensor that holds a form's steps. Raises DtypeError, naming the layer, where it is none of the forms."""
    if isinstance(form, Tensor):
        return form
    if isinstance(form, PackedSequence):
        return form.data
    if isinstance(form, Ragged):
        return form.values if isinstance(form.values, Tensor) else torch.as_tensor(form.values)
    raise DtypeError(f"{name}: a tensor, a PackedSequence or a Ragged expected, got {type(form).__name__}")


def read_batch(name: str, inputs: Sequence[Form], sizes: Sequence[int], batch_first: bool) -> Batch:
    """The batch that `inputs` make, one for each input of the cell, of `sizes` each.

    Raises ShapeError or DtypeError, naming the layer, where they do not fit.
    """
    first = inputs[0]
    tensors = [values_of(name, form) for form in inputs]
    for tensor in tensors:
        if tensor.layout is not torch.strided or tensor.is_nested:
            what = "a nested tensor; elman.sequences.Ragged" if tensor.is_nested else f"{tensor.layout}; .to_dense()"
            raise DtypeError(f"{name}: a dense tensor expected, got {what} makes one that is taken")
    plan, unbatched = _plan(name, first, tensors[0], batch_first)
    lead = 2 if isinstance(first, Tensor) and not unbatched else 1
    rows = [_tokens(name, tensors[0], lead)] if tensors[0].dtype in TOKENS else []
    for tensor, size in zip(tensors[len(rows) :], sizes[len(rows) :], strict=True):
        rows.append(_floats(name, tensor, size, lead))
    if len(inputs) > 1:
        _check_steps(name, inputs, [tuple(tensor.shape[:lead]) for tensor in tensors])
    return Batch(tuple(rows), plan, first, unbatched)


def _check_steps(name: str, inputs: Sequence[Form], steps: Sequence[tuple[int, ...]]) -> None:
    """Raise ShapeError unless all inputs make the same sequences."""
    if len(set(steps)) > 1:
        got = ", ".join(str(list(shape)) for shape in steps)
        raise ShapeError(f"{name}: all inputs must have the same steps, got {got}")
    if len(inputs) == 1:
        return
    first = edges_of(inputs[0])
    for form in inputs[1:]:
        if type(form) is not type(inputs[0]) or edges_of(form) != first:
            raise ShapeError(f"{name}: all inputs must have one form, with the same lengths")


def edges_of(form: Form) -> list[int]:
    """What says where sequences begin and end, and which is which, where the shape does not."""
    if isinstance(form, PackedSequence):
        order = range(int(form.batch_sizes[0])) if form.sorted_indices is None else form.sorted_indices.tolist()
        return [*form.batch_sizes.tolist(), *order]
    return form.offsets.tolist() if isinstance(form, Ragged) else []


def _plan(name: str, form: Form, values: Tensor, batch_first: bool) -> tuple[PlanSpec, bool]:
    """The plan, and whether the form is one sequence without a batch axis."""
    if isinstance(form, PackedSequence):
        return PlanSpec(PACKED, len(form.batch_sizes), int(form.batch_sizes[0]), edges=form.batch_sizes), False
    if isinstance(form, Ragged):
        return PlanSpec(RAGGED, int(form.lengths.max(initial=0)), len(form), edges=torch.tensor(form.offsets)), False
    tokens = values.dtype in TOKENS
    axes = values.dim() + tokens  # of the one-hot form
    if axes == 2:
        return PlanSpec(DENSE, values.shape[0], 1), True
    if axes != 3:
        expected = "[T, B] or [T]" if tokens else "[T, B, D] or [T, D]"
        raise ShapeError(f"{name}: input must be {expected} ([B, T, …] with batch_first), got {list(values.shape)}")
    if batch_first:
        return PlanSpec(BATCH_FIRST, values.shape[1], values.shape[0]), False
    return PlanSpec(DENSE, values.shape[0], values.shape[1]), False


def _floats(name: str, values: Tensor, size: int, lead: int) -> Tensor:
    """One float input as [N, size]; a scalar input may come without its axis."""
    if not values.is_floating_point():
        raise DtypeError(f"{name}: inputs are floats, or integer tokens in the first place; got {values.dtype}")
    if values.dim() == lead and size == 1:
        values = values.unsqueeze(-1)
    if values.dim() != lead + 1 or values.shape[-1] != size:
        raise ShapeError(f"{name}: input must end in {size} features, got shape {list(values.shape)}")
    return values.reshape(-1, size) if lead == 2 else values


def _tokens(name: str, values: Tensor, lead: int) -> Tensor:
    """Tokens as int64 [N]."""
    if values.dim() != lead:
        got = list(values.shape)
        raise ShapeError(f"{name}: tokens must be [T, B] or [T], got {got}; floats have a last axis of features")
    return values.reshape(-1).to(torch.int64)


def check_types(name: str, tensors: Sequence[Tensor | None], weight: Tensor) -> None:
    """Raise DtypeError unless inputs (tokens aside) and states have the weights' element type, and all their device."""
    for tensor in tensors:
        if tensor is None:
            continue
        typed = tensor.dtype == weight.dtype or tensor.dtype in TOKENS or torch.is_autocast_enabled("cpu")
        if not typed or tensor.device != weight.device:
            there, here = (f"{t.dtype} on {t.device}" for t in (tensor, weight))
            raise DtypeError(f"{name}: an input or a state is {there}, the weights are {here}; convert one with .to(…)")
