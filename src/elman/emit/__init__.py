"""What is made from a cell besides its values: the programs that the kernels run, and their listings."""

from elman.emit.hoist import input_gradient, split_inputs
from elman.emit.listing import listing
from elman.emit.phase import Array, Instruction, Link, Matrix, Phase, Role, memory
from elman.emit.program import Program
from elman.emit.recurrence import Recurrence, emit

__all__ = [
    "Array", "Instruction", "Link", "Matrix", "Phase", "Program", "Recurrence", "Role", "emit", "input_gradient",
    "listing", "memory", "split_inputs",
]  # fmt: skip
