"""The pointwise program: what the kernels run at each step, and the rules that they rely on and do not check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from elman.emit.phase import Array, Instruction, Matrix, Phase, Role, memory
from elman.equations.graph import SCALAR
from elman.equations.graph.operations import OPERANDS, reduces
from elman.errors import KernelError

_READ_ONLY = {Role.INPUT, Role.VECTOR, Role.BEFORE, Role.AFTER, Role.CARRY, Role.CONSTANT}
_FROM_OTHERS = {Role.SAVED, Role.KEPT, Role.OUTPUT, Role.PROJECTED}  # another program may have written these


@dataclass(frozen=True)
class Program:
    """What the kernels run at each step. Raises KernelError where a rule is broken: a fault of what has made it."""

    arrays: tuple[Array, ...]
    matrices: tuple[Matrix, ...]
    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        for what, values in (("array", self.arrays), ("matrix", self.matrices)):
            if len(set(values)) < len(values):
                raise KernelError(f"program: the same {what} stands twice among {values}")
        written = {memory(i.target) for phase in self.phases for i in phase.code if i.target < 0}
        ready = {
            k
            for k, array in enumerate(self.arrays)
            if array.role in _READ_ONLY or (array.role in _FROM_OTHERS and k not in written)
        }
        for number, phase in enumerate(self.phases):
            ready |= _Rules(self, number, phase, ready).check()

    def check_order(self) -> None:
        """Raise KernelError unless every chain takes inputs first, then states, then what is computed.

        Programs of the step must, so that the whole program and the split one make the same bits.
        """
        ranks = {Role.INPUT: 0, Role.BEFORE: 1, Role.CARRY: 1}
        for number, phase in enumerate(self.phases):
            found = [self.arrays[link.source].role for link in phase.links]
            if found != sorted(found, key=lambda role: ranks.get(role, 2)):
                order = ", ".join(role.value for role in found)
                raise KernelError(f"program, phase {number}: its products take {order}; inputs come first, then states")


class _Rules:
    """The rules of one phase, before which the arrays `ready` have been written."""

    def __init__(self, program: Program, number: int, phase: Phase, ready: set[int]) -> None:
        self.program, self.number, self.phase, self.ready = program, number, phase, ready
        self.registers = set(range(len(phase.starts)))  # those that hold something
        self.written: set[int] = set()
        self.sums: set[int] = set()

    def check(self) -> set[int]:
        """The arrays that later phases may read."""
        self._check_chains()
        for instruction in self.phase.code:
            for arg in self._operands(instruction):
                self._check_read(arg, instruction)
            if instruction.op == "shift":
                self._check_shift(instruction)
            if instruction.target >= 0:
                self._check_register(instruction)
            else:
                self._check_write(instruction)
        chained = {link.source for link in self.phase.links} | set(self.phase.starts)
        for k in self.written & chained:
            self._refuse(f"{self.program.arrays[k]} is written where chains read it")
        return {k for k in self.written | self.sums if self.program.arrays[k].role is not Role.SUMMED}

    def _refuse(self, problem: str) -> NoReturn:
        raise KernelError(f"program, phase {self.number} over {self.phase.size}: {problem}")

    def _array(self, index: int) -> Array:
        if not 0 <= index < len(self.program.arrays):
            self._refuse(f"there is no array {index}")
        return self.program.arrays[index]

    def _check_chains(self) -> None:
        phase = self.phase
        if len(phase.starts) > phase.registers:
            self._refuse(f"{len(phase.starts)} chains fill {phase.registers} registers")
        for start in phase.starts:
            if start != -1 and (self._array(start).size != phase.size or start not in self.ready):
                self._refuse(f"a chain starts from {self._array(start)}, which must be there and fill every unit")
        for link in phase.links:
            source, chains = self._array(link.source), [chain for chain, _ in link.products]
            if link.source not in self.ready:
                self._refuse(f"a product takes {source}, which is not written yet")
            if not chains or len(set(chains)) < len(chains) or not 0 <= min(chains) <= max(chains) < len(phase.starts):
                self._refuse(f"a link adds to the chains {chains} of {len(phase.starts)}: each once, one at least")
            for _, index in link.products:
                if self._shape(index) != (phase.size, source.size):
                    self._refuse(f"matrix {index} must be [{phase.size}, {source.size}], got {self._shape(index)}")

    def _shape(self, index: int) -> tuple[str, str] | None:
        matrices = self.program.matrices
        return (matrices[index].rows, matrices[index].columns) if 0 <= index < len(matrices) else None

    def _operands(self, instruction: Instruction) -> tuple[int, ...]:
        if len(instruction.args) != OPERANDS.get(instruction.op):
            taken = OPERANDS.get(instruction.op, "an unknown number of")
            self._refuse(f"{instruction.op} takes {taken} operands, got {len(instruction.args)}")
        return instruction.args

    def _accumulates(self, instruction: Instruction) -> bool:
        """Whether the target is added to: total + v, or v * w + total."""
        place = {"add": 0, "fma": 2}.get(instruction.op)
        return place is not None and instruction.args[place] == instruction.target

    def _check_read(self, arg: int, instruction: Instruction) -> None:
        if arg >= 0:
            if arg not in self.registers:
                self._refuse(f"register {arg} is read before it is written")
            return
        index, array = memory(arg), self._array(memory(arg))
        if array.role is Role.SUMMED and arg == instruction.target and self._accumulates(instruction):
            return
        if array.size not in (self.phase.size, SCALAR):
            self._refuse(f"{array} is read by units of another size")
        if index in self.sums or index not in self.ready | self.written:
            self._refuse(f"{array} is read before it is {'complete' if index in self.sums else 'written'}")

    def _check_shift(self, instruction: Instruction) -> None:
        row, by = instruction.args
        if row >= 0 or memory(row) not in self.ready or self._array(memory(row)).size != self.phase.size:
            self._refuse("a shift takes a row that an earlier phase has written")
        if by >= 0 or self._array(memory(by)).role is not Role.CONSTANT:
            self._refuse("a shift is by a constant")

    def _check_register(self, instruction: Instruction) -> None:
        if reduces(instruction.op) or instruction.target >= self.phase.registers:
            self._refuse(f"register {instruction.target} of {self.phase.registers} is no place for a {instruction.op}")
        self.registers.add(instruction.target)

    def _check_write(self, instruction: Instruction) -> None:
        index, array = memory(instruction.target), self._array(memory(instruction.target))
        is_sum = reduces(instruction.op)
        if array.size != (SCALAR if is_sum else self.phase.size):
            self._refuse(f"{array} is too small or too large for a {instruction.op}")
        if array.role in _READ_ONLY:
            self._refuse(f"{array} is only read, and written")
        if index in self.written | self.sums:
            self._refuse(f"{array} is written twice")
        if array.role is Role.SUMMED and not self._accumulates(instruction):
            self._refuse(f"{array} is overwritten, where it must be added to")
        (self.sums if is_sum else self.written).add(index)
