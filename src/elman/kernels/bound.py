"""A program bound to sizes and an instruction set."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from elman.emit import Array, Matrix, Program, Role
from elman.equations import Port
from elman.kernels._kernels import Isa, Kernel, Panels, Plan
from elman.kernels.encode import ROW, SUMMED, VECTOR, encode, kind_of
from elman.kernels.memory import Block, Rows, StateMemory, Weight
from elman.kernels.precision import Precision

FEW_LANES = 6  # lanes a thread from which on the input's products are made inside the recurrence
NOWHERE = StateMemory()


@dataclass(frozen=True)
class Packed:
    """Panels of one kernel, and where its vectors lie, in the program's order."""

    panels: Panels
    vectors: Sequence[Rows]


@dataclass(frozen=True, eq=False)
class BoundKernel:
    """One program bound to sizes."""

    isa: Isa
    program: Program
    sizes: Mapping[str, int]
    recurrents: tuple[Port, ...]
    befores: tuple[Port, ...]
    precision: Precision
    _kernel: Kernel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        code, values = encode(self.program, self.sizes, self.recurrents, self.befores)
        names = [f"{array.name} ({array.role.value}, {array.size})" for array in self.program.arrays]
        object.__setattr__(self, "_kernel", Kernel(self.isa, code, values, names, self.precision))

    def pack(self, weights: Mapping[str, Weight], threads: int = 1) -> Packed:
        """Copy the matrices into the order in which the tiles read them; vectors are only pointed at."""
        return self._packed(self._kernel.pack(self._views(weights), threads), weights)

    def pack_again(self, weights: Mapping[str, Weight], threads: int, held: Held) -> Packed:
        """The same, with the panels that are held if the matrices are what they were, told by all their elements.

        Neither addresses nor version counters tell: optimisers and writes through `.data` change weights unseen.
        """
        views = self._views(weights)
        fingerprint = self._kernel.fingerprint(views)
        known = held.get(self)  # looked up once: another thread may put others there
        if known is None or known[0] != fingerprint:
            known = held[self] = fingerprint, self._kernel.pack(views, threads)
        return self._packed(known[1], weights)

    def _views(self, weights: Mapping[str, Weight]) -> list[Weight]:
        return [_view(matrix, weights) for matrix in self._matrices]

    @cached_property
    def _matrices(self) -> list[Matrix]:
        """The matrix of each product, in the order of the links."""
        links = [link for phase in self.program.phases for link in phase.links]
        return [self.program.matrices[matrix] for link in links for _, matrix in link.products]

    def _packed(self, panels: Panels, weights: Mapping[str, Weight]) -> Packed:
        return Packed(panels, [Rows(weights[name].address, 0) for name in self._vectors])

    @cached_property
    def _vectors(self) -> list[str]:
        return [array.name for array in self.program.arrays if kind_of(array) == VECTOR]

    @cached_property
    def _rows(self) -> list[Array]:
        """The arrays, vectors apart, whose memory is the caller's."""
        return [array for array in self.program.arrays if kind_of(array) in (ROW, SUMMED)]

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
        """Run over a plan, or over `steps` rows each by itself. Raises ValueError where an array has no memory."""
        places = [*packed.vectors, *map(rows.get, self._rows)]
        recurrents, looked_at = _memory(self.recurrents, states), _memory(self.befores, befores)
        self._kernel.run(packed.panels, places, recurrents, looked_at, plan, steps, backward, threads)


Held = MutableMapping[BoundKernel, tuple[int, Panels]]  # the panels that each kernel used last, and their fingerprint


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
        return not any(array.role is Role.INPUT for array in self.recurrence.program.arrays)

    def splits(self, lanes: int, steps: int, threads: int) -> bool:
        """Whether the inputs' products are better made at once: few lanes make poor tiles. Never changes a bit."""
        return self.projection is not None and steps > lanes and lanes < FEW_LANES * threads


def _view(matrix: Matrix, weights: Mapping[str, Weight]) -> Weight:
    place = weights[matrix.name]
    return Weight(place.address, place.column_stride, place.row_stride) if matrix.transposed else place


def _memory(ports: Sequence[Port], memory: Mapping[str, StateMemory] | None) -> list[StateMemory]:
    return [memory.get(port.name, NOWHERE) if memory else NOWHERE for port in ports]
