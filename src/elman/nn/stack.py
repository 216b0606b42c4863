"""A stack of layers, one or two directions each, over one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from elman.nn.batch import Batch
from elman.nn.fused import forward
from elman.nn.reference import reference
from elman.nn.spec import LayerSpec

Direction = tuple[LayerSpec, list[Tensor]]
Weights = Callable[[int, int], Direction]  # of (layer, direction)
States = Sequence[Tensor | None]


def run_stack(
    batch: Batch, weights: Weights, initial: States, *, num_layers: int, directions: int, dropout: float, fused: bool
) -> tuple[Tensor, list[Tensor]]:
    """Output rows [N, size], and the final state [num_layers * directions, B, size] of each of the cell's states.

    Args:
        batch: the input.
        weights: the spec and tensors of each direction of each layer.
        initial: for each state [num_layers * directions, B, size], or None.
        num_layers, directions: how many.
        dropout: share of the values between layers that is zeroed.
        fused: whether the kernels run, or the reference.
    """
    values = batch.values
    finals: list[list[Tensor]] = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            spec, tensors = weights(layer, direction)
            entry = [batch.sort(None if state is None else state[k]) for state in initial]
            output, final = _run(batch, spec, tensors, values, entry, direction == 1, fused)
            outputs.append(output)
            finals.append([batch.unsort(state) for state in final])
        joined = outputs[0] if directions == 1 else torch.cat(outputs, 1)
        if dropout > 0 and layer < num_layers - 1:
            joined = torch.nn.functional.dropout(joined, dropout)
        values = (joined, *values[1:])
    return values[0], [torch.stack(rows) for rows in zip(*finals, strict=True)]


def _run(
    batch: Batch, spec: LayerSpec, tensors: list[Tensor], values: Sequence[Tensor], entry: States, reverse: bool, fused: bool
) -> tuple[Tensor, list[Tensor]]:
    plan = batch.plan.reversed() if reverse else batch.plan
    tokens = None if values[0].is_floating_point() else values[0]
    inputs = list(values if tokens is None else values[1:])
    if tokens is not None and fused and not spec.takes_tokens:
        one_hot = torch.nn.functional.one_hot(tokens, spec.size(spec.graph.inputs[0].size))
        tokens, inputs = None, [one_hot.to(tensors[0].dtype), *inputs]
    if not fused:
        return reference(spec, plan, tokens, inputs, entry, tensors)
    return forward(spec, plan, tokens, [_rows(t) for t in inputs], entry, spec.derive(tensors))


def _rows(values: Tensor) -> Tensor:
    """Rows whose elements stand side by side, at an address that their type allows."""
    if values.stride(-1) != 1 and values.shape[-1] != 1:
        values = values.contiguous()
    return values
