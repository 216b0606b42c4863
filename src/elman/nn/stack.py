"""A stack of layers, one or two directions each, over one batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.errors import ConfigError
from elman.nn._memory import widened
from elman.nn.batch import Batch
from elman.nn.call import Call
from elman.nn.paths.checkpoint import forward
from elman.nn.paths.choice import Path
from elman.nn.paths.reference import one_hot, reference
from elman.nn.plans import BATCH_FIRST, PlanSpec
from elman.nn.sized import SizedCell

Direction = tuple[SizedCell, list[Tensor]]
_TRACED = (
    "torch.jit.trace would hold for this number of steps and sequences only; torch.export.export(model, (x,), "
    "dynamic_shapes=…) holds for all"
)
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
        layers: the cell at its sizes and the weights of each direction of each layer.
        initial: for each state [layers * directions, B, size], or None.
        dropout: share of the values between layers that is zeroed.
        path: what runs, and in which numbers.
        checkpoint: steps between the states that the kernels keep for backward, see `elman.nn.paths.checkpoint`.

    Raises:
        ConfigError: torch.jit.trace is at work, which would write down the steps of this call and no others.
    """
    if torch._C._get_tracing_state() is not None:
        raise ConfigError(f"{layers[0][0][0].graph.name}: {_TRACED}")
    values = tuple(widened(rows) for rows in batch.values) if path.bfloat16 else batch.values
    finals: list[list[Tensor]] = []
    for layer, directions in enumerate(layers):
        if layer > 0 and dropout > 0:
            values = (_dropped(values[0], dropout, batch), *values[1:])
        outputs = []
        for reverse, direction in enumerate(directions):
            entry = [batch.sort(None if state is None else state[len(finals)]) for state in initial]
            plan = batch.plan.reversed() if reverse else batch.plan
            output, final = _run(direction, plan, values, entry, path, checkpoint)
            outputs.append(output)
            finals.append([batch.unsort(state) for state in final])
        values = (outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1), *values[1:])
    output = values[0] if path.output is None else values[0].to(path.output)
    return output, _stacked(finals, path)


def _stacked(finals: Sequence[Sequence[Tensor]], path: Path) -> list[Tensor]:
    """Of the states of each direction, [B, size], those of all, in the path's element types."""
    if len(finals) == 1:
        states = [state.unsqueeze(0) for state in finals[0]]
    else:
        states = [torch.stack(rows) for rows in zip(*finals, strict=True)]
    last = len(path.states) - 1
    return [state.to(path.states[min(k, last)]) for k, state in enumerate(states)] if path.states else states


def _dropped(rows: Tensor, dropout: float, batch: Batch) -> Tensor:
    """Rows [N, size] with a share of their values zeroed: under one seed the same ones as in torch's layers."""
    if batch.plan.kind != BATCH_FIRST:
        return torch.nn.functional.dropout(rows, dropout)
    # Torch draws in the order of steps, whichever way the input lies.
    shape = batch.plan.steps, batch.plan.batch, rows.shape[-1]
    mask = torch.nn.functional.dropout(rows.new_ones(shape), dropout)
    return (rows.view(shape[1], shape[0], -1) * mask.transpose(0, 1)).view_as(rows)


def _run(
    direction: Direction, plan: PlanSpec, values: Sequence[Tensor], entry: States, path: Path, checkpoint: int | None
) -> tuple[Tensor, list[Tensor]]:
    (sized, weights), fused = direction, path.name == "fused"
    if path.bfloat16:
        weights, entry = [widened(t) for t in weights], [None if t is None else widened(t) for t in entry]
    first, *others = values
    if first.is_floating_point():
        tokens, inputs = None, [first, *others]
    elif fused and sized.takes_tokens:
        tokens, inputs = first, others
    else:
        tokens, inputs = None, [one_hot(first, sized, weights[0].dtype), *others]
    if not fused:
        return reference(Call.of(sized, plan, tokens, inputs, entry, weights))
    tensors = SizedCell.derive(sized, weights)  # torch.compile cannot call methods of a constant object
    return forward(Call.of(sized, plan, tokens, inputs, entry, tensors, bfloat16=path.bfloat16), checkpoint)
