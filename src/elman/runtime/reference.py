"""One layer, one step at a time, by the evaluator in numpy: what the kernels are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.cells.layout import layout
from elman.equations import Graph, evaluate
from elman.kernels import Rows
from elman.runtime.team import Team

Array = NDArray[Any]


def parameters_of(graph: Graph, sizes: Mapping[str, int], tensors: Mapping[str, Array]) -> dict[str, Array]:
    """A cell's parameters by full name ("W.i"), as views of the tensors by slot ("W": [4*H, D]), and its constants."""
    found: dict[str, Array] = {}
    for slot in layout(graph, sizes):
        found |= dict(zip(slot.members, np.split(tensors[slot.name], len(slot.members)), strict=True))
    return found | evaluate.constant_arrays(graph, np, next(iter(found.values())))


class ReferenceLayer:
    """A layer that steps through its equations.

    Args:
        graph: the cell.
        sizes: the size of each letter.
        tensors: its weights by slot, of one element type.
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, int], tensors: Mapping[str, Array]) -> None:
        self.graph, self.sizes = graph, dict(sizes)
        self.dtype = next(iter(tensors.values())).dtype
        self.parameters = parameters_of(graph, sizes, tensors)

    def size(self, letter: str) -> int:
        """The number behind a size letter; a scalar has one element."""
        return self.sizes.get(letter, 1)

    def stepper(self, batch: int, team: Team) -> ReferenceStepper:
        """A place for `batch` sequences to move in. The team is not asked: numpy has its own."""
        return ReferenceStepper(self, batch)


class ReferenceStepper:
    """Sequences side by side on their way through one layer."""

    def __init__(self, layer: ReferenceLayer, batch: int) -> None:
        self.layer = layer
        self.states: dict[str, Array] = {}
        self._before, self._steps, self._batch = self.states, 0, batch
        self._output = np.zeros((batch, layer.size(layer.graph.output_size)), layer.dtype)
        self.output_rows = [Rows(self._output.ctypes.data, self._output.shape[1])]
        self.turn = 0
        self.reset()

    def reset(self) -> None:
        """Every sequence begins anew."""
        layer = self.layer
        self.states = {
            p.name: np.full((self._batch, layer.size(p.size)), p.start, layer.dtype) for p in layer.graph.states
        }

    def step(self, x: Array) -> Array:
        """One step.

        Args:
            x: [B, D], or integer tokens [B] that stand for one-hot inputs.

        Returns:
            the output [B, size].
        """
        layer = self.layer
        (port,) = layer.graph.inputs
        if x.dtype.kind in "iu":
            x = np.eye(layer.size(port.size), dtype=layer.dtype)[x]
        x = x.astype(layer.dtype, copy=False)
        output, after = evaluate.run(layer.graph, np, {port.name: x}, self.states, layer.parameters)
        self._before, self.states, self._steps = self.states, after, self._steps + 1
        self._output[:] = output
        return self._output

    def stay(self, steps: int) -> None:
        """Be where `steps` steps have led, if that is here or one step back."""
        if self._steps > steps:
            self.states, self._steps = self._before, steps
