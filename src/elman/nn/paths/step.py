"""One step of a batch on the kernels, without gradients: what `fused` does for a sequence, and little around it.

A step of a small cell takes the kernels a few microseconds, so what is done beside it is most of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.emit import Role
from elman.kernels import StateMemory
from elman.nn._memory import address, held_by, in_one_piece, in_rows, readable, rows_of
from elman.nn.plans import DENSE, bind
from elman.nn.sized import SizedCell


def step(sized: SizedCell, input: Tensor, initial: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """The states after one step [B, size], of a cell with one input [B, D] whose output is a state.

    Args:
        sized: the cell at its sizes.
        input, initial: [B, D], and [B, size] for each state; none where the cell's own start is meant.
        weights: the slots of `elman.cells.layout`, then derived parameters.
    """
    kernel, graph = sized.engine(input.dtype).inference.whole, sized.graph
    batch, threads = len(input), torch.get_num_threads()
    input, *weights = in_rows(input), *map(readable, weights)
    begin = [in_one_piece(state) for state in initial] or [None] * len(graph.states)
    after = [input.new_empty(batch, sized.size(port.size)) for port in graph.states]
    output = input.new_empty(batch, sized.size(graph.output_size))
    states = {}
    for port, first, last in zip(graph.states, begin, after, strict=True):
        place = (address(output), output.stride(0)) if port.name == graph.output else (0, 0)
        states[port.name] = StateMemory(*place, address(first), address(last))
    packed = kernel.pack_again(sized.weights(weights), threads, held_by(weights[0]))
    rows = {sized.arrays[Role.INPUT, graph.inputs[0].name]: rows_of(input)}
    kernel.run(packed, rows, bind([DENSE, 1, batch, 0, -1], None).handle, batch, threads, states)
    return after
