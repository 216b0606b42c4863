"""How weights begin: what lets a recurrent network learn most in a short run.

References: Saxe et al. 2014, arXiv:1312.6120 (orthogonal); Jozefowicz et al. 2015 (forget bias).
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.nn import init

from elman.cells.layout import layout
from elman.nn.recurrent import Recurrent

TOKEN_DEVIATION = 0.5  # of weights that tokens read: one column each, however many there are
FORGET_BIAS = 1.0


def orthogonal(recurrent: Recurrent) -> None:
    """Draw the matrices that read a state as orthogonal ones, so that signals neither grow nor fade at first."""
    sizes = {port.size for port in recurrent.graph.states} - {"D"}
    for layer in range(recurrent.num_layers):
        for member in _matrices(recurrent, layer, sizes):
            init.orthogonal_(member)


def forget_bias(recurrent: Recurrent, value: float = FORGET_BIAS) -> None:
    """Set the biases of forget gates (b.f), so that memory is kept at first."""
    for layer in range(recurrent.num_layers):
        for name, member in _members(recurrent, layer):
            if name == "b.f":
                init.constant_(member, value)


def token_input(recurrent: Recurrent, deviation: float = TOKEN_DEVIATION) -> None:
    """Draw the first layer's input weights as an embedding's are, because a token reads one column of them."""
    for member in _matrices(recurrent, 0, {"D"}):
        init.normal_(member, std=deviation)


def _matrices(recurrent: Recurrent, layer: int, columns: set[str]) -> Iterator[Tensor]:
    """Views of the matrices of one layer whose columns are of one of these sizes, in the order of the equations."""
    chosen = {p.name for p in recurrent.graph.parameters if p.kind == "matrix" and p.shape[1] in columns}
    return (member for name, member in _members(recurrent, layer) if name in chosen)


def _members(recurrent: Recurrent, layer: int) -> Iterator[tuple[str, Tensor]]:
    """Views of one layer's parameters with their full names ("W.i"), direction by direction."""
    slots = layout(recurrent.graph, recurrent.layer_sizes(layer))
    for direction in ("", "_reverse")[: recurrent.directions]:
        for slot in slots:
            tensor = getattr(recurrent, f"{slot.name}_l{layer}{direction}").detach()
            yield from zip(slot.members, tensor.split(slot.rows), strict=True)
