"""One layer, one step at a time, on the kernels. Weights are packed once and shared; a stepper holds what moves.

Nothing here may be stepped by two threads at once: who lends a stepper out sees to that (`stream`, `rows`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.emit import Array as Row
from elman.emit import Role, memory
from elman.equations import Graph, evaluate
from elman.kernels import BoundKernel, Forward, Packed, Plan, Precision, Rows, StateMemory, Weight, engine_for
from elman.kernels.encode import size_of
from elman.runtime.reference import parameters_of
from elman.runtime.team import Team
from elman.sequences import lanes

Array = NDArray[Any]


class FusedLayer:
    """A layer's weights in the order in which the kernels read them.

    Args:
        graph: the cell.
        sizes: the size of each letter.
        tensors: its weights by slot ("W": [4*H, D], …), all float32 or all float64; not to be changed afterwards.
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, int], tensors: Mapping[str, Array]) -> None:
        self.graph, self.sizes = graph, dict(sizes)
        self.dtype = next(iter(tensors.values())).dtype
        bound = engine_for(graph, sizes, Precision.of(self.dtype == np.float64))
        self.inference: Forward = bound.inference
        self._parameters = parameters_of(graph, sizes, tensors)
        self._parameters |= evaluate.derive(bound.recurrence.lowered, np, self._parameters, sizes)
        self._weights = {name: _place(array) for name, array in self._parameters.items()}
        self.table = self._token_table() if self.inference.takes_tokens else None
        for array in (*self._parameters.values(), *([] if self.table is None else [self.table])):
            array.flags.writeable = False

    def size(self, letter: str) -> int:
        """The number behind a size letter; a scalar has one element."""
        return size_of(letter, self.sizes)

    @cached_property
    def whole(self) -> Packed:
        """What a step on floats reads."""
        return self.inference.whole.pack(self._weights)

    @cached_property
    def behind_table(self) -> Packed:
        """What a step on tokens reads beside the table."""
        assert self.inference.recurrence is not None
        return self.inference.recurrence.pack(self._weights)

    def operations(self, kernel: BoundKernel) -> float:
        """Of one row: what the products of a kernel take, a multiplication and an addition counted as two."""
        links = [link for phase in kernel.program.phases for link in phase.links]
        matrices = [kernel.program.matrices[index] for link in links for _, index in link.products]
        return sum(2.0 * self._parameters[matrix.name].size for matrix in matrices)

    def stepper(self, batch: int, team: Team) -> FusedStepper:
        """A place for `batch` sequences to move in."""
        return FusedStepper(self, batch, team)

    def _token_table(self) -> Array:
        """A row for each token: what the chains hold after its one-hot input."""
        projection = self.inference.projection
        assert projection is not None
        table = np.zeros((self.size(self.graph.inputs[0].size), self.inference.projected.width), self.dtype)
        for phase in projection.program.phases:
            for chain, index in phase.links[0].products:
                matrix, start = projection.program.matrices[index], phase.starts[chain]
                columns = self._parameters[matrix.name]
                columns = columns if matrix.transposed else columns.T
                first = self.inference.projected.offsets[projection.program.arrays[memory(phase.code[chain].target)]]
                bias = 0 if start < 0 else self._parameters[projection.program.arrays[start].name]
                table[:, first : first + columns.shape[1]] = columns + bias
        return table


class FusedStepper:
    """Sequences side by side on their way through one layer; nothing is allocated from step to step but small lists."""

    def __init__(self, layer: FusedLayer, batch: int, team: Team) -> None:
        self.layer, graph = layer, layer.graph
        self._threads = team.of(batch * layer.operations(layer.inference.whole))
        self._plan = lanes.dense(1, batch)
        self._handle = Plan(self._plan.rows, self._plan.segments, self._plan.lanes)
        # Two sets of states: a step reads one and writes the other.
        self._sets = (self._empty(batch), self._empty(batch))
        self._memory = (_memory(*self._sets), _memory(*reversed(self._sets)))
        self.turn = 0  # the set that was written last
        self._x = np.zeros((batch, layer.size(graph.inputs[0].size)), layer.dtype)
        self._tokens = np.zeros(batch, np.int64)
        self._rows: dict[Row, Rows] = {Row(graph.inputs[0].name, Role.INPUT, graph.inputs[0].size): _rows(self._x)}
        self._outputs: tuple[Array, ...] = tuple(
            states[graph.output] for states in self._sets if graph.output in states
        )
        if not self._outputs:
            self._outputs = 2 * (np.zeros((batch, layer.size(graph.output_size)), layer.dtype),)
            self._rows[Row(graph.output, Role.OUTPUT, graph.output_size)] = _rows(self._outputs[0])
        self.output_rows = [_rows(output) for output in self._outputs]  # where the output lies, by turn
        if layer.table is not None and layer.inference.recurrence is not None:
            place = (layer.table.ctypes.data, layer.dtype == np.float64, self._tokens.ctypes.data)
            self._token_rows = self._rows | layer.inference.projected.table(*place)
            self._token_threads = team.of(batch * layer.operations(layer.inference.recurrence))
        self.reset()

    @property
    def states(self) -> dict[str, Array]:
        """The states, [B, size] by name: the memory itself."""
        return self._sets[self.turn]

    def reset(self) -> None:
        """Every sequence begins anew."""
        for port in self.layer.graph.states:
            self.states[port.name][:] = port.start

    def step(self, x: Array) -> Array:
        """One step.

        Args:
            x: [B, D], or integer tokens [B] that stand for one-hot inputs.

        Returns:
            the output [B, size]; memory that the next step but one writes to.
        """
        layer, batch = self.layer, len(x)
        if x.dtype.kind in "iu" and layer.table is not None and layer.inference.recurrence is not None:
            self._tokens[:] = x
            rows, kernel, packed = self._token_rows, layer.inference.recurrence, layer.behind_table
            threads = self._token_threads
        else:
            if x.dtype.kind in "iu":
                self._x[:] = 0
                self._x[np.arange(batch), x] = 1
            else:
                self._x[:] = x
            rows, kernel, packed, threads = self._rows, layer.inference.whole, layer.whole, self._threads
        kernel.run(packed, rows, self._handle, batch, threads, self._memory[self.turn])
        self.turn = 1 - self.turn
        return self._outputs[self.turn]

    def stay(self, steps: int) -> None:
        """Be where `steps` steps have led, if that is here or one step back."""
        self.turn = steps % 2  # a step leaves the states before it as they were

    def _empty(self, batch: int) -> dict[str, Array]:
        layer = self.layer
        return {p.name: np.zeros((batch, layer.size(p.size)), layer.dtype) for p in layer.graph.states}


def _memory(before: Mapping[str, Array], after: Mapping[str, Array]) -> dict[str, StateMemory]:
    return {n: StateMemory(initial=before[n].ctypes.data, final=after[n].ctypes.data) for n in before}


def _place(array: Array) -> Weight:
    return Weight(array.ctypes.data, *(stride // array.itemsize for stride in array.strides))


def _rows(array: Array) -> Rows:
    return Rows(array.ctypes.data, array.shape[1])
