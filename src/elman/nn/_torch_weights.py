"""Torch's parameters of one direction of a layer, or of a cell, as a cell of ours and its weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman import cells
from elman.interchange.torch import ArrayLibrary, names, to_cell, torch_layout
from elman.nn.sized import SizedCell
from elman.nn.stack import Direction

TENSORS = ArrayLibrary(
    lambda like, rows: like.new_zeros(rows), lambda vector, rows: torch.constant_pad_nd(vector, (0, rows))
)
_SIZED: dict[tuple[str, int, int, int], SizedCell] = {}


def torch_direction(mode: str, sizes: tuple[int, int, int], bias: bool, tensors: Sequence[Tensor]) -> Direction:
    """The cell and its weights.

    Args:
        mode: torch's word for the equations, see `elman.interchange.torch.torch_layout`.
        sizes: D, H, and the size of the projection, 0 where there is none.
        bias: whether the biases are among the tensors.
        tensors: the parameters in torch's order.
    """
    projected = sizes[2] > 0
    layout = torch_layout(mode, projected)
    given = dict(zip(names(bias, projected), tensors, strict=True))
    return _sized(layout.cell, *sizes), list(to_cell(layout, given, sizes[1], TENSORS).values())


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _sized(cell: str, input_size: int, hidden_size: int, proj_size: int) -> SizedCell:
    key = (cell, input_size, hidden_size, proj_size)
    if key not in _SIZED:
        sizes = {"D": input_size, "H": hidden_size} | ({"P": proj_size} if proj_size else {})
        _SIZED[key] = SizedCell.of(cells.get(cell).graph, sizes)
    return _SIZED[key]
