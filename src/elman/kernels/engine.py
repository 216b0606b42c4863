"""A cell on the kernels: its steps, and the sums over steps that its gradients are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from elman.emit import Array, Program, Recurrence, Role, emit, input_gradient, split_inputs
from elman.equations import Graph, Port
from elman.kernels._kernels import Plan, column_sum, isa, outer, token_sum
from elman.kernels.bound import BoundKernel, Forward
from elman.kernels.encode import size_of
from elman.kernels.memory import Block, Rows, StateMemory, Weight
from elman.kernels.precision import Precision


class Engine:
    """A cell at given sizes. `engine_for` makes it, one for each cell, sizes, precision and instruction set."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], precision: Precision) -> None:
        self.graph = graph
        self.sizes = dict(sizes)
        self.precision = precision
        self.is_double = precision.is_double
        self.recurrence: Recurrence = emit(graph)
        self.saved = Block.of(self.recurrence.saved, sizes)
        self.kept = Block.of(self.recurrence.kept, sizes)
        self.summed = Block.of(self.recurrence.summed, sizes)

    def _bind(self, program: Program, recurrents: Sequence[Port] = (), befores: Sequence[Port] = ()) -> BoundKernel:
        return BoundKernel(program, self.sizes, tuple(recurrents), tuple(befores), self.precision)

    @cached_property
    def inference(self) -> Forward:
        """The step that keeps nothing."""
        return self._forward(self.recurrence.inference)

    @cached_property
    def training(self) -> Forward:
        """The step that keeps what the gradient needs."""
        return self._forward(self.recurrence.forward)

    def _forward(self, program: Program) -> Forward:
        split = split_inputs(program)
        states = self.graph.states
        whole = self._bind(program, states)
        if split is None:
            return Forward(whole, None, None, Block((), 0, {}))
        projected = [a for a in split[0].arrays if a.role is Role.PROJECTED]
        return Forward(whole, self._bind(split[0]), self._bind(split[1], states), Block.of(projected, self.sizes))

    @cached_property
    def backward(self) -> BoundKernel:
        """The step of the derivative; what runs from step to step are the adjoints of the states."""
        adjoints = [Port(p.name, p.size) for p in self.graph.states]
        return self._bind(self.recurrence.backward, adjoints, self.graph.states)

    @cached_property
    def input_gradients(self) -> dict[str, BoundKernel]:
        """For each input that has a gradient, the program that makes it of the kept rows."""
        letters = {p.name: p.size for p in self.graph.inputs}
        return {
            g.name: self._bind(input_gradient(g, letters[g.name]))
            for g in self.recurrence.input_gradients
            if g.products or g.pointwise
        }

    def matrix_gradients(
        self, plan: Plan, rows: Mapping[Array, Rows], states: Mapping[str, StateMemory], out: Mapping[str, Weight],
        threads: int,
    ) -> None:  # fmt: skip
        """Add to the matrices named in `out` their gradients: the sums over all steps of d ⊗ source, both in `rows`."""
        by_source: dict[Array, list[int]] = {}
        for g in self.recurrence.matrix_gradients:
            if g.matrix in out:
                place, to = rows[g.d], out[g.matrix]
                strides = (to.column_stride, to.row_stride) if g.transposed else (to.row_stride, to.column_stride)
                part = (place.address, place.stride, size_of(g.d.size, self.sizes), to.address, *strides)
                by_source.setdefault(g.source, []).extend(part)
        starts = {p.name: p.start for p in self.graph.states}
        for source, parts in by_source.items():
            before = source.role is Role.BEFORE
            if before:
                memory = states[source.name]
                numbers = [memory.sequence, memory.stride, memory.initial, 1]
            else:
                numbers = [rows[source].address, rows[source].stride, 0, 0]
            depth = size_of(source.size, self.sizes)
            outer(plan, numbers, starts.get(source.name, 0.0) if before else 0.0, depth, parts, self.precision, threads)

    def vector_gradients(
        self, steps: int, lanes: int, rows: Mapping[Array, Rows], out: Mapping[str, Weight], threads: int
    ) -> None:
        """Write the gradients of the vectors named in `out`: the sums of d over all steps, or of its sums by lane."""
        for g in self.recurrence.vector_gradients:
            if g.vector in out:
                place, count = rows[g.d], lanes if g.d.role is Role.SUMMED else steps
                size = size_of(g.d.size, self.sizes)
                column_sum([place.address, place.stride, count, size, out[g.vector].address], self.is_double, threads)

    def token_gradients(
        self, tokens: int, steps: int, rows: Mapping[Array, Rows], out: Mapping[str, Weight], threads: int
    ) -> None:
        """Add the rows d of the steps that bring each token to tables [V, size], one for each matrix named in `out`."""
        for g in self.recurrence.matrix_gradients:
            if g.source.role is Role.INPUT and g.matrix in out:
                place, to = rows[g.d], out[g.matrix]
                size = size_of(g.d.size, self.sizes)
                numbers = [place.address, place.stride, tokens, steps, size, to.address, to.row_stride]
                token_sum(numbers, self.is_double, threads)


_ENGINES: dict[tuple[str, tuple[tuple[str, int], ...], Precision, str], Engine] = {}


def engine_for(graph: Graph, sizes: Mapping[str, int], precision: Precision = Precision.FLOAT32) -> Engine:
    """The engine of a cell at these sizes, on the instruction set in use."""
    key = (graph.hash, tuple(sorted(sizes.items())), precision, isa())
    if key not in _ENGINES:
        _ENGINES[key] = Engine(graph, sizes, precision)
    return _ENGINES[key]
