"""A cell on the kernels: bound to sizes, an element type and an instruction set. Memory comes and goes as addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from elman.emit import Array, Matrix, Program, Recurrence, emit, input_gradient, split_inputs
from elman.equations import Graph, Port
from elman.kernels._kernels import Kernel, Panels, Plan, column_sum, isa, outer, token_sum
from elman.kernels.encode import encode, size_of

FEW_LANES = 6  # lanes a thread from which on the input's products are made inside the recurrence


@dataclass(frozen=True, slots=True)
class Weight:
    """Where a parameter lies: element (row, column) at address + (row * row_stride + column * column_stride) elements."""

    address: int
    row_stride: int = 1
    column_stride: int = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """A row for each step: `stride` elements apart. With `tokens` (int64 [N]) the row of step n is tokens[n]."""

    address: int
    stride: int
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class StateMemory:
    """Memory of one state: every step's value (0: only the last is kept), rows that sequences begin with, rows for the last."""

    sequence: int = 0
    stride: int = 0
    initial: int = 0
    final: int = 0


@dataclass(frozen=True)
class Packed:
    """Panels of one kernel, and where its vectors lie."""

    panels: Panels
    vectors: Mapping[str, int]


NOWHERE = StateMemory()


@dataclass(frozen=True)
class BoundKernel:
    """One program bound to sizes."""

    program: Program
    sizes: Mapping[str, int]
    recurrents: tuple[Port, ...]
    befores: tuple[Port, ...]
    is_double: bool
    _kernel: Kernel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        code, values = encode(self.program, self.sizes, self.recurrents, self.befores)
        object.__setattr__(self, "_kernel", Kernel(code, values, self.is_double))

    def pack(self, weights: Mapping[str, Weight]) -> Packed:
        """Copy the matrices into the order in which the tiles read them; vectors are only pointed at."""
        views: list[int] = []
        for phase in self.program.phases:
            for link in phase.links:
                for _, matrix in link.products:
                    views += _view(self.program.matrices[matrix], weights)
        vectors = {a.name: weights[a.name].address for a in self.program.arrays if a.role == "vector"}
        return Packed(self._kernel.pack(views), vectors)

    def run(
        self,
        packed: Packed,
        rows: Mapping[Array, Rows],
        plan: Plan | None,
        steps: int,
        threads: int,
        states: Mapping[str, StateMemory] | None = None,
        befores: Mapping[str, StateMemory] | None = None,
        backward: bool = False,
    ) -> None:
        """Run over a plan, or over `steps` rows each by itself."""
        bindings: list[int] = []
        for array in self.program.arrays:
            if array.role == "vector":
                bindings += (packed.vectors[array.name], 0, 0)
            else:
                place = rows.get(array)
                bindings += (place.address, place.stride, place.tokens) if place else (0, 0, 0)
        recurrents = _numbers(self.recurrents, states or {})
        self._kernel.run(
            packed.panels, bindings, recurrents, _numbers(self.befores, befores or {}), plan, steps, backward, threads
        )


