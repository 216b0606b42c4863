"""The parts of a pointwise program, as plain data.

A phase runs over the units of one size. It first fills registers by chains (start vector, then one matrix product
after another, each a run of fused multiply-adds), then executes its code, a block of units at a time, and at its end
completes sums over all units. The operands of the code are registers, and rows of memory read and written where they
lie; what a later phase needs goes to a row of scratch memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What an array is to its program."""

    INPUT = "input"
    VECTOR = "vector"  # one row for all
    BEFORE = "before"  # a state before the step
    AFTER = "after"  # a state after it
    CARRY = "carry"  # what has come from the last step
    NEXT = "next"  # what goes to the next one
    OUTPUT = "output"
    SAVED = "saved"  # from forward to backward
    KEPT = "kept"  # from backward to the gradients
    SCRATCH = "scratch"
    SUMMED = "summed"  # one row a lane, to which every step adds
    PROJECTED = "projected"  # what the inputs' products make before the steps
    D_INPUT = "d_input"
    CONSTANT = "constant"

    # There is one of each, and arrays are looked up at every call: Enum's own hash is a Python function.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Array:
    """Memory that a program reads or writes: a row of `size` elements for each sequence and step, or one for all.

    A constant is one number: `value`, or for size letters the number of units that they add up to.
    """

    name: str
    role: Role
    size: str
    value: float | tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix as a product uses it: [rows, columns], the parameter read transposed or not."""

    name: str
    transposed: bool
    rows: str
    columns: str


@dataclass(frozen=True, slots=True)
class Link:
    """One source vector and the chains that a product of it is added to: pairs of (chain, matrix), both indices.

    A chain stands in a link once: the products of a link are made side by side.
    """

    source: int
    products: tuple[tuple[int, int], ...]


def memory(array: int) -> int:
    """Array `array` as an operand; and the array of such an operand. Registers are operands from 0."""
    return ~array


@dataclass(frozen=True, slots=True)
class Instruction:
    """One vector operation: target = op(args), operands of both kinds; an array of size "1" stands for all units.

    The target of a reduction ("sum", "largest") is an array of size "1", which holds it when the phase ends. A "shift"
    takes a row of memory that is complete before the phase, and a constant.
    """

    op: str
    target: int
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """One sweep over the units of a size.

    Chain k fills register k, starting from the row `starts[k]` (-1: from zero). The code may read what it has written,
    unit by unit; links and starts read nothing that it writes.
    """

    size: str
    starts: tuple[int, ...]
    links: tuple[Link, ...]
    code: tuple[Instruction, ...]
    registers: int
