"""A linear layer on the kernels: y = W x + b row by row, and its gradients. Matrices [V, D], rows [N, D] and [N, V]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from elman.emit import Array, Instruction, Link, Matrix, Phase, Program, Role, memory
from elman.kernels._kernels import Isa, Plan
from elman.kernels.bound import BoundKernel, Held, Packed
from elman.kernels.instruction_sets import isa_in_use
from elman.kernels.memory import Rows, Targets, Weight
from elman.kernels.precision import Precision

_X, _BIAS, _Y = Array("x", Role.INPUT, "D"), Array("b", Role.VECTOR, "V"), Array("y", Role.OUTPUT, "V")
_D, _DX = Array("d", Role.KEPT, "V"), Array("x", Role.D_INPUT, "D")


def _product(source: Array, matrix: Matrix, target: Array, start: Array | None) -> Program:
    """The program that multiplies each row of `source` by a matrix: one chain an element, from `start` or from zero."""
    arrays = (source, target) if start is None else (source, target, start)
    store = Instruction("copy", memory(1), (0,))
    phase = Phase(target.size, (-1 if start is None else 2,), (Link(0, ((0, 0),)),), (store,), 1)
    return Program(arrays, (matrix,), (phase,))


@dataclass(frozen=True, eq=False)
class LinearKernel:
    """A linear layer of given sizes. `linear_for` makes it."""

    columns: int
    rows: int
    has_bias: bool
    precision: Precision
    isa: Isa

    def _bind(self, program: Program) -> BoundKernel:
        return BoundKernel(self.isa, program, {"D": self.columns, "V": self.rows}, (), (), self.precision)

    @cached_property
    def _forward(self) -> BoundKernel:
        return self._bind(_product(_X, Matrix("W", False, "V", "D"), _Y, _BIAS if self.has_bias else None))

    @cached_property
    def _backward(self) -> BoundKernel:
        return self._bind(_product(_D, Matrix("W", True, "D", "V"), _DX, None))

    def pack(self, weight: Weight, bias: int, threads: int, held: Held | None = None) -> Packed:
        """What `forward` reads: W copied, if it is not `held` as it is, the bias only pointed at (0: there is none)."""
        weights = {"W": weight, "b": Weight(bias)}
        if held is None:
            return self._forward.pack(weights, threads)
        return self._forward.pack_again(weights, threads, held)

    def pack_transposed(self, weight: Weight, threads: int) -> Packed:
        """What `input_gradient` reads."""
        return self._backward.pack({"W": weight}, threads)

    def forward(self, packed: Packed, x: Rows, y: Rows, count: int, threads: int) -> None:
        """Write y = W x + b of `count` rows: for each element one chain, bias first, columns ascending."""
        self.run(packed, self.between(x, y), count, threads)

    @staticmethod
    def between(x: Rows, y: Rows) -> dict[Array, Rows]:
        """What `run` reads and writes."""
        return {_X: x, _Y: y}

    def run(self, packed: Packed, rows: Mapping[Array, Rows], count: int, threads: int) -> None:
        """As `forward`, between places that are the same at every call."""
        self._forward.run(packed, rows, None, count, threads)

    def input_gradient(self, packed: Packed, d: Rows, dx: Rows, count: int, threads: int) -> None:
        """Write ∂loss/∂x = Wᵀ d of `count` rows."""
        self._backward.run(packed, {_D: d, _DX: dx}, None, count, threads)

    def weight_gradient(self, plan: Plan, x: Rows, d: Rows, out: Weight, threads: int) -> None:
        """Add to ∂loss/∂W the sum of d ⊗ x over the rows of a plan."""
        self.isa.outer(plan, x, 0.0, self.columns, [(d, self.rows, out)], self.precision, threads)

    def bias_gradient(self, d: Rows, count: int, out: int, threads: int) -> None:
        """Write ∂loss/∂b, the sum of `count` rows d."""
        self.isa.column_sum(d, (count, self.rows), Weight(out), self.precision.is_double, threads)

    def cross_entropy(self, logits: Rows, count: int, targets: Targets, losses: int, threads: int) -> None:
        """Write the losses of `count` rows of logits; with scales, one a row, the rows become their gradients.

        Args:
            logits: overwritten, up to the next multiple of 64 bytes behind each row.
            targets: int64 [count], each 0 … V - 1 or ignored: such a row has loss and gradient 0; the share of the
                target's probability that is spread over all classes; [count] scales of the element type, or 0.
            losses: [count] of the element type.
        """
        self.isa.cross_entropy(logits, (count, self.rows), targets, losses, self.precision.is_double, threads)


_LINEARS: dict[tuple[int, int, bool, Precision, str], LinearKernel] = {}


def linear_for(columns: int, rows: int, has_bias: bool, precision: Precision) -> LinearKernel:
    """The linear layer of these sizes, on the instruction set in use."""
    isa = isa_in_use()
    key = columns, rows, has_bias, precision, isa.name
    if key not in _LINEARS:
        return _LINEARS.setdefault(key, LinearKernel(columns, rows, has_bias, precision, isa))
    return _LINEARS[key]
