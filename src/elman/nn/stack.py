"""A stack of layers, one or two directions each, over one batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.nn._memory import widened
from elman.nn.batch import Batch
from elman.nn.paths.checkpoint import forward
from elman.nn.paths.choice import Path
from elman.nn.paths.reference import one_hot, reference
from elman.nn.spec import LayerSpec

Direction = tuple[LayerSpec, list[Tensor]]
States = Sequence[Tensor | None]


def run_stack(
    batch: Batch,
    layers: Sequence[Sequence[Direction]],
    initial: States,
    *,
    dropout: float,
    path: Path,
    checkpoint: int | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Output rows [N, size], and the final state [layers * directions, B, size] of each of the cell's states.

    Args:
        batch: the input.
        layers: the spec and the weights of each direction of each layer.
        initial: for each state [layers * directions, B, size], or None.
        dropout: share of the values between layers that is zeroed.
        path: what runs, and in which numbers.
        checkpoint: steps between the states that the kernels keep for backward, see `elman.nn.paths.checkpoint`.
    """
    values = tuple(widened(rows) for rows in batch.values) if path.bfloat16 else batch.values
    finals: list[list[Tensor]] = []
    for layer, directions in enumerate(layers):
        if layer > 0 and dropout > 0:
            values = (torch.nn.functional.dropout(values[0], dropout), *values[1:])
        outputs = []
        for reverse, direction in enumerate(directions):
            entry = [batch.sort(None if state is None else state[len(finals)]) for state in initial]
            output, final = _run(batch, direction, values, entry, bool(reverse), path, checkpoint)
            outputs.append(output)
            finals.append([batch.unsort(state) for state in final])
        values = (outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1), *values[1:])
    if len(finals) == 1:
        states = [state.unsqueeze(0) for state in finals[0]]
    else:
        states = [torch.stack(rows) for rows in zip(*finals, strict=True)]
    output = values[0] if path.output is None else values[0].to(path.output)
    return output, states if path.state is None else [state.to(path.state) for state in states]


def _run(
    batch: Batch, direction: Direction, values: Sequence[Tensor], entry: States, reverse: bool, path: Path,
    checkpoint: int | None,
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    spec, weights = direction
    fused = path.name == "fused"
    if path.bfloat16:
        weights, entry = [widened(t) for t in weights], [None if t is None else widened(t) for t in entry]
    plan = batch.plan.reversed() if reverse else batch.plan
    first, *others = values
    if first.is_floating_point():
        tokens, inputs = None, [first, *others]
    elif fused and spec.takes_tokens:
        tokens, inputs = first, others
    else:
        tokens, inputs = None, [one_hot(first, spec, weights[0].dtype), *others]
    if fused:
        tensors = LayerSpec.derive(spec, weights)  # torch.compile cannot call methods of a constant object
        return forward(spec, plan, tokens, inputs, entry, tensors, checkpoint, path.bfloat16)
    return reference(spec, plan, tokens, inputs, entry, weights)
