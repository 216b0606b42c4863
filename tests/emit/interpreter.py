"""The interpreter of pointwise programs in plain numpy: the readable twin of the one in C++ (native/isa/interpret.h).

It works as that one does: units in blocks, chains first, each product as a run of multiply-adds with the source's
elements ascending, then the code, sums complete when the phase ends. Registers and scratch are NaN until written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from elman.emit import Array, Instruction, Phase, Program, Role, memory
from elman.equations.graph.operations import OPERATIONS

BLOCK = 2  # units; few, so that blocks matter at the sizes of these tests

Rows = Any  # float64 [lanes, size]
Memory = dict[Array, Rows]


def number(size: str, sizes: Mapping[str, int]) -> int:
    """How many elements a size is."""
    return 1 if size == "1" else sizes[size]


def step(program: Program, given: Memory, matrices: Mapping[str, Any], sizes: Mapping[str, int], lanes: int) -> None:
    """Run all phases once. `given` holds the rows of all arrays but scratch and numbers; they change in place."""
    rows = [_rows(a, sizes, lanes) if a.role in (Role.SCRATCH, Role.CONSTANT) else given[a] for a in program.arrays]
    for array, row in zip(program.arrays, rows, strict=True):
        assert row.shape == (lanes, number(array.size, sizes)), f"{array}: {row.shape}"
    for phase in program.phases:
        _Phase(program, phase, rows, matrices, number(phase.size, sizes), lanes, sizes).run()


def _rows(array: Array, sizes: Mapping[str, int], lanes: int) -> Rows:
    value = array.value
    if isinstance(value, tuple):
        value = sum(number(letter, sizes) for letter in value)
    return np.full((lanes, number(array.size, sizes)), np.nan if value is None else value)


class _Phase:
    def __init__(
        self,
        program: Program,
        phase: Phase,
        rows: list[Rows],
        matrices: Mapping[str, Any],
        size: int,
        lanes: int,
        sizes: Mapping[str, int],
    ) -> None:
        self.program, self.phase, self.rows, self.matrices = program, phase, rows, matrices
        self.size, self.lanes, self.sizes = size, lanes, sizes
        self.sums: dict[int, Any] = {}

    def run(self) -> None:
        for first in range(0, self.size, BLOCK):
            units = slice(first, min(first + BLOCK, self.size))
            registers = np.full((self.phase.registers, self.lanes, units.stop - first), np.nan)
            self.chains(registers, units)
            for instruction in self.phase.code:
                self.execute(instruction, registers, units)
        for array, total in self.sums.items():
            self.rows[array][:, 0] = total

    def chains(self, registers: Any, units: slice) -> None:
        for chain, start in enumerate(self.phase.starts):
            registers[chain] = 0.0 if start < 0 else self.rows[start][:, units]
        for link in self.phase.links:
            source = self.rows[link.source]
            taken = [chain for chain, _ in link.products]
            assert len(set(taken)) == len(taken), "a tile reads a chain once, so a link may add to it once"
            for chain, index in link.products:
                matrix = self.program.matrices[index]
                weights = self.matrices[matrix.name]
                weights = weights.T if matrix.transposed else weights
                assert weights.shape == (number(matrix.rows, self.sizes), number(matrix.columns, self.sizes)), matrix
                assert weights.shape == (self.size, source.shape[1]), matrix
                for k in range(source.shape[1]):
                    registers[chain] += source[:, k : k + 1] * weights[units, k]

    def execute(self, instruction: Instruction, registers: Any, units: slice) -> None:
        args = [self.operand(arg, registers, units) for arg in instruction.args]
        target = instruction.target
        if instruction.op == "shift":
            row, by = (self.rows[memory(arg)] for arg in instruction.args)
            args = [np.roll(row, int(by[0, 0]), -1)[:, units]]
            instruction = replace(instruction, op="copy")
        if instruction.op == "sum":
            self.sums[memory(target)] = self.sums.get(memory(target), 0.0) + args[0].sum(-1)
        elif instruction.op == "largest":
            self.sums[memory(target)] = np.maximum(self.sums.get(memory(target), -np.inf), args[0].max(-1))
        elif target < 0:
            self.rows[memory(target)][:, units] = OPERATIONS[instruction.op].evaluate(np, *args)
        else:
            registers[target] = OPERATIONS[instruction.op].evaluate(np, *args)

    def operand(self, operand: int, registers: Any, units: slice) -> Any:
        if operand >= 0:
            return registers[operand]
        rows = self.rows[memory(operand)]
        return rows if rows.shape[1] == 1 else rows[:, units]
