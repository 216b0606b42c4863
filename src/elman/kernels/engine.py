"""A cell on the kernels: its steps, and the sums over steps that its gradients are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from elman.emit import Array, Program, Recurrence, Role, emit, input_gradient, split_inputs
from elman.equations import Graph, Port
from elman.kernels._kernels import Isa, Plan
from elman.kernels.bound import BoundKernel, Forward
from elman.kernels.encode import size_of
from elman.kernels.instruction_sets import isa_in_use
from elman.kernels.memory import Block, Rows, StateMemory, Weight
from elman.kernels.precision import Precision


class Engine:
    """A cell at given sizes. `engine_for` makes it, one for each cell, sizes, precision and instruction set."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], precision: Precision, isa: Isa) -> None:
        self.graph = graph
        self.isa = isa
        self.sizes = dict(sizes)
        self.precision = precision
        self.is_double = precision.is_double
        self.recurrence: Recurrence = emit(graph)
        self.saved = Block.of(self.recurrence.saved, sizes)
        self.kept = Block.of(self.recurrence.kept, sizes)
        self.summed = Block.of(self.recurrence.summed, sizes)

    def _bind(self, program: Program, recurrents: Sequence[Port] = (), befores: Sequence[Port] = ()) -> BoundKernel:
        return BoundKernel(self.isa, program, self.sizes, tuple(recurrents), tuple(befores), self.precision)

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
        by_source: dict[Array, list[tuple[Rows, int, Weight]]] = {}
        for g in self.recurrence.matrix_gradients:
            if g.matrix in out:
                to = out[g.matrix]
                to = Weight(to.address, to.column_stride, to.row_stride) if g.transposed else to
                by_source.setdefault(g.source, []).append((rows[g.d], size_of(g.d.size, self.sizes), to))
        starts = {p.name: p.start for p in self.graph.states}
        for source, parts in by_source.items():
            before, depth = source.role is Role.BEFORE, size_of(source.size, self.sizes)
            place, start = (states[source.name], starts[source.name]) if before else (rows[source], 0.0)
            self.isa.outer(plan, place, start, depth, parts, self.precision, threads)

    def vector_gradients(
        self, steps: int, lanes: int, rows: Mapping[Array, Rows], out: Mapping[str, Weight], threads: int
    ) -> None:
        """Write the gradients of the vectors named in `out`: the sums of d over all steps, or of its sums by lane."""
        for g in self.recurrence.vector_gradients:
            if g.vector in out:
                shape = lanes if g.d.role is Role.SUMMED else steps, size_of(g.d.size, self.sizes)
                self.isa.column_sum(rows[g.d], shape, out[g.vector], self.is_double, threads)

    def token_gradients(
        self, tokens: int, steps: int, rows: Mapping[Array, Rows], out: Mapping[str, Weight], threads: int
    ) -> None:
        """Add the rows d of the steps that bring each token to tables [V, size], one for each matrix named in `out`."""
        for g in self.recurrence.matrix_gradients:
            if g.source.role is Role.INPUT and g.matrix in out:
                to = Rows(out[g.matrix].address, out[g.matrix].row_stride, tokens)
                shape = steps, size_of(g.d.size, self.sizes)
                self.isa.token_sum(rows[g.d], shape, to, self.is_double, threads)


_ENGINES: dict[tuple[str, tuple[tuple[str, int], ...], Precision, str], Engine] = {}


def engine_for(graph: Graph, sizes: Mapping[str, int], precision: Precision = Precision.FLOAT32) -> Engine:
    """The engine of a cell at these sizes, on the instruction set in use."""
    isa = isa_in_use()
    key = (graph.hash, tuple(sorted(sizes.items())), precision, isa.name)
    if key not in _ENGINES:
        return _ENGINES.setdefault(key, Engine(graph, sizes, precision, isa))
    return _ENGINES[key]
