"""One layer, one step at a time, by the evaluator: the path that needs no compiled code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.cells.layout import layout
from elman.equations import Graph, evaluate

Array = NDArray[Any]


class ReferenceLayer:
    """A layer that steps through its equations in numpy.

    Args:
        graph: the cell.
        sizes: the size of each letter.
        tensors: its weights by slot ("W": [4*H, D], …), one element type.
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, int], tensors: Mapping[str, Array]) -> None:
        self.graph, self.sizes = graph, dict(sizes)
        self.parameters: dict[str, Array] = {}
        for slot in layout(graph, sizes):
            members = np.split(tensors[slot.name], len(slot.members))
            self.parameters |= dict(zip(slot.members, members, strict=True))

    def size(self, letter: str) -> int:
        """The number behind a size letter; a scalar has one element."""
        return self.sizes.get(letter, 1)

    def step(self, x: Array, states: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
        """One step.

        Args:
            x: [B, D], or integer tokens [B] that stand for one-hot inputs.
            states: arrays [B, size] by name.

        Returns:
            the output [B, size], and the next states.
        """
        (port,) = self.graph.inputs
        if x.dtype.kind in "iu":
            dtype = next(iter(self.parameters.values())).dtype
            one_hot = np.zeros((len(x), self.size(port.size)), dtype)
            one_hot[np.arange(len(x)), x] = 1
            x = one_hot
        return evaluate.run(self.graph, np, {port.name: x}, states, self.parameters)
