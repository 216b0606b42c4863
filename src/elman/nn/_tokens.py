"""Tokens in place of a one-hot input: a row of a table forward, sums by token backward; never a product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from elman.emit import Array, Role, memory
from elman.errors import ShapeError
from elman.kernels import Engine, Forward, Rows, Weight
from elman.nn.sized import SizedCell


def check_tokens(name: str, tokens: Tensor, size: int) -> None:
    """Raise ShapeError, naming the cell, unless the tokens [N] are 0 … size - 1."""
    if tokens.numel() == 0:
        return
    low, high = (int(edge) for edge in tokens.aminmax())
    if low < 0 or high >= size:
        raise ShapeError(f"{name}: tokens must be 0 … {size - 1}, got {low} … {high}")


def token_table(sized: SizedCell, step: Forward, tokens: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """A row for each token: what the chains hold after its one-hot input (start + column); and the row of each step."""
    assert step.projection is not None
    program, count = step.projection.program, sized.size(sized.graph.inputs[0].size)
    present: Tensor | None = None
    if count > len(tokens):
        present, tokens = torch.unique(tokens, return_inverse=True)
        count = len(present)
    table = weights[0].new_empty(count, step.projected.width)
    for phase in program.phases:
        for chain, matrix_index in phase.links[0].products:
            matrix = program.matrices[matrix_index]
            columns = sized.member(matrix.name, weights)
            columns = columns if matrix.transposed else columns.T
            columns = columns if present is None else columns[present]
            columns = columns.bfloat16().float() if sized.bfloat16 else columns
            first = step.projected.offsets[program.arrays[memory(phase.code[chain].target)]]
            part, start = table.narrow(1, first, columns.shape[1]), phase.starts[chain]
            if start < 0:
                part.copy_(columns)
            else:
                torch.add(columns, sized.member(program.arrays[start].name, weights), out=part)
    return table, tokens


def token_gradients(
    sized: SizedCell,
    engine: Engine,
    tokens: Tensor,
    rows: Mapping[Array, Rows],
    d_weights: Sequence[Tensor | None],
    threads: int,
) -> set[str]:
    """Add to the input matrices their gradients: sums by token, turned into columns. Gives the matrices' names."""
    found = (g.matrix for g in engine.recurrence.matrix_gradients if g.source.role is Role.INPUT)
    names = {name for name in found if d_weights[sized.places[name].index] is not None}
    if not names:
        return names
    present, index = torch.unique(tokens, return_inverse=True)
    for name in sorted(names):
        place = sized.places[name]
        gradient = d_weights[place.index]
        assert gradient is not None
        table = gradient.new_zeros(len(present), place.rows)
        where = {name: Weight(table.data_ptr(), table.stride(0))}
        engine.token_gradients(index.data_ptr(), len(tokens), rows, where, threads)
        gradient.narrow(0, place.first, place.rows)[:, present] += table.T
    return names
