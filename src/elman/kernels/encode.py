"""A program and its sizes as numbers, as the extension reads them (bound.cc)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elman.emit import Array, Program, Role
from elman.equations import Port
from elman.equations.graph import SCALAR
from elman.equations.graph.operations import OPERANDS
from elman.errors import KernelError
from elman.kernels import _kernels

ROW, VECTOR, CARRY, NEXT, BEFORE, SCRATCH, SUMMED, CONSTANT = range(8)
KINDS = {
    Role.VECTOR: VECTOR, Role.CARRY: CARRY, Role.NEXT: NEXT, Role.BEFORE: BEFORE, Role.SCRATCH: SCRATCH,
    Role.SUMMED: SUMMED, Role.CONSTANT: CONSTANT,
}  # fmt: skip


def check_table(compiled: Sequence[tuple[str, int]]) -> None:
    """Raise KernelError unless the compiled operations, with their numbers of operands, are those of the equations."""
    differ = {name for name, _ in {*compiled} ^ {*OPERANDS.items()}}
    if differ:
        raise KernelError(
            f"the compiled kernels have other operations than elman.equations ({', '.join(sorted(differ))}); "
            "run `make install`, which compiles them again"
        )


check_table(_kernels.OPERATIONS)
OPCODES = {name: code for code, (name, _) in enumerate(_kernels.OPERATIONS)}


def size_of(letter: str, sizes: Mapping[str, int]) -> int:
    """How many elements a size letter stands for."""
    return 1 if letter == SCALAR else sizes[letter]


def kind_of(array: Array) -> int:
    """Which kind of memory an array is to the extension (program.h)."""
    return KINDS.get(array.role, ROW)


def encode(
    program: Program, sizes: Mapping[str, int], recurrents: Sequence[Port], befores: Sequence[Port]
) -> tuple[list[int], list[float]]:
    """The program's numbers: (whole numbers, constants).

    `recurrents` are the values that run from step to step, with what they start from; `befores` the forward states that
    a derivative looks at.
    """
    values = [0.0]
    code: list[int] = []
    for ports in (recurrents, befores):
        code.append(len(ports))
        for port in ports:
            values.append(port.start)
            code += [size_of(port.size, sizes), len(values) - 1]
    code.append(len(program.arrays))
    for array in program.arrays:
        code += _array(array, sizes, recurrents, befores, values)
    code.append(len(program.phases))
    for phase in program.phases:
        code += [
            size_of(phase.size, sizes),
            max(phase.registers, 1),
            len(phase.starts),
            *phase.starts,
            len(phase.links),
        ]
        for link in phase.links:
            code += [link.source, len(link.products)]
            for chain, matrix in link.products:
                code += [chain, matrix]
        code.append(len(phase.code))
        for instruction in phase.code:
            code += [OPCODES[instruction.op], instruction.target, *[*instruction.args, 0, 0][:3]]
    return code, values


def _array(
    array: Array, sizes: Mapping[str, int], recurrents: Sequence[Port], befores: Sequence[Port], values: list[float]
) -> list[int]:
    kind = kind_of(array)
    index = 0
    if kind in (CARRY, NEXT, BEFORE):
        names = [port.name for port in (befores if kind == BEFORE else recurrents)]
        index = names.index(array.name)
    if isinstance(array.value, tuple):
        values.append(float(sum(size_of(letter, sizes) for letter in array.value)))
        index = len(values) - 1
    elif array.value is not None:
        values.append(array.value)
        index = len(values) - 1
    return [kind, index, size_of(array.size, sizes)]
