"""How a cell's parameters lie in tensors: the one rule that modules, files and kernels share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from elman.equations import Graph


@dataclass(frozen=True)
class TensorSlot:
    """One tensor: the parameters in it, stacked along its first axis in the graph's order."""

    name: str
    shape: tuple[int, ...]
    members: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Rows (of a matrix) or elements (of a vector) of one member."""
        return self.shape[0] // len(self.members)


def layout(graph: Graph, sizes: Mapping[str, int]) -> tuple[TensorSlot, ...]:
    """The tensors of a cell of these sizes, in the order of its signature.

    Members of one group with equal kind and shape are one tensor named by the group ("W": [4*H, D]); in a group of
    unlike members each is a tensor ("W_i").
    """
    slots = []
    for group, parameters in groupby(graph.parameters, key=lambda p: p.group):
        members = list(parameters)
        shapes = [tuple(1 if letter == "1" else sizes[letter] for letter in p.stored) for p in members]
        if len({(p.kind, p.shape) for p in members}) == 1:
            stacked = (len(members) * shapes[0][0], *shapes[0][1:])
            slots.append(TensorSlot(group, stacked, tuple(p.name for p in members)))
        else:
            slots += [
                TensorSlot(p.name.replace(".", "_"), shape, (p.name,)) for p, shape in zip(members, shapes, strict=True)
            ]
    return tuple(slots)