class Engine:
    """A cell at given sizes. Made by `engine`, which keeps one for each cell, sizes, element type and instruction set."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], is_double: bool) -> None:
        self.graph = graph
        self.sizes = dict(sizes)
        self.is_double = is_double
        self.recurrence: Recurrence = emit(graph)
        self.saved = Block.of(self.recurrence.saved, sizes)
        self.kept = Block.of(self.recurrence.kept, sizes)
        self.summed = Block.of(self.recurrence.summed, sizes)

    def _bind(self, program: Program, recurrents: Sequence[Port] = (), befores: Sequence[Port] = ()) -> BoundKernel:
        return BoundKernel(program, self.sizes, tuple(recurrents), tuple(befores), self.is_double)

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
        projected = [a for a in split[0].arrays if a.role == "projected"]
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
        self, plan: Plan, sources: Mapping[Array, Rows], states: Mapping[str, StateMemory], out: Mapping[str, Weight],
        kept: int, threads: int,
    ) -> None:  # fmt: skip
        """Add to the matrices named in `out` their gradients: the sums over all steps of d ⊗ source."""
        by_source: dict[Array, list[int]] = {}
        for g in self.recurrence.matrix_gradients:
            if g.matrix in out:
                place, to = self.kept.rows(kept, self.is_double)[g.d], out[g.matrix]
                strides = (to.column_stride, to.row_stride) if g.transposed else (to.row_stride, to.column_stride)
                part = (place.address, place.stride, size_of(g.d.size, self.sizes), to.address, *strides)
                by_source.setdefault(g.source, []).extend(part)
        starts = {p.name: p.start for p in self.graph.states}
        for source, parts in by_source.items():
            before = source.role == "before"
            if before:
                memory = states[source.name]
                numbers = [memory.sequence, memory.stride, memory.initial, 1]
            else:
                numbers = [sources[source].address, sources[source].stride, 0, 0]
            depth = size_of(source.size, self.sizes)
            outer(plan, numbers, starts.get(source.name, 0.0) if before else 0.0, depth, parts, self.is_double, threads)

    def vector_gradients(
        self, steps: int, lanes: int, out: Mapping[str, Weight], kept: int, summed: int, threads: int
    ) -> None:
        """Write the gradients of the parameter vectors named in `out`: the sums of d over all steps, or of its sums by lane."""
        by_step, by_lane = self.kept.rows(kept, self.is_double), self.summed.rows(summed, self.is_double)
        for g in self.recurrence.vector_gradients:
            if g.vector in out:
                place, rows = (by_step[g.d], steps) if g.d in by_step else (by_lane[g.d], lanes)
                size = size_of(g.d.size, self.sizes)
                column_sum([place.address, place.stride, rows, size, out[g.vector].address], self.is_double, threads)

    def token_gradients(
        self, tokens: int, steps: int, out: Mapping[str, Weight], kept: int, threads: int
    ) -> None:
        """Add to tables [V, size], one for each matrix of the tokens' products, the rows d of the steps that bring each token."""
        for g in self.recurrence.matrix_gradients:
            if g.source.role == "input" and g.matrix in out:
                place, to = self.kept.rows(kept, self.is_double)[g.d], out[g.matrix]
                size = size_of(g.d.size, self.sizes)
                numbers = [place.address, place.stride, tokens, steps, size, to.address, to.row_stride]
                token_sum(numbers, self.is_double, threads)


@dataclass(frozen=True)
class Block:
    """Arrays that lie side by side in one row of `width` elements a step."""

    arrays: tuple[Array, ...]
    width: int
    offsets: Mapping[Array, int]

    @classmethod
    def of(cls, arrays: Sequence[Array], sizes: Mapping[str, int]) -> Block:
        """Lay arrays out, each on a multiple of 16 elements."""
        offsets, width = {}, 0
        for array in arrays:
            offsets[array] = width
            width += -(-size_of(array.size, sizes) // 16) * 16
        return cls(tuple(arrays), width, offsets)

    def rows(self, address: int, is_double: bool, tokens: int = 0) -> dict[Array, Rows]:
        """Where each array lies in a block at this address."""
        item = 8 if is_double else 4
        return {array: Rows(address + item * offset, self.width, tokens) for array, offset in self.offsets.items()}


@dataclass(frozen=True, eq=False)
class Forward:
    """The step, whole or with the products of the inputs made before it over all steps at once."""

    whole: BoundKernel
    projection: BoundKernel | None
    recurrence: BoundKernel | None
    projected: Block

    @cached_property
    def takes_tokens(self) -> bool:
        """Whether the inputs are used in products only, so that a token is a row of a table."""
        if self.projection is None or self.recurrence is None:
            return False
        program = self.recurrence.program
        used = {i.array for phase in program.phases for i in phase.code if i.op.startswith("load")}
        used |= {link.source for phase in program.phases for link in phase.links}
        return not any(program.arrays[k].role == "input" for k in used)

    def splits(self, lanes: int, steps: int, threads: int) -> bool:
        """Whether the inputs' products are better made at once: few lanes make poor tiles. Never changes a bit."""
        return self.projection is not None and steps > lanes and lanes < FEW_LANES * threads


_ENGINES: dict[tuple[str, tuple[tuple[str, int], ...], bool, str], Engine] = {}


def engine(graph: Graph, sizes: Mapping[str, int], is_double: bool = False) -> Engine:
    """The engine of a cell at these sizes, on the instruction set in use."""
    key = (graph.hash, tuple(sorted(sizes.items())), is_double, isa())
    if key not in _ENGINES:
        _ENGINES[key] = Engine(graph, sizes, is_double)
    return _ENGINES[key]


def _view(matrix: Matrix, weights: Mapping[str, Weight]) -> tuple[int, int, int]:
    place = weights[matrix.name]
    if matrix.transposed:
        return place.address, place.column_stride, place.row_stride
    return place.address, place.row_stride, place.column_stride


def _numbers(ports: Sequence[Port], memory: Mapping[str, StateMemory]) -> list[int]:
    numbers: list[int] = []
    for port in ports:
        m = memory.get(port.name, NOWHERE)
        numbers += (m.sequence, m.stride, m.initial, m.final)
    return numbers
